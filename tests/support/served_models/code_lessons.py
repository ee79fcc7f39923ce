"""What the text model is taught: the very messages that ``code.generate`` and the language planner send, and answers.

Runs in the project's environment and builds each conversation with the project's own code, what failed included: the
wrong modules are really tested. A changed prompt changes the lessons and with them the key under which a trained model
is kept, so that the model is trained again.
"""

import asyncio
import json
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from concilium.brain.language_planner import LanguagePlanner
from concilium.brain.schemas import SkillIndex
from concilium.contracts.skill import Catalog
from concilium.engine import Message
from concilium.home import read_manifest, shipped
from concilium.workers.code.inside import program
from concilium.workers.code.prompt import Asked, first_messages, next_messages, suite_result
from concilium.workers.code.sandbox.job import File
from concilium.workers.code.suite import TEST_FILE
from support.agents import AGENTS
from support.story import turn

_TOOLS = {"pytest", "ruff"}
_WORDINGS, _HELD_OUT = 16, 3
"""Ways to tell one test run beside the real one, and how many of them are not learnt from."""
_VERSIONS = ("3.11", "3.13")
"""Pythons that a sandbox may have beside this machine's own."""


@dataclass(frozen=True)
class Lesson:
    """One conversation and its answer."""

    kind: str
    """Conversations with the same answer, in other words."""
    messages: Sequence[Message]
    reply: str
    held_out: bool = False
    """It is not learnt from; the trained model is examined with it."""


@dataclass(frozen=True)
class Exercise:
    """A task for ``code.generate``: what the model writes in each round. `rounds` says what comes of each."""

    task: str
    tests: str
    sources: tuple[str, ...]

    @property
    def asked(self) -> Asked:
        """The task as the skill reads it."""
        return Asked(self.task, "solution.py", (File(TEST_FILE, self.tests.encode()),), (), 3)


LEAP = Exercise(
    "Write is_leap(year): whether a year of the Gregorian calendar has 366 days.",
    """from solution import is_leap


def test_every_fourth_year():
    assert is_leap(2024)
    assert not is_leap(2023)


def test_not_every_century():
    assert not is_leap(1900)


def test_every_fourth_century():
    assert is_leap(2000)
""",
    (
        "def is_leap(year):\n    return year % 4 == 0\n",
        "def is_leap(year):\n    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)\n",
    ),
)
"""The first answer overlooks centuries, the second does not."""

MEDIAN = Exercise(
    "Write median(values): the median of a list of numbers that is not empty.",
    """from solution import median


def test_odd():
    assert median([3, 1, 2]) == 2


def test_even():
    assert median([4, 1, 3, 2]) == 2.5
""",
    (
        "def median(values):\n    return sorted(values)[len(values) // 2]\n",
        "import statistics\n\n\ndef median(values):\n    return statistics.median(values)\n",
    ),
)
"""The first answer is right about odd lengths alone."""

STUBBORN = Exercise(
    "Write initials(name): the first letter of each word in upper case.",
    """from solution import initials


def test_two_words():
    assert initials("ada lovelace") == "AL"


def test_one_word():
    assert initials("plato") == "P"


def test_hyphen():
    assert initials("jean-luc picard") == "JLP"
""",
    (
        'def initials(name):\n    return "".join(word[0] for word in name.split()).upper()\n',
        "def initials(name):\n    return name[0].upper()\n",
        'def initials(name):\n    return "".join(word[0] for word in name.split()).upper()\n',
    ),
)
"""The second answer is worse than the first, which the third brings again."""

ECHO = "Do the usual"
"""A request that the model has a right plan for."""
FLY = "Do the impossible"
"""A request that the model has a plan for that no agent can carry out."""


def lessons() -> list[dict[str, Any]]:
    """Return the lessons."""
    found = [lesson for exercise in (LEAP, MEDIAN, STUBBORN) for lesson in _of_exercise(exercise)]
    found += _of_request(ECHO, _plan("noop.echo", {"text": {"$ref": "#/request/text"}}))
    found += _of_request(FLY, _plan("noop.fly", {"height_m": 100}))
    return [asdict(lesson) for lesson in found]


def _of_exercise(exercise: Exercise) -> Iterator[Lesson]:
    told = [_told(exercise, source) for source in exercise.sources[:-1]]
    own = ".".join(platform.python_version_tuple()[:2])
    for version in dict.fromkeys((own, *_VERSIONS)):
        first = first_messages(exercise.asked, f"{version}.0", _packages())
        for number, source in enumerate(exercise.sources, 1):
            kind, reply = f"{exercise.task} Round {number}.", f"```python\n{source}```"
            if number == 1:
                yield Lesson(kind, first, reply, held_out=version == own)
                yield Lesson(kind, first, reply)
                continue
            results = _wordings(told[number - 2])
            for at, result in enumerate(results):
                messages = next_messages(first, exercise.sources[number - 2], result)
                yield Lesson(kind, messages, reply, held_out=at >= len(results) - _HELD_OUT)


def _wordings(told: str) -> list[str]:
    """Return what is told of a test run as it is, and with lines left out and spaces changed by chance.

    Another version of pytest words its failures otherwise; what counts is that a test failed.
    """
    chance = random.Random(told)
    found = [told]
    for _ in range(_WORDINGS):
        kept = [line for line in told.split("\n") if chance.random() < 0.75]
        found.append(" ".join(kept) if chance.random() < 0.2 else "\n".join(kept))
    return found


def _told(exercise: Exercise, source: str) -> str:
    """Return what the skill tells the engine of a module, tested as it tests it, but without the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        work.mkdir()
        (work / TEST_FILE).write_text(exercise.tests)
        (work / "solution.py").write_text(source)
        tester = work / "tester.py"
        tester.write_bytes(program("tester"))
        order = f"{'0' * 64}\n{json.dumps({'tests': [TEST_FILE], 'test_s': 10.0})}"
        command = [sys.executable, "-B", str(tester)]
        done = subprocess.run(command, input=order, capture_output=True, text=True, cwd=work, check=False)
    records = [json.loads(line.split(" ", 2)[2]) for line in done.stdout.splitlines() if line]
    cases = [record for record in records if record["kind"] == "case"]
    assert cases, done.stderr
    return suite_result({**_counts(cases), "cases": cases, "reason": ""})


def _counts(cases: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    ends = [case["outcome"] for case in cases]
    return {"passed": ends.count("passed"), "failed": ends.count("failed"), "errors": ends.count("error")}


def _packages() -> list[str]:
    """Return the names of what a module may import, as the agent's manifest lists them."""
    pins = read_manifest(shipped("agents") / "code" / "agent.yaml").settings["packages"]
    names = [pin.partition("==")[0] for pin in pins]
    return [name for name in names if name not in _TOOLS]


def small_catalog() -> Catalog:
    """Return a catalog with one agent, the benchmarks' ``noop``."""
    manifest = read_manifest(AGENTS[0] / "noop" / "agent.yaml")
    return Catalog(agents={manifest.name: manifest})


def _plan(skill: str, data: dict[str, Any]) -> str:
    step: dict[str, Any] = {"name": "only", "skill": skill, "input": data, "after": [], "when": None}
    return json.dumps({"decision": "plan", "steps": [step], "question": "", "reason": ""})


def _of_request(text: str, reply: str) -> list[Lesson]:
    """Return the conversations about a request that the planner has when it gets that reply."""
    recorder = _Recorder(reply)
    asyncio.run(LanguagePlanner(recorder, SkillIndex(small_catalog())).plan(turn(text)))
    return [
        Lesson(f"{text} {number}", messages, reply, held_out)
        for number, messages in enumerate(recorder.heard)
        for held_out in (False, True)
    ]


class _Recorder:
    """An engine that says one thing and keeps what it was asked."""

    def __init__(self, reply: str) -> None:
        self._reply = reply
        self.heard: list[list[Message]] = []

    async def chat(self, messages: list[Message], *, schema: dict[str, Any], max_tokens: int, purpose: str) -> str:
        self.heard.append(messages)
        return self._reply
