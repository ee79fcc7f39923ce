"""The admin surface of an engine, as vLLM and the embedded engine speak it."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import aiohttp
import orjson

from concilium.adapters.trust import VerifiedAdapter
from concilium.contracts.adapter_terms import ReplicaTerms

ANSWER_BYTES = 8 << 20
LOOK_S, LOAD_S, SCORE_S = 5.0, 120.0, 30.0
"""How long a listing, a load or unload, and a scoring may take, in seconds."""

Kind = Literal["unreachable", "timeout", "refused", "garbage"]


class AdminError(Exception):
    """An engine did not do what it was told.

    Attributes:
        kind: ``unreachable``: nobody answered; ``timeout``; ``refused``: it said no; ``garbage``: it made no sense.
        status: of HTTP, or 0.
    """

    def __init__(self, kind: Kind, detail: str, status: int = 0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.status = status


class EngineAdmin:
    """One engine; its session is the caller's."""

    def __init__(self, session: aiohttp.ClientSession, terms: ReplicaTerms) -> None:
        self._session = session
        self._terms = terms

    async def models(self) -> dict[str, str]:
        """Return what is served: name to where it was loaded from, as the engine says. Raises `AdminError`."""
        data = await self._json("GET", "/v1/models", None, LOOK_S)
        try:
            return {str(model["id"]): str(model.get("root") or "") for model in data["data"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise AdminError("garbage", "/v1/models lists no models") from error

    async def load(self, served: str, adapter: VerifiedAdapter) -> None:
        """Load an adapter from the store as the engine sees it. Raises `AdminError`."""
        path = f"{self._terms.store.rstrip('/')}/{adapter.digest}"
        await self._ask("POST", "/v1/load_lora_adapter", {"lora_name": served, "lora_path": path}, LOAD_S)

    async def unload(self, served: str) -> None:
        """Unload an adapter; one that is not loaded is no error. Raises `AdminError`."""
        try:
            await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": served}, LOAD_S)
        except AdminError as error:
            if error.status not in {400, 404}:
                raise
            if served in await self.models():
                raise

    async def score(self, model: str, tokens: Sequence[int]) -> list[float]:
        """Return the log-probability of each token but the first, given those before it.

        vLLM's ``prompt_logprobs``: an engine that has them computes them anew, whatever its prefix cache holds.

        Raises:
            AdminError: it does not know the model, or its answer makes no sense.
        """
        asked = {"model": model, "prompt": list(tokens), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 1}
        data = await self._json("POST", "/v1/completions", asked, SCORE_S)
        try:
            told = data["choices"][0]["prompt_logprobs"]
            found = [float(told[at][str(token)]["logprob"]) for at, token in enumerate(tokens) if at]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise AdminError("garbage", "/v1/completions gave no prompt_logprobs of these tokens") from error
        if len(told) != len(tokens) or not all(math.isfinite(each) for each in found):
            raise AdminError("garbage", "prompt_logprobs are not one finite number for each token")
        return found

    async def _json(self, method: str, path: str, body: dict[str, object] | None, limit_s: float) -> Any:
        try:
            return orjson.loads(await self._ask(method, path, body, limit_s))
        except orjson.JSONDecodeError as error:
            raise AdminError("garbage", f"{path} answered no JSON") from error

    async def _ask(self, method: str, path: str, body: dict[str, object] | None, limit_s: float) -> bytes:
        headers = await asyncio.to_thread(self._headers)
        try:
            async with self._session.request(
                method,
                self._terms.url + path,
                data=None if body is None else orjson.dumps(body),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit_s),
            ) as response:
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > ANSWER_BYTES:
                        raise AdminError("garbage", f"{path} answered more than {ANSWER_BYTES} bytes")
        except TimeoutError as error:
            raise AdminError("timeout", f"{path} took more than {limit_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise AdminError("unreachable", type(error).__name__) from error
        if response.status != 200:
            # Its words stay out: engines quote requests and keys in them.
            raise AdminError("refused", f"{path} answered {response.status}", response.status)
        return bytes(data)

    def _headers(self) -> dict[str, str]:
        """Return the header with the secret, read anew each time so that it can be exchanged."""
        headers = {"Content-Type": "application/json"}
        if self._terms.secret_file:
            try:
                secret = Path(self._terms.secret_file).expanduser().read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise AdminError("refused", "the file secret_file cannot be read") from error
            headers["Authorization"] = f"Bearer {secret}"
        return headers
