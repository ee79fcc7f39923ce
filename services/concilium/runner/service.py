"""The runner's event loop, on a thread of its own beside Celery's."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
import structlog
import uvloop

from concilium.contracts.base import new_id
from concilium.home import Home
from concilium.queue import RECALLED, hear
from concilium.runner.agent import AgentClient
from concilium.runner.control import ControlPlane
from concilium.runner.endpoints import Endpoints
from concilium.runner.lane import Lane
from concilium.runner.leases import LeaseKeeper
from concilium.runner.limits import GIVE_UP_S, IDLE_CLAIM_S, STOP_GRACE_S
from concilium.runner.progress import ProgressPost
from concilium.runner.promises import Promises
from concilium.runner.served import Served
from concilium.runner.steps import Steps

log = structlog.get_logger(__name__)


class Service:
    """Everything the runner does, for every agent of the node it serves.

    Raises on creation:
        NotFound: an agent has no manifest.
        Unavailable: a key is missing.
        Invalid: an agent's key file or a foreign agent's output schema makes no sense.
    """

    def __init__(self, home: Home, served: Served, on_deaf: Callable[[], None]) -> None:
        self.runner = new_id("runner")
        self._home = home
        self._on_deaf = on_deaf
        self._node, urls = served.node, served.urls
        self.slots = {agent: home.catalog.agent(agent).slots for agent in urls}
        self._key = home.key_file("runner")
        self._key.accepted()  # a runner without a key does not start
        self._endpoints = Endpoints(home, served)
        self._promises = Promises(home.catalog.agent(agent) for agent in urls)
        self._lanes: dict[str, Lane] = {}
        self._keeper: LeaseKeeper | None = None
        self._loop = uvloop.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._working: set[asyncio.Task[Any]] = set()
        self._stop: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="runner-loop", daemon=True)

    def start(self) -> None:
        """Start the loop; return when hints can be taken."""
        self._thread.start()
        self._ready.wait()

    def hint(self, agent: str) -> None:
        """Take a hint from a Celery thread; return when what it led to is over."""
        asyncio.run_coroutine_threadsafe(self._tracked(self._lanes[agent].hint()), self._loop).result()

    def stop(self) -> None:
        """Take no more hints; let running steps end within `STOP_GRACE_S`, then give them up. Returns at once."""
        with suppress(RuntimeError):  # the loop is closed: everything is over already
            self._loop.call_soon_threadsafe(self._begin_stop)

    def join(self) -> None:
        """Stop and wait until everything is over."""
        self.stop()
        self._thread.join(2 * STOP_GRACE_S)

    def _begin_stop(self) -> None:
        if self._stop is None:
            self._stop = self._loop.create_task(self._wind_down())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
            control = ControlPlane(session, self._home.control_url, self._key)
            self._keeper = LeaseKeeper(control, self.runner)
            progress = ProgressPost(control)
            agents = AgentClient(session)
            node = self._node
            steps = Steps(control, agents, self._endpoints, self._promises, self._keeper, progress, node, self.runner)
            self._lanes = {agent: Lane(agent, slots, steps) for agent, slots in self.slots.items()}
            chores = [
                asyncio.create_task(chore) for chore in (self._keeper.run(), progress.run(), self._look(), self._hear())
            ]
            self._ready.set()
            log.info("runner started", runner=self.runner, node=node, agents=sorted(self.slots))
            await self._over.wait()
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)

    async def _hear(self) -> None:
        """Hear which tasks need no more work."""
        assert self._keeper is not None  # noqa: S101 - set before the chores begin
        async for tasks in hear(self._home.queue_url, RECALLED):
            self._keeper.recall(tasks)

    async def _look(self) -> None:
        """Look for work that no hint came for, each agent every few seconds."""
        looks: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(IDLE_CLAIM_S)
            for lane in self._lanes.values():
                look = asyncio.create_task(self._tracked(self._look_at(lane)))
                looks.add(look)
                look.add_done_callback(looks.discard)

    async def _tracked(self, work: Coroutine[Any, Any, None]) -> None:
        """Await work that a stop waits for."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._working.add(task)
        try:
            await work
        finally:
            self._working.discard(task)

    async def _look_at(self, lane: Lane) -> None:
        if await lane.look():
            log.error("the consumer is deaf; ending to be started again", agent=lane.agent)
            self._begin_stop()
            self._on_deaf()

    async def _wind_down(self) -> None:
        for lane in self._lanes.values():
            lane.stopping = True
        if self._working:
            await asyncio.wait(self._working, timeout=STOP_GRACE_S)
        if self._keeper is not None:
            self._keeper.end_all()
        if self._working:
            await asyncio.wait(self._working, timeout=GIVE_UP_S)
        self._over.set()
