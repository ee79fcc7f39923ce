"""What starting a sandbox costs, per rung: ``python benchmarks/sandbox.py [runs]``.

Prints, for ``print('hello')``, the time from asking for a run to having its outcome (minimum, median, maximum), beside
the same interpreter started without a sandbox.
"""

import asyncio
import statistics
import sys
import time

from concilium.workers.code.sandbox.job import Job
from concilium.workers.code.sandbox.launch import carry_out
from concilium.workers.code.sandbox.probe import probe
from concilium.workers.code.sandbox.rungs import RUNGS, interpreters

_HELLO = "print('hello')"


async def _bare(path: str) -> float:
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(path, "-I", "-B", "-c", _HELLO, stdout=asyncio.subprocess.PIPE)
    await process.communicate()
    return time.perf_counter() - started


def _row(name: str, times: list[float], python: str) -> None:
    low, middle, high = (f"{1000 * value:8.1f}" for value in (min(times), statistics.median(times), max(times)))
    print(f"{name:<14}{low}{middle}{high}  {python}")


async def main(runs: int) -> None:
    """Measure and print the table."""
    print(f"{'rung':<14}{'min ms':>8}{'median':>8}{'max':>8}  Python ({runs} runs)")
    for interpreter in interpreters():
        _row("none", [await _bare(interpreter.path) for _ in range(runs)], interpreter.path)
    for report in (await probe([rung.name for rung in RUNGS])).rungs:
        if not report.interpreter:
            print(f"{report.name:<14}not here: {report.reason}")
            continue
        rung = next(rung for rung in RUNGS if rung.name == report.name)
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            await carry_out(rung, report.interpreter, Job("python", _HELLO.encode(), "main.py"))
            times.append(time.perf_counter() - started)
        _row(report.name, times, report.interpreter.path)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
