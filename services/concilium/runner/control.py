"""The control plane as the runner sees it: `/runner/v1` over one shared session."""

import hashlib
from typing import Any, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from concilium.contracts.errors import Invalid, StaleLease, TooLarge, Unavailable
from concilium.contracts.parts import FileRef
from concilium.contracts.runner import (
    ClaimReply,
    ClaimRequest,
    Completion,
    CompletionReply,
    Held,
    Lease,
    ProgressRequest,
    RenewReply,
    RenewRequest,
)
from concilium.keyring import KeyFile
from concilium.runner.limits import BLOB_S, CONNECT_S, REQUEST_S

M = TypeVar("M", bound=BaseModel)
_JSON = {"Content-Type": "application/json"}
_PROBLEM_CHARS = 300


class ControlPlane:
    """Calls the runner API.

    Every method raises `Unavailable` when there is no answer or a 429 or 5xx: try again. `StaleLease`, `TooLarge` and
    `Invalid` (any other refusal) are answers.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: KeyFile) -> None:
        self._session = session
        self._base = base_url.rstrip("/") + "/runner/v1/"
        self._key = key

    async def claim(self, request: ClaimRequest) -> tuple[Lease, ...]:
        """Ask for work."""
        return (await self._post("claim", request, ClaimReply)).leases

    async def renew(self, request: RenewRequest, timeout_s: float) -> tuple[Held, ...]:
        """Renew leases; return the lost ones."""
        return (await self._post("renew", request, RenewReply, timeout_s)).lost

    async def progress(self, request: ProgressRequest) -> None:
        """Tell how runs are going."""
        await self._send("POST", "progress", data=request.model_dump_json(), headers=_JSON, timeout_s=REQUEST_S)

    async def complete(self, completion: Completion) -> tuple[Lease, ...]:
        """Commit an outcome; return the next leases when some were asked for."""
        return (await self._post("complete", completion, CompletionReply)).leases

    async def get_blob(self, held: Held, ref: FileRef) -> bytes:
        """Return a file of a lease, checked against its hash. Raises `Invalid` when it does not match."""
        data = await self._send("GET", f"blobs/{ref.sha256}", params=_query(held), timeout_s=BLOB_S, limit=ref.size)
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise Invalid(f"the bytes of file {ref.sha256} do not match their hash")
        return data

    async def put_blob(self, held: Held, ref: FileRef, data: bytes) -> None:
        """Store a file that a completion will refer to."""
        headers = {"Content-Type": "application/octet-stream"}
        await self._send(
            "PUT", f"blobs/{ref.sha256}", params=_query(held), data=data, headers=headers, timeout_s=BLOB_S
        )

    async def _post(self, name: str, body: BaseModel, answer: type[M], timeout_s: float = REQUEST_S) -> M:
        raw = await self._send("POST", name, data=body.model_dump_json(), headers=_JSON, timeout_s=timeout_s)
        try:
            return answer.model_validate_json(raw)
        except ValidationError as error:
            raise Unavailable(f"the control plane's answer to {name} is malformed") from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        headers: dict[str, str] | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        shown = {"Authorization": f"Bearer {self._key.current}"}
        try:
            async with self._session.request(
                method, self._base + path, headers=shown | (headers or {}), timeout=timeout, **options
            ) as response:
                body = await response.read() if limit is None else await _at_most(response, limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"no answer to {path.partition('/')[0]}: {type(error).__name__}") from error
        if response.status < 300:
            return body
        raise _refusal(response.status, body)


async def _at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return a body of at most ``limit`` bytes; a longer one is cut one byte later and will not match its hash."""
    if response.status >= 300:
        return await response.read()
    parts, size = [], 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(parts)


def _refusal(status: int, body: bytes) -> Unavailable | StaleLease | TooLarge | Invalid:
    detail = f"{status}: {body[:_PROBLEM_CHARS].decode(errors='replace')}"
    if status == 409:
        return StaleLease(detail)
    if status == 413:
        return TooLarge(detail)
    # A key the control plane does not know yet or any more is a matter of its configuration, not of this outcome.
    if status in {401, 403, 408, 429} or status >= 500:
        return Unavailable(detail)
    return Invalid(detail)


def _query(held: Held) -> dict[str, str]:
    return {key: str(value) for key, value in held.model_dump().items()}
