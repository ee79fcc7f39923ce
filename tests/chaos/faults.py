"""Does to a mesh what the schedule says, and plays the supervisor: what ends is started again."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chaos.disk import Disk
from chaos.mesh import ChaosMesh
from chaos.schedule import Fault, Kind

WATCH_S = 0.2
RESTART_S = 0.5
LEASE_SHARE = 0.6
"""The agents stand still from this share of the lease on, while the runs they have are already over."""
ARRIVE_S = 0.7
"""Time for what was on its way to arrive."""


class Faults:
    """One mesh's bad luck."""

    def __init__(self, mesh: ChaosMesh, disk: Disk | None, say: Callable[[str], None]) -> None:
        self.done: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        """Processes that ended without our doing, by name and exit code."""
        self._mesh = mesh
        self._disk = disk
        self._say = say
        self._locks = {name: asyncio.Lock() for name in (*mesh.all_names, "disk")}

    async def run(self, faults: Sequence[Fault]) -> None:
        """Commit every fault at its time; return when the last one is over."""
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._at(began, fault) for fault in faults))

    async def supervise(self) -> None:
        """Start again what ended by itself, until cancelled."""
        while True:
            for name, code in self._mesh.ended().items():
                self.deaths[f"{name} exit {code}"] += 1
                asyncio.get_running_loop().call_later(RESTART_S, self._revive, name)
            await asyncio.sleep(WATCH_S)

    def _revive(self, name: str) -> None:
        if name not in self._mesh.processes and not self._locks[name].locked():
            self._mesh.launch(name)

    async def _at(self, began: float, fault: Fault) -> None:
        await asyncio.sleep(began + fault.at_s - asyncio.get_running_loop().time())
        self._say(str(fault))
        if fault.kind is Kind.LATE:
            await self._late(fault)
        else:
            async with self._locks[fault.target]:
                await self._one(fault)
        self.done[f"{fault.kind} {fault.target}"] += 1

    async def _one(self, fault: Fault) -> None:
        if fault.kind is Kind.FREEZE:
            await self._frozen(fault.target, fault.for_s)
        elif fault.kind is Kind.PAUSE:
            await self._redis_pause(fault.for_s)
        elif fault.kind is Kind.DISK_FULL:
            await self._disk_full(fault.for_s)
        else:
            await asyncio.to_thread(self._mesh.end, fault.target)
            if fault.kind is Kind.RESTART_WITHOUT_DATA:
                self._mesh.lose_redis_data()
            await asyncio.sleep(fault.for_s)
            if fault.target not in self._mesh.processes:
                self._mesh.launch(fault.target)

    async def _frozen(self, name: str, for_s: float) -> None:
        self._mesh.signal(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            self._mesh.signal(name, signal.SIGCONT)

    async def _late(self, fault: Fault) -> None:
        """Let a runner's completions arrive after another runner was granted the same steps.

        The runner's network stops. What its steps have to say stays on the way, its leases run out, the steps are
        granted to another runner, which attaches to agents that stand still. Then the network goes on: the late
        completions arrive while the steps are leased to somebody else.
        """
        link = fault.target.replace("runner", "link")
        async with self._locks[link], asyncio.TaskGroup() as group:
            network = group.create_task(self._frozen(link, fault.for_s))
            await asyncio.sleep(self._mesh.lease_ttl_s * LEASE_SHARE)
            for agent in self._mesh.agents:
                group.create_task(self._still(agent, network))

    async def _still(self, agent: str, network: "asyncio.Task[None]") -> None:
        async with self._locks[agent]:
            self._mesh.signal(agent, signal.SIGSTOP)
            try:
                await network
                await asyncio.sleep(ARRIVE_S)
            finally:
                self._mesh.signal(agent, signal.SIGCONT)

    async def _redis_pause(self, for_s: float) -> None:
        client = Redis(unix_socket_path=str(self._mesh.home.redis_socket), socket_timeout=1.0)
        try:
            await client.client_pause(int(for_s * 1000))
            await asyncio.sleep(for_s)
        except RedisError:
            pass  # it is away already, which is worse
        finally:
            await client.aclose()

    async def _disk_full(self, for_s: float) -> None:
        if self._disk is None:
            return
        await asyncio.to_thread(self._disk.fill)
        try:
            await asyncio.sleep(for_s)
        finally:
            self._disk.free()
