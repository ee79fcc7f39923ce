"""Measure the paradigm guard on the labelled requests: ``python benchmarks/guard.py [--errors dev]``.

Prints, per split, language and tag: how often the view decided is the one labelled; how often the private view would
have spoken in a denied context (must be none) or elsewhere without cause; and of the requests it should answer, alone
or beside the accepted view, how many it does, with the 95 % interval of Wilson (1927).
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from concilium.adapters.guard.decide import decide
from concilium.adapters.guard.denied import CONTEXTS
from concilium.adapters.guard.paradigm import Decision, Language, Paradigm, Request
from concilium.contracts.base import JSON

DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "guard"
SPLITS = ("dev", "test")
LANGUAGES = ("en", "ru")
TAGS = (
    "explicit", "on-topic", "off-topic", "paraphrase", "near-denied", "negation", "quoting", "injection", "look-alike",
    "typo", "mixed", "history", "system", "skill", "files", *(f"denied:{context}" for context in CONTEXTS),
    "denied:translation",
)  # fmt: skip
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Count:
    """What came of some requests."""

    n: int
    right: int
    leaks: int
    """The private view in a denied context."""
    uncalled: int
    """The private view where none was labelled and nothing denied."""
    wanted: int
    """Labelled private or dual."""
    given: int
    """Of these, where the private view speaks."""


def load() -> list[dict[str, JSON]]:
    """Return the labelled requests."""
    return [json.loads(line) for line in (DATA / "requests.jsonl").read_text(encoding="utf-8").splitlines()]


def probes() -> list[dict[str, JSON]]:
    """Return the requests written against the matcher, as labelled ones; all that are labelled accepted are denied."""
    found = [json.loads(line) for line in (DATA / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{**case, "tags": ["denied:probe"] if case["label"] == "accepted" else []} for case in found]


def paradigms() -> dict[str, Paradigm]:
    """Return the invented world-views by id; their titles are the first names in each language."""
    found = {}
    for data in json.loads((DATA / "paradigms.json").read_text(encoding="utf-8")):
        names = tuple(data["names"])
        title: dict[Language, str] = {"en": names[0], "ru": next(name for name in names if not name.isascii())}
        topics = tuple(data["allowed_topics"])
        found[data["id"]] = Paradigm(data["id"], names, topics, data["warning_text"], title)
    return found


def judge(case: dict[str, JSON], paradigm: Paradigm) -> Decision:
    """Return what the guard decides about a labelled request."""
    request = Request(
        text=case["text"],
        system=case.get("system", ""),
        agent=case.get("agent", ""),
        skill=case.get("skill", ""),
        files=tuple(case.get("files", ())),
    )
    return decide(request, case.get("history", ()), paradigm, case.get("mode", "auto"))


def denied(case: dict[str, JSON]) -> bool:
    """Whether a request is labelled as made in a denied context."""
    return any(tag.startswith("denied:") for tag in case["tags"])


def count(judged: Sequence[tuple[dict[str, JSON], Decision]]) -> Count:
    """Count what came of some requests."""
    wanted = [decision for case, decision in judged if case["label"] != "accepted"]
    unwanted = [case for case, decision in judged if case["label"] == "accepted" and decision.private]
    leaks = sum(map(denied, unwanted))
    return Count(
        n=len(judged),
        right=sum(case["label"] == decision.view for case, decision in judged),
        leaks=leaks,
        uncalled=len(unwanted) - leaks,
        wanted=len(wanted),
        given=sum(decision.private for decision in wanted),
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, _Z95**2
    middle, half = share + z2 / (2 * n), _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z2 / n)), min(1.0, (middle + half) / (1 + z2 / n))


def row(name: str, found: Count) -> str:
    """Return one line of the table."""
    low, high = wilson(found.given, found.wanted)
    share = f"{found.given / found.wanted:>7.1%}  [{low:.1%}, {high:.1%}]" if found.wanted else "      -"
    return (
        f"{name:<22}{found.n:>5}{found.right / found.n:>9.1%}{found.leaks:>8}{found.uncalled:>10}"
        f"{found.given:>9}/{found.wanted:<4}{share}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--errors", choices=SPLITS, help="also list the mistakes of one split")
    errors = parser.parse_args().errors
    known, judged, times = paradigms(), [], []
    for case in load():
        begun = time.perf_counter()
        judged.append((case, judge(case, known[case["paradigm"]])))
        times.append((time.perf_counter() - begun) * 1000)
    print(f"{'':<22}{'n':>5}{'right':>9}{'denied':>8}{'uncalled':>10}{'recall':>14}")
    print(f"{'':<22}{'':>5}{'':>9}{'leaks':>8}{'private':>10}{'private':>14}")
    for split in SPLITS:
        part = [pair for pair in judged if pair[0]["split"] == split]
        print(row(split, count(part)))
        for language in LANGUAGES:
            print(row(f"  {language}", count([pair for pair in part if pair[0]["lang"] == language])))
        for tag in TAGS:
            if tagged := [pair for pair in part if tag in pair[0]["tags"]]:
                print(row(f"  {tag}", count(tagged)))
    tried = [(case, judge(case, known[case["paradigm"]])) for case in probes()]
    for number in sorted({case["round"] for case, _ in tried}):
        print(row(f"probes, round {number}", count([pair for pair in tried if pair[0]["round"] == number])))
    times.sort()
    print(f"\ntime per request: median {statistics.median(times):.2f} ms, p99 {times[int(len(times) * 0.99)]:.2f} ms")
    for case, decision in judged if errors else ():
        if case["split"] == errors and case["label"] != decision.view:
            print(f"{case['id']:<22}{case['label']:>9} got {decision.view:<9}{case['text']!r:.90} {decision.reasons}")


if __name__ == "__main__":
    main()
