"""What a wire costs: an agent that does nothing, on another host, at growing delays and with loss.

    sudo .venv/bin/python -m benchmarks.nodes [--tasks 400]

The host is a network namespace of this machine; the wire between them is a process that holds packets back. Everything
runs on this machine, so the first row, without delay, is what the others compare to.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.hosts import Host, Hosts, why_not
from support.hosts.remote import RemoteAgent, install
from support.mesh import Mesh
from support.runner import Caller, echo

AGENT = "noop"
IN_FLIGHT = 32
ONE_BY_ONE = 20
"""Tasks of which only one is under way, for the latency."""


@dataclass(frozen=True)
class Manner:
    """How the wire treats packets."""

    delay_s: float = 0.0
    loss: float = 0.0

    @property
    def name(self) -> str:
        """What stands in the table."""
        lost = f", {self.loss:.0%} lost" if self.loss else ""
        return f"{self.delay_s * 1000:.0f} ms each way{lost}"


MANNERS = (Manner(), Manner(0.05), Manner(0.2), Manner(0.0, 0.02), Manner(0.05, 0.02))


@dataclass(frozen=True)
class Figures:
    """What was measured over one wire."""

    manner: Manner
    one: Sequence[float]
    """Seconds of each task, one under way."""
    rate: float
    """Tasks a second, `IN_FLIGHT` under way."""


@contextlib.contextmanager
def away() -> Iterator[tuple[Mesh, Host]]:
    """Yield a mesh whose only agent is on another host."""
    hosts = Hosts()
    try:
        with tempfile.TemporaryDirectory(prefix="far-") as folder:
            far = RemoteAgent(AGENT, hosts.make(), Path(folder), "m" * 43)
            far.start()
            settings = {
                "CONCILIUM_RUNNER__AGENTS": json.dumps({AGENT: far.url}),
                "CONCILIUM_AGENTS__START": "[]",
            }
            with Mesh.temporary(control_module="support.json_fold", agents=(), settings=settings) as mesh:
                install(AGENT, mesh.root)
                mesh.start()
                yield mesh, far.host
            far.stop()
    finally:
        hosts.close()


async def timed(caller: Caller) -> float:
    """Submit a task, wait for its end, return the seconds. Raises when it did not complete."""
    start = time.perf_counter()
    task = await caller.ask(echo(), wait_s=60.0)
    ended = await caller.ended(task)
    if ended["state"] != "completed":
        raise RuntimeError(f"task {task} ended as {ended['state']}")
    return time.perf_counter() - start


async def measure(mesh: Mesh, host: Host, manner: Manner, tasks: int) -> Figures:
    """Return the figures of one wire."""
    host.wire(delay_s=manner.delay_s, loss=manner.loss)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {mesh.key()}"}) as session:
        caller = Caller(mesh, session)
        one = [await timed(caller) for _ in range(ONE_BY_ONE)]
        left = iter(range(tasks))

        async def client() -> None:
            for _ in left:
                await timed(caller)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(client())
        return Figures(manner, one, tasks / (time.perf_counter() - start))


def report(found: Sequence[Figures]) -> Table:
    """Return the figures as a table, a row for each wire."""
    table = Table("wire", "one under way, median", "slowest", f"{IN_FLIGHT} under way", title="An agent far away")
    for figures in found:
        median, slowest = statistics.median(figures.one) * 1000, max(figures.one) * 1000
        table.add_row(figures.manner.name, f"{median:.0f} ms", f"{slowest:.0f} ms", f"{figures.rate:.0f} tasks/s")
    return table


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=400)
    options = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"not measured: {reason}", file=sys.stderr)
        return 2
    with away() as (mesh, host), Progress(console=Console(stderr=True)) as progress:
        found = []
        for manner in progress.track(MANNERS, description="wires"):
            found.append(asyncio.run(measure(mesh, host, manner, options.tasks)))
    Console().print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
