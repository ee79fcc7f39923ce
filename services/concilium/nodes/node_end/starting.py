"""Whether the agents of a node have started: it is silent about itself until then, and home gives it no work before."""

import asyncio
import time
from collections.abc import Collection
from typing import Final

import httpx

STARTING_S: Final = 60.0
"""An agent that has not started by then does not keep the others from working."""
_ASK_S: Final = 2.0


class Starting:
    """Remembers that the agents behind some ports of this machine have once been ready."""

    def __init__(self, ports: Collection[int]) -> None:
        self._waited_for = set(ports)
        self._until = time.monotonic() + STARTING_S

    async def over(self) -> bool:
        """Whether no agent is starting any more: each has been ready, or had its time."""
        if self._waited_for and time.monotonic() < self._until:
            async with httpx.AsyncClient(timeout=_ASK_S, trust_env=False) as client:
                asked = sorted(self._waited_for)
                ready = await asyncio.gather(*(_ready(client, port) for port in asked))
            self._waited_for -= {port for port, is_ready in zip(asked, ready, strict=True) if is_ready}
        return not self._waited_for or time.monotonic() >= self._until


async def _ready(client: httpx.AsyncClient, port: int) -> bool:
    """Whether an agent says it is ready; what listens and does not speak HTTP has nothing to wait for."""
    try:
        return (await client.get(f"http://127.0.0.1:{port}/ready")).status_code != httpx.codes.SERVICE_UNAVAILABLE
    except httpx.RemoteProtocolError:
        return True
    except httpx.HTTPError:
        return False
