"""Measure the skill router on the labelled requests: ``python benchmarks/router.py [--errors dev]``.

Prints, per split and language: exact-plan accuracy (skills, their order, and where each input comes from), how often it
asked when it should, how often it asked although it should not, wrong plans, and the time per request.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from concilium.brain.admit import Admitted
from concilium.brain.references import is_reference, parse
from concilium.brain.router import Routed, SkillRouter
from concilium.brain.schemas import SkillIndex
from concilium.brain.words import language_of
from concilium.contracts.base import JSON
from concilium.contracts.parts import FileRef
from concilium.contracts.plan import Plan, PlanStep
from concilium.home import Home

DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "router"
SPLITS = ("dev", "test", "review")


def load() -> list[dict[str, JSON]]:
    """Return the labelled requests."""
    files = (DATA / "requests.jsonl", DATA / "hands.jsonl", DATA / "review.jsonl")
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def admitted(case: dict[str, JSON]) -> Admitted:
    """Return a labelled request as the router sees it."""
    files = tuple(
        FileRef(sha256=f"{i:064x}", name=f["name"], media_type=f["media_type"], size=1000)
        for i, f in enumerate(case["files"])
    )
    return Admitted(text=case["text"], replies=(), files=files, language=language_of(case["text"]))


def shape(plan: Plan) -> list[dict[str, JSON]]:
    """Return a plan in the form of the labels."""
    place = {step.name: number for number, step in enumerate(plan.steps)}
    return [{"skill": step.skill, "uses": sorted(_uses(step, place))} for step in plan.steps]


def _uses(step: PlanStep, place: dict[str, int]) -> Iterable[str]:
    values = [v for value in step.input.values() for v in (value if isinstance(value, list) else [value])]
    for value in values:
        if is_reference(value):
            found = parse(value)
            yield f"file:{found.index}" if found.kind == "file" else f"step:{place[found.step]}"
    if "source" in step.input:
        yield "code"
    if isinstance(step.input.get("text"), str):
        yield "text"


def spoken(plan: Plan) -> list[JSON]:
    """Return the words of the request a plan speaks; a case may label them as ``spoken``."""
    return [step.input["text"] for step in plan.steps if isinstance(step.input.get("text"), str)]


def judge(case: dict[str, JSON], router: SkillRouter) -> tuple[str, JSON]:
    """Return the verdict (``exact``, ``asked-right``, ``asked-wrong``, ``guessed``, ``wrong``) and what was decided."""
    routed = router.route(admitted(case))
    if not isinstance(routed, Routed):
        return ("asked-right" if case["expect"] == "ask" else "asked-wrong"), "ask"
    got = shape(routed.plan)
    if case["expect"] == "ask":
        return "guessed", got
    right = got == case["expect"] and spoken(routed.plan) == case.get("spoken", spoken(routed.plan))
    return ("exact" if right else "wrong"), got


def row(name: str, verdicts: list[str]) -> str:
    """Return one line of the table."""
    count = {v: verdicts.count(v) for v in ("exact", "asked-right", "asked-wrong", "guessed", "wrong")}
    plans = count["exact"] + count["asked-wrong"] + count["wrong"]
    asks = count["asked-right"] + count["guessed"]
    right = count["exact"] + count["asked-right"]
    return (
        f"{name:<16}{len(verdicts):>5}  {right / len(verdicts):>7.1%}  {count['exact']:>4}/{plans:<4}"
        f"{count['asked-right']:>6}/{asks:<4}{count['asked-wrong']:>9}{count['guessed']:>9}{count['wrong']:>8}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--errors", choices=SPLITS, help="also list the mistakes of one split")
    errors = parser.parse_args().errors
    start = time.perf_counter()
    router = SkillRouter(SkillIndex(Home.find().catalog))
    built = time.perf_counter() - start
    cases = load()
    results = [(case, *judge(case, router)) for case in cases]
    print(
        f"{'':<16}{'n':>5}  {'right':>7}  {'exact plan':>9}{'asked, should':>13}{'asked':>8}{'guessed':>9}{'wrong':>8}"
    )
    print(f"{'':<16}{'':>5}  {'':>7}  {'':>9}{'':>13}{'needless':>9}{'':>9}{'plan':>7}")
    for split in SPLITS:
        print(row(split, [v for case, v, _ in results if case["split"] == split]))
        for field, names in (
            ("lang", ("en", "ru", "mixed")),
            ("kind", ("plain", "two", "three", "scope", "ambiguous", "hostile")),
        ):
            for name in names:
                chosen = [v for case, v, _ in results if case["split"] == split and case[field] == name]
                if chosen:
                    print(row(f"  {name}", chosen))
    gc.collect()
    times = []
    for case in cases:
        begun = time.perf_counter()
        router.route(admitted(case))
        times.append((time.perf_counter() - begun) * 1000)
    times.sort()
    print(
        f"\ntime per request: median {statistics.median(times):.2f} ms, p99 {times[int(len(times) * 0.99)]:.2f} ms, "
        f"max {times[-1]:.2f} ms; catalog and index built in {built * 1000:.0f} ms"
    )
    for case, verdict, got in results if errors else ():
        if case["split"] == errors and verdict not in {"exact", "asked-right"}:
            print(
                f"{case['id']:>4} {verdict:<12}{case['text']!r:.110}\n       want {case['expect']}\n       got  {got}"
            )


if __name__ == "__main__":
    main()
