"""An agent service as the runner sees it: A2A over one shared session. What comes back is untrusted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import aiohttp

from concilium.contracts.a2a.card import PREFIX
from concilium.contracts.a2a.errors import read_error
from concilium.contracts.a2a.reader import StreamItem, StreamReader
from concilium.contracts.a2a.step import HEADERS
from concilium.contracts.task import Problem
from concilium.runner.limits import AGENT_BYTES, AGENT_SILENT_S, CONNECT_S, ERROR_BYTES, OFFLOAD_BYTES, REQUEST_S
from concilium.runner.sse import EventSplitter

_Request = AbstractAsyncContextManager[aiohttp.ClientResponse]
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(eq=False)
class AgentRefused(Exception):
    """The agent answered with an HTTP error."""

    status: int
    problem: Problem


@dataclass(eq=False)
class AgentAway(Exception):
    """The agent was not reached, or the stream broke before its end."""

    sent: bool
    """Whether the agent may have seen the request."""
    reason: str


class AgentClient:
    """Calls agent services as a mesh peer."""

    def __init__(self, session: aiohttp.ClientSession, key: str) -> None:
        self._session = session
        self._headers = {**HEADERS, "Authorization": f"Bearer {key}"}

    async def stream(self, base_url: str, body: bytes) -> AsyncIterator[StreamItem]:
        """Send a step and yield what the agent says until the stream ends.

        Raises:
            AgentRefused: an HTTP error.
            AgentAway: not reached, or broken off.
            Invalid, TooLarge: the answer is not A2A, or too large.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=AGENT_SILENT_S)
        try:
            async with self._request("POST", base_url, "/message:stream", timeout, data=body) as response:
                await _check(response)
                splitter, reader = EventSplitter(AGENT_BYTES), StreamReader()
                async for chunk in response.content.iter_any():
                    for data in splitter.feed(chunk):
                        for item in await _read(reader, data):
                            yield item
        except aiohttp.ClientConnectorError as error:
            raise AgentAway(sent=False, reason=type(error).__name__) from error
        except _BROKEN as error:
            raise AgentAway(sent=True, reason=type(error).__name__) from error

    async def knows(self, base_url: str, run_id: str) -> bool:
        """Return whether the agent knows a run, live or finished. Raises as `stream`."""
        try:
            async with self._request("GET", base_url, f"/tasks/{run_id}", _short()) as response:
                if response.status == 404:
                    return False
                await _check(response)
                return True
        except _BROKEN as error:
            raise AgentAway(sent=True, reason=type(error).__name__) from error

    async def cancel(self, base_url: str, run_id: str) -> bool:
        """Ask the agent to end a run; return whether it agreed."""
        try:
            async with self._request("POST", base_url, f"/tasks/{run_id}:cancel", _short(), data=b"{}") as response:
                return response.status < 300
        except _BROKEN:
            return False

    def _request(
        self, method: str, base_url: str, path: str, timeout: aiohttp.ClientTimeout, **options: Any
    ) -> _Request:
        url = base_url.rstrip("/") + PREFIX + path
        return self._session.request(method, url, headers=self._headers, timeout=timeout, **options)


def _short() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=REQUEST_S, sock_connect=CONNECT_S)


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status >= 300:
        body = await response.content.read(ERROR_BYTES)
        raise AgentRefused(response.status, read_error(response.status, body))


async def _read(reader: StreamReader, data: bytes) -> list[StreamItem]:
    if len(data) <= OFFLOAD_BYTES:
        return list(reader.feed(data))
    return await asyncio.to_thread(lambda: list(reader.feed(data)))
