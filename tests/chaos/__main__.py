"""``make chaos``: the mesh under seeded bad luck, on both databases, and the proof that the checker would notice.

python -m tests.chaos [--tasks 300] [--seeds 1] [--ledger both] [--short] [--supervised] [--no-red] [--logs DIR]
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "services"), str(ROOT / "tests")]

from chaos.checker import Report, check  # noqa: E402  # the path has to be set first
from chaos.disk import can_mount, enter_namespace  # noqa: E402
from chaos.run import Outcome, Plan, run  # noqa: E402
from support.postgres import running_postgres  # noqa: E402

TASKS, LENGTH_S = 300, 75.0
SHORT_TASKS, SHORT_LENGTH_S, SHORT_RED_S = 60, 28.0, 12.0
"""Faults come in the same order whatever the length; the late completions that the proof needs come first."""
SHOWN = 12
"""Violations printed of a run."""


def main(arguments: Sequence[str]) -> int:
    """Run the plans; return 0 when every fenced run is green and every unfenced one red."""
    options = _options(arguments)
    enter_namespace(["-m", "tests.chaos", *arguments])
    began = time.monotonic()
    if not can_mount():
        say("no disk is filled in this run: it takes a mount, which neither root nor a user namespace can make here")
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres()) if options.ledger != "sqlite" else None
        servers = {"sqlite": (None,), "postgres": (postgres,), "both": (None, postgres)}[options.ledger]
        tasks = options.tasks or (SHORT_TASKS if options.short else TASKS)
        length_s = SHORT_LENGTH_S if options.short else LENGTH_S
        plans = [Plan(seed, tasks, length_s, server, keep=options.logs) for seed in options.seeds for server in servers]
        good = not [plan for plan in plans if not green(plan)]
        if options.supervised:
            good = green(replace(plans[0], supervised=True)) and good
        if not options.no_red:
            red = [plan for plan in plans if plan.seed == options.seeds[0]]
            red = [replace(red[0], length_s=SHORT_RED_S, tasks=SHORT_TASKS // 2)] if options.short else red
            good = not [plan for plan in red if not turns_red(replace(plan, fenced=False))] and good
    say(f"\n{'everything as it must be' if good else 'NOT as it must be'}, after {time.monotonic() - began:.0f} s")
    return 0 if good else 1


def green(plan: Plan) -> bool:
    """Run a plan; return whether nothing was lost."""
    where = f"{plan.ledger}{', supervised' if plan.supervised else ''}"
    say(f"\n=== seed {plan.seed} on {where}: {plan.tasks} tasks, {plan.length_s:g} s of bad luck ===")
    outcome = run(plan, say)
    report = check(outcome.evidence)
    show(outcome, report)
    return report.green


def turns_red(plan: Plan) -> bool:
    """Run a plan without the fencing check; return whether the checker noticed."""
    say(f"\n=== seed {plan.seed} on {plan.ledger} again, fencing check off: this must turn red ===")
    outcome = run(plan, say)
    report = check(outcome.evidence)
    show(outcome, report)
    stale = report.broken()["one commit, under the latest fence"]
    say(f"red as it must be: {stale} commits under a stale fence" if stale else "GREEN, and it must not be")
    return bool(stale)


def show(outcome: Outcome, report: Report) -> None:
    """Print what was done, what came of it, and each rule's verdict."""
    callers = outcome.callers
    say(f"\nrequests sent {callers.tries}, refused {callers.refused}, unanswered {callers.unanswered}")
    say(f"for lack of space: {callers.disk_full} requests refused, {outcome.full} other writes")
    _table("faults", outcome.luck.done)
    _table("ended by themselves", outcome.luck.deaths)
    _table("the engine's answers", outcome.answers)
    _table("counts", report.counts)
    say(f"\n{'rule':<38} {'violations':>10}")
    for rule, count in report.broken().items():
        say(f"{rule:<38} {count:>10}")
    for violation in report.violations[:SHOWN]:
        say(f"  {violation}")
    if len(report.violations) > SHOWN:
        say(f"  … and {len(report.violations) - SHOWN} more")
    word = "green" if report.green else f"RED, {len(report.violations)} violations"
    say(f"{word}; {outcome.took_s:.0f} s, {outcome.calm_s:.0f} s of them until the last callback")


def say(text: str) -> None:
    print(text, flush=True)


def _table(title: str, numbers: Counter[str] | dict[str, int]) -> None:
    if numbers:
        say(f"\n{title}")
        for name, count in sorted(numbers.items()) if isinstance(numbers, Counter) else numbers.items():
            say(f"  {name:<36} {count:>10}")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tasks", type=int, help=f"in each run (default {TASKS}, short {SHORT_TASKS})")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1])
    parser.add_argument("--ledger", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--short", action="store_true", help="about two minutes")
    parser.add_argument(
        "--supervised", action="store_true", help="one more run, under the supervisor of `concilium up`"
    )
    parser.add_argument("--no-red", action="store_true", help="leave the proof without fences out")
    parser.add_argument("--logs", type=Path, help="keep every process's log in this folder")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
