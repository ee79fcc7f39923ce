"""What tracing costs: processor time a task, off, on, and on with nobody who receives.

    python -m benchmarks.tracing [--tasks 400] [--rounds 3]

The three are measured in turns, on meshes that run side by side, so that what else this machine does falls on each
alike. Off, a span is one call that returns; how long that takes is measured by itself.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
import timeit
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from benchmarks.path import caller_of, cpu_seconds, sustained

from concilium import tracing
from support.mesh import Mesh
from support.otlp import receiving
from support.ports import free_port

SPANS = 6
"""Of a task of one step: request, submit, queue, step, call, run."""
CALLS = 200_000


def off_ns() -> float:
    """Return what a span costs where nothing is traced, in nanoseconds, the building of its attributes included."""

    def one() -> None:
        with tracing.span("step", {"concilium.task": "task_1", "concilium.attempt": 1}):
            pass

    return min(timeit.repeat(one, number=CALLS, repeat=5)) / CALLS * 1e9


def cpu_ms(mesh: Mesh, tasks: int) -> tuple[float, float]:
    """Have a mesh do so many tasks; return processor milliseconds and milliseconds of waiting a task."""

    async def work() -> None:
        async with caller_of(mesh) as caller:
            await sustained(caller, tasks, lambda: None)

    before, began = spent(mesh), time.perf_counter()
    asyncio.run(work())
    took = time.perf_counter() - began
    return (spent(mesh) - before) / tasks * 1e3, took / tasks * 1e3


def spent(mesh: Mesh) -> float:
    """Return the processor seconds of a mesh's processes; the receiver and the callers are in this one."""
    return sum(seconds for name, seconds in cpu_seconds(mesh).items() if name != "load generator")


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=400, help="in each round of each mesh")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    table = Table("tracing", "CPU ms a task", "ms a task, 32 in flight")
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        urls = {"off": "", "on": receiver.url, "on, nobody receives": f"http://127.0.0.1:{free_port()}/v1/traces"}
        meshes = {}
        for name, url in urls.items():
            settings = {"CONCILIUM_TRACING__OTLP_URL": url} if url else {}
            meshes[name] = stack.enter_context(Mesh.temporary(settings=settings))
            meshes[name].start()
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in meshes}
        for turn in range(options.rounds + 1):
            for name, mesh in meshes.items():
                measured = cpu_ms(mesh, options.tasks)
                if turn:  # the first warms up
                    found[name].append(measured)
        for name, rows in found.items():
            cpu, took = (statistics.median(row[part] for row in rows) for part in (0, 1))
            table.add_row(name, f"{cpu:.2f}", f"{took:.2f}")
        console = Console()
        console.print(table)
        console.print(f"{len(receiver.spans)} spans received; off, a span takes {off_ns():.0f} ns ({SPANS} a task)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
