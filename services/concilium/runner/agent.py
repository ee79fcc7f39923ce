"""An agent service as the runner sees it: A2A over one shared session. What comes back is untrusted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import aiohttp

from concilium import tracing
from concilium.contracts.a2a.errors import read_error
from concilium.contracts.a2a.reader import StreamItem, StreamReader, read_task
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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how an agent is called."""

    url: str
    """Its A2A interface."""
    plain: Mapping[str, str]
    """Headers of every request."""
    show: Callable[[], Mapping[str, str]]
    """Returns the headers that show who calls; asked at each request, since keys are replaced in time."""
    steps: bool
    """It knows the step extension: runs have our ids there, fences and deadlines are kept, sending again attaches."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of a request made now."""
        return {**self.plain, **self.show()}


class AgentClient:
    """Calls agent services."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def stream(self, agent: Endpoint, body: bytes) -> AsyncIterator[StreamItem]:
        """Send a step and yield what the agent says until the stream ends.

        Raises:
            AgentRefused: an HTTP error.
            AgentAway: not reached, or broken off.
            Invalid, TooLarge: the answer is not A2A, or too large.
        """
        async for item in self._events("POST", agent, "/message:stream", data=body):
            yield item

    async def follow(self, agent: Endpoint, run_id: str) -> AsyncIterator[StreamItem]:
        """Yield what the agent says of a run it knows, live or ended. Raises as `stream`."""
        try:
            async for item in self._events("GET", agent, f"/tasks/{run_id}:subscribe"):
                yield item
        except AgentRefused as error:
            if error.status == 404:
                raise
            # A2A refuses to stream a task that has ended.
            for item in await self.get(agent, run_id):
                yield item

    async def get(self, agent: Endpoint, run_id: str) -> tuple[StreamItem, ...]:
        """Return what the agent says of a run now. Raises as `stream`."""
        body = await self.fetch(agent.url + f"/tasks/{run_id}", agent.headers, AGENT_BYTES)
        return await asyncio.to_thread(read_task, body)

    async def fetch(self, url: str, headers: Mapping[str, str], limit: int) -> bytes:
        """Return the body at a URL. Raises `AgentRefused`, and `AgentAway` also when it is longer than ``limit``."""
        try:
            async with self._session.get(url, headers=headers, timeout=_short(), allow_redirects=False) as response:
                await _check(response)
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        raise AgentAway(sent=True, reason=f"an answer of more than {limit} bytes")
                return bytes(body)
        except aiohttp.ClientConnectorError as error:
            raise AgentAway(sent=False, reason=type(error).__name__) from error
        except _BROKEN as error:
            raise AgentAway(sent=True, reason=type(error).__name__) from error

    async def knows(self, agent: Endpoint, run_id: str) -> bool:
        """Return whether the agent knows a run, live or finished. Raises as `stream`."""
        try:
            async with self._request("GET", agent, f"/tasks/{run_id}", _short()) as response:
                if response.status == 404:
                    return False
                await _check(response)
                return True
        except _BROKEN as error:
            raise AgentAway(sent=True, reason=type(error).__name__) from error

    async def cancel(self, agent: Endpoint, run_id: str) -> bool:
        """Ask the agent to end a run; return whether it agreed."""
        try:
            async with self._request("POST", agent, f"/tasks/{run_id}:cancel", _short(), data=b"{}") as response:
                return response.status < 300
        except _BROKEN:
            return False

    async def _events(self, method: str, agent: Endpoint, path: str, **options: Any) -> AsyncIterator[StreamItem]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=AGENT_SILENT_S)
        try:
            async with self._request(method, agent, path, timeout, **options) as response:
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

    def _request(
        self, method: str, agent: Endpoint, path: str, timeout: aiohttp.ClientTimeout, **options: Any
    ) -> _Request:
        # A redirect could carry the key to another host.
        return self._session.request(
            method,
            agent.url + path,
            headers={**agent.headers, **tracing.headers()},
            timeout=timeout,
            allow_redirects=False,
            **options,
        )


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
