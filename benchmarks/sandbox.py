"""The sandbox, measured: ``python benchmarks/sandbox.py [--runs N] [--rung NAME …]`` and ``… --escapes``.

Without ``--escapes``: what starting costs, per rung. For ``print('hello')``, the time from asking for a run to having
its outcome (minimum, median, maximum), beside the same interpreter started without a sandbox.

With ``--escapes``: every attempt to break out, against every rung that holds here, with a control group and with the
supervisor alone. ``held``: it failed. ``stated``: it succeeded, and the rung itself says that it does not bound this.
``ESCAPED``: it succeeded, and the exit status is 1. Takes some minutes.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rich.progress import Progress

from concilium.workers.code.sandbox.job import Job
from concilium.workers.code.sandbox.launch import carry_out
from concilium.workers.code.sandbox.probe import RungReport, probe
from concilium.workers.code.sandbox.rung import interpreters
from concilium.workers.code.sandbox.rungs import RUNGS
from support.escapes.attempt import Attempt
from support.escapes.judge import Verdict, judge
from support.escapes.suite import ATTEMPTS

_HELLO = "print('hello')"


async def _bare(path: str) -> float:
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(path, "-I", "-B", "-c", _HELLO, stdout=asyncio.subprocess.PIPE)
    await process.communicate()
    return time.perf_counter() - started


def _row(name: str, times: list[float], python: str) -> None:
    low, middle, high = (f"{1000 * value:8.1f}" for value in (min(times), statistics.median(times), max(times)))
    print(f"{name:<24}{low}{middle}{high}  {python}")


async def _reports(names: Sequence[str]) -> dict[str, RungReport]:
    """Return every rung that holds, with a control group where one can be made and without, by a name for the table."""
    found = {}
    for control_groups in (True, False):
        for report in (await probe(names, control_groups=control_groups)).rungs:
            if not report.holds:
                print(f"{report.name:<24}not here: {report.reason}") if control_groups else None
            elif control_groups and report.controls.label:
                found[f"{report.name}, cgroup"] = report
            else:
                found.setdefault(f"{report.name}, supervisor", report)
    return found


async def costs(names: Sequence[str], runs: int) -> int:
    """Measure what starting costs, and print the table."""
    print(f"{'rung':<24}{'min ms':>8}{'median':>8}{'max':>8}  Python ({runs} runs)")
    for interpreter in interpreters():
        _row("none", [await _bare(interpreter.path) for _ in range(runs)], interpreter.path)
    for name, report in (await _reports(names)).items():
        rung = next(rung for rung in RUNGS if rung.name == report.name)
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            assert report.interpreter
            await carry_out(rung, report.interpreter, Job("python", _HELLO.encode(), "main.py"), report.controls)
            times.append(time.perf_counter() - started)
        _row(name, times, report.interpreter.path if report.interpreter else "")
    return 0


async def escapes(names: Sequence[str], attempts: Sequence[Attempt]) -> int:
    """Carry out every attempt on every rung, print the table, and return 1 when one succeeded that no rung states."""
    reports = await _reports(names)
    table: dict[str, dict[str, Verdict]] = {attempt.label: {} for attempt in attempts}
    with Progress(transient=True) as progress:
        bar = progress.add_task("attempts", total=len(attempts) * len(reports))
        for name, report in reports.items():
            for attempt in attempts:
                table[attempt.label][name] = await judge(attempt, report)
                progress.advance(bar)
    width = max(len(label) for label in table) + 2
    heads = list(reports)
    print(f"{'attempt':<{width}}" + "".join(f"{name:<24}" for name in heads))
    for label, verdicts in table.items():
        cells = "".join(f"{verdicts[name].word + ' (' + verdicts[name].how + ')':<24}" for name in heads)
        print(f"{label:<{width}}{cells}".rstrip())
    everything = [verdict for verdicts in table.values() for verdict in verdicts.values()]
    for verdict in everything:
        if verdict.word == "ESCAPED":
            print(f"\n{verdict.attempt.label} on {verdict.rung}: {'; '.join(verdict.successes)}")
    counts = {word: sum(verdict.word == word for verdict in everything) for word in ("held", "stated", "ESCAPED")}
    print(
        f"\n{len(attempts)} attempts on {len(heads)} rungs: " + ", ".join(f"{n} {word}" for word, n in counts.items())
    )
    return 1 if counts["ESCAPED"] else 0


def main(arguments: Sequence[str]) -> int:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rung", action="append", choices=[rung.name for rung in RUNGS], help="all when left out")
    parser.add_argument("--escapes", action="store_true")
    parser.add_argument("--only", default="", help="attempts whose name or family holds this")
    options = parser.parse_args(arguments)
    names = options.rung or [rung.name for rung in RUNGS]
    attempts = [attempt for attempt in ATTEMPTS if options.only in attempt.label]
    return asyncio.run(escapes(names, attempts) if options.escapes else costs(names, options.runs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
