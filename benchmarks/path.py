"""What the path costs: submit → completed as an SSE client sees it, with a skill that does nothing.

    python -m benchmarks.path [--ledger sqlite|postgres|both] [--tasks 5000]

Beside it, in the same run and over the same Redis, a bare Celery round trip. Everything runs on this machine, the load
generator too, so its share of the CPU is part of the figures.
"""

import argparse
import asyncio
import contextlib
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from benchmarks import celery_bare

from support.mesh import Mesh
from support.postgres import running_postgres

TEXT = "echo hello"
IN_FLIGHT = 32
"""Tasks in flight while the maximum is measured."""
LATENCY_TASKS = 200
HALF_RATE_S = 10.0
_SAMPLE = re.compile(r"^(\w+?)(?:_total)?(?:\{(.*?)\})? ([0-9.e+-]+)$", re.MULTILINE)


@dataclass
class Figures:
    """What one ledger's run measured."""

    ledger: str
    one: list[float] = field(default_factory=list)
    """Seconds from submit to completed, one in flight."""
    half: list[float] = field(default_factory=list)
    """The same at half the maximum rate."""
    rate: float = 0.0
    """Tasks a second, sustained."""
    commits: float = 0.0
    """Write transactions a task. One group commit may hold several tasks' operations."""
    requests: dict[str, float] = field(default_factory=dict)
    """Requests the control plane answered a task, by route."""
    cpu_ms: dict[str, float] = field(default_factory=dict)
    """CPU milliseconds a task, by process."""
    idle_mb: dict[str, float] = field(default_factory=dict)
    loaded_mb: dict[str, float] = field(default_factory=dict)
    bare: list[float] = field(default_factory=list)
    bare_rate: float = 0.0


class Caller:
    """A client of the public API with one connection pool."""

    def __init__(self, mesh: Mesh, session: aiohttp.ClientSession) -> None:
        self._mesh = mesh
        self._session = session

    async def submit(self) -> str:
        """Submit a task; return its id."""
        async with self._session.post(f"{self._mesh.url}/v1/ask", json={"text": TEXT}) as answer:
            answer.raise_for_status()
            return str((await answer.json())["id"])

    async def follow(self, task_id: str) -> None:
        """Read the task's events until it ended. Raises when it did not complete."""
        async with self._session.get(f"{self._mesh.url}/v1/tasks/{task_id}/events") as answer:
            answer.raise_for_status()
            said = await answer.content.read()
        if b'"state":"completed"' not in said:
            raise RuntimeError(f"task {task_id} did not complete: {said[-500:]!r}")

    async def timed(self) -> float:
        """Submit, follow, return the seconds it took."""
        start = time.perf_counter()
        await self.follow(await self.submit())
        return time.perf_counter() - start

    async def metrics(self) -> dict[tuple[str, str], float]:
        """Return the control plane's samples by name and labels."""
        async with self._session.get(f"{self._mesh.url}/metrics") as answer:
            answer.raise_for_status()
            text = await answer.text()
        return {(m[1], m[2] or ""): float(m[3]) for m in _SAMPLE.finditer(text)}


@contextlib.asynccontextmanager
async def caller_of(mesh: Mesh) -> AsyncIterator[Caller]:
    """Yield a client with the admin's key."""
    headers = {"Authorization": f"Bearer {mesh.key()}"}
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT * 4)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        yield Caller(mesh, session)


async def sustained(caller: Caller, tasks: int, tick: Callable[[], None]) -> float:
    """Run ``tasks`` tasks, `IN_FLIGHT` at a time; return tasks a second."""
    left = iter(range(tasks))

    async def client() -> None:
        for _ in left:
            await caller.timed()
            tick()

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(client())
    return tasks / (time.perf_counter() - start)


async def at_rate(caller: Caller, rate: float, seconds: float) -> list[float]:
    """Submit at a steady rate whatever comes back (open loop); return each task's seconds."""
    took: list[float] = []

    async def one() -> None:
        took.append(await caller.timed())

    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            group.create_task(one())
    return took


async def measure(mesh: Mesh, figures: Figures, tasks: int, progress: Progress) -> None:
    """Fill the figures of a running mesh."""
    async with caller_of(mesh) as caller:
        for _ in range(50):
            await caller.timed()
        figures.idle_mb = memory(mesh)
        step = progress.add_task(f"{figures.ledger}: one in flight", total=LATENCY_TASKS)
        for _ in range(LATENCY_TASKS):
            figures.one.append(await caller.timed())
            progress.advance(step)
        before, cpu = await caller.metrics(), cpu_seconds(mesh)
        step = progress.add_task(f"{figures.ledger}: {tasks} tasks, {IN_FLIGHT} in flight", total=tasks)
        figures.rate = await sustained(caller, tasks, lambda: progress.advance(step))
        after, spent = await caller.metrics(), cpu_seconds(mesh)
        figures.cpu_ms = {name: (spent[name] - cpu[name]) * 1000 / tasks for name in cpu}
        figures.commits = (after["concilium_ledger_commits", ""] - before["concilium_ledger_commits", ""]) / tasks
        figures.requests = requests_per_task(before, after, tasks)
        figures.loaded_mb = memory(mesh)
        step = progress.add_task(f"{figures.ledger}: half the maximum rate", total=None)
        figures.half = await at_rate(caller, figures.rate / 2, HALF_RATE_S)
        progress.update(step, total=1, completed=1)


def requests_per_task(
    before: dict[tuple[str, str], float], after: dict[tuple[str, str], float], tasks: int
) -> dict[str, float]:
    """Return requests a task by route, those that come less than once in a hundred tasks left out."""
    found: dict[str, float] = {}
    for (name, labels), value in after.items():
        route = re.search(r'route="([^"]*)"', labels)
        if name == "concilium_http_requests" and route:
            found[route[1]] = found.get(route[1], 0.0) + (value - before.get((name, labels), 0.0)) / tasks
    return {route: count for route, count in found.items() if count >= 0.01}


def memory(mesh: Mesh) -> dict[str, float]:
    """Return each process's resident megabytes, and their sum."""
    found = {name: psutil.Process(mesh.pid(name)).memory_info().rss / 1e6 for name in mesh.processes}
    return found | {"all": sum(found.values())}


def cpu_seconds(mesh: Mesh) -> dict[str, float]:
    """Return the CPU seconds each process and this one have used."""
    processes = {name: psutil.Process(mesh.pid(name)) for name in mesh.processes} | {"load generator": psutil.Process()}
    return {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}


def run(ledger: str, url: str, tasks: int, progress: Progress) -> Figures:
    """Start a mesh on a ledger, measure it and a bare Celery beside it."""
    figures = Figures(ledger)
    with Mesh.temporary(ledger_url=url) as mesh:
        mesh.start()
        asyncio.run(measure(mesh, figures, tasks, progress))
        step = progress.add_task(f"{ledger}: bare Celery", total=None)
        with celery_bare.worker(mesh.redis_url) as client:
            celery_bare.round_trips(client, 50)
            figures.bare = celery_bare.round_trips(client, LATENCY_TASKS)
            figures.bare_rate = celery_bare.rate(client, min(tasks, 2000))
        progress.update(step, total=1, completed=1)
    return figures


def percentile(values: Sequence[float], share: float) -> str:
    """Return a percentile in milliseconds."""
    return f"{statistics.quantiles(values, n=1000)[round(share * 1000) - 1] * 1000:.1f} ms"


ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("one in flight, p50", lambda f: percentile(f.one, 0.5)),
    ("one in flight, p99", lambda f: percentile(f.one, 0.99)),
    ("half the maximum rate, p50", lambda f: percentile(f.half, 0.5)),
    ("half the maximum rate, p99", lambda f: percentile(f.half, 0.99)),
    ("sustained", lambda f: f"{f.rate:.0f} tasks/s"),
    ("bare Celery, one in flight, p50", lambda f: percentile(f.bare, 0.5)),
    ("bare Celery, sustained", lambda f: f"{f.bare_rate:.0f} tasks/s"),
    ("write transactions a task", lambda f: f"{f.commits:.2f}"),
    ("HTTP requests a task", lambda f: f"{sum(f.requests.values()) + 1:.2f} (one of them to the agent)"),
)


def report(found: list[Figures]) -> Table:
    """Return the figures as a table, one column a ledger."""
    table = Table("", *(f.ledger for f in found), title="The path, with a skill that does nothing")
    for title, row in ROWS:
        table.add_row(title, *(row(f) for f in found))
    for title, attribute, unit in (
        ("requests", "requests", ""),
        ("CPU a task", "cpu_ms", " ms"),
        ("idle RSS", "idle_mb", " MB"),
        ("loaded RSS", "loaded_mb", " MB"),
    ):
        table.add_section()
        for name in sorted({name for f in found for name in getattr(f, attribute)}):
            table.add_row(f"{title}: {name}", *(f"{getattr(f, attribute).get(name, 0):.2f}{unit}" for f in found))
    return table


@contextlib.contextmanager
def ledgers(which: str) -> Iterator[list[tuple[str, str]]]:
    """Yield the ledgers to measure as (name, URL); an empty URL is SQLite in the mesh's home."""
    chosen = [("SQLite", "")] if which in {"sqlite", "both"} else []
    if which == "sqlite":
        yield chosen
        return
    with running_postgres() as server:
        yield [*chosen, ("PostgreSQL", server.database())]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--tasks", type=int, default=5000)
    options = parser.parse_args()
    console = Console()
    with ledgers(options.ledger) as chosen, Progress(console=Console(stderr=True)) as progress:
        found = [run(name, url, options.tasks, progress) for name, url in chosen]
    console.print(report(found))


if __name__ == "__main__":
    main()
