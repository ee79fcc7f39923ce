"""The control plane as home's end of the link sees it: which nodes there are, and what is to be noted of them."""

from typing import Final

import httpx
from pydantic import BaseModel, ValidationError

from concilium.contracts.errors import Unavailable
from concilium.contracts.nodes import Certified, Enrolment, Node, NodeList, Seen, Turned
from concilium.keyring import KeyFile
from concilium.nodes.wire import PeerRefused

TIMEOUT_S: Final = 15.0


class ControlPlane:
    """Calls ``/runner/v1/nodes``. Every method raises `Unavailable` when there is no answer."""

    def __init__(self, base_url: str, key: KeyFile) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT_S, trust_env=False)
        self._key = key

    async def close(self) -> None:
        await self._http.aclose()

    async def nodes(self) -> tuple[Node, ...]:
        """Return every node, revoked ones too."""
        raw = await self._send("GET", "")
        try:
            return NodeList.model_validate_json(raw).nodes
        except ValidationError as error:
            raise Unavailable("the control plane's list of nodes is malformed") from error

    async def certify(self, name: str, wish: Enrolment) -> str:
        """Return a node's certificate as PEM. Raises `PeerRefused` with the reason when it gets none."""
        raw = await self._send("POST", f"/{name}/certificate", wish)
        try:
            return Certified.model_validate_json(raw).certificate
        except ValidationError as error:
            raise Unavailable("the control plane's certificate is malformed") from error

    async def seen(self, name: str, found: Seen) -> None:
        """Note what a node answered."""
        await self._send("POST", f"/{name}/seen", found)

    async def turned_away(self, name: str, reason: str) -> None:
        """Note that a peer with a token or a key for this name was turned away."""
        await self._send("POST", f"/{name}/refused", Turned(reason=reason))

    async def _send(self, method: str, path: str, body: BaseModel | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._key.current}", "Content-Type": "application/json"}
        content = None if body is None else body.model_dump_json()
        try:
            answer = await self._http.request(method, f"/runner/v1/nodes{path}", content=content, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"the control plane does not answer: {type(error).__name__}") from error
        if answer.is_success:
            return answer.content
        if answer.status_code in {409, 422}:
            raise PeerRefused(_detail(answer))
        raise Unavailable(f"the control plane answered {answer.status_code}: {_detail(answer)}")


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:300]
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
