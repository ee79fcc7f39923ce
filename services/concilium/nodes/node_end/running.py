"""Which agents of a node run. Until all have started it is silent about itself, and home gives it no work before."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import httpx

STARTING_S: Final = 60.0
"""An agent that has not started by then does not keep the others from working."""
_ASK_S: Final = 2.0


class Running:
    """Looks at the agents behind some ports of this machine."""

    def __init__(self, agents: Mapping[str, int]) -> None:
        """Look at agents by name."""
        self._agents = agents
        self._starting = set(agents)
        self._until = time.monotonic() + STARTING_S

    async def look(self) -> tuple[str, ...] | None:
        """Return the agents that are ready now; None while one is starting that has never been, and has time left."""
        async with httpx.AsyncClient(timeout=_ASK_S, trust_env=False) as client:
            ready = await asyncio.gather(*(_ready(client, port) for port in self._agents.values()))
        running = tuple(agent for agent, is_ready in zip(self._agents, ready, strict=True) if is_ready)
        self._starting.difference_update(running)
        return None if self._starting and time.monotonic() < self._until else running


async def _ready(client: httpx.AsyncClient, port: int) -> bool:
    """Whether an agent says it is ready; what listens and does not speak HTTP has nothing to wait for."""
    try:
        return (await client.get(f"http://127.0.0.1:{port}/ready")).status_code != httpx.codes.SERVICE_UNAVAILABLE
    except httpx.RemoteProtocolError:
        return True
    except httpx.HTTPError:
        return False
