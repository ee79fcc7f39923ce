"""Fuzzed engine answers through the planner, the stored thought and the fold: nothing invalid is ever dispatched.

The oracle below is written from the words of the plan's contract alone and uses none of the brain's code.
"""

import asyncio
import contextlib
import copy
import graphlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from concilium.brain import Brain
from concilium.brain.language_planner import LanguagePlanner
from concilium.brain.thoughts import REFORMULATE
from concilium.contracts.plan import Plan
from concilium.contracts.skill import FILE_SCHEMA, Catalog, Skill
from concilium.contracts.states import StepState
from concilium.contracts.turn import Dispatch, Turn
from concilium.engine import EngineClient
from support.engine import ScriptedEngine, running_engine
from support.story import PNG, WAV, Story, shipped_catalog, turn

CATALOG: Catalog = shipped_catalog()
BRAIN = Brain(CATALOG, engine_configured=True)
SKILLS: dict[str, Skill] = {skill.name: skill for agent in CATALOG.agents.values() for skill in agent.skills}
FOREIGN = {"sha256": "f" * 64, "name": "secret.txt", "media_type": "text/plain", "size": 1}
EXAMPLES = 300


# The oracle


def wrong(raw: str, files: int) -> list[str]:
    """Say what is wrong with a plan an engine answered; references' types are left to `misfits`."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return ["not JSON"]
    if not isinstance(answer, dict) or answer.get("decision") != "plan":
        return ["no plan"]
    steps = answer.get("steps")
    if not isinstance(steps, list) or not 1 <= len(steps) <= 32:
        return ["not 1 to 32 steps"]
    if not all(isinstance(step, dict) and isinstance(step.get("name"), str) for step in steps):
        return ["a step without a name"]
    names = [step["name"] for step in steps]
    found = ["a name twice"] if len(set(names)) < len(names) else []
    needs: dict[str, set[str]] = {}
    for step in steps:
        found += wrong_step(step, set(names), files)
        after = step.get("after")
        needs[step["name"]] = {n for n in (after if isinstance(after, list) else ()) if isinstance(n, str)} | {
            name for pointer in pointers(step.get("input")) for name in re.findall(r"^#/steps/([^/]+)", pointer)
        }
    return found + wrong_order(needs)


def wrong_step(step: dict[str, Any], names: set[str], files: int) -> list[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", step["name"]):
        return ["a bad name"]
    if str(step.get("skill")) not in SKILLS or not isinstance(step.get("input"), dict):
        return ["no such skill, or no input"]
    found = [] if set(step) <= {"name", "skill", "input", "after"} else ["an unknown member"]
    after = step.get("after", [])
    if not isinstance(after, list) or not all(name in names for name in after if isinstance(name, str)):
        found.append("waits for what is not there")
    for pointer in pointers(step["input"]):
        match = re.fullmatch(r"#/request/files/(0|[1-9][0-9]*)", pointer)
        if match:
            found += [] if int(match[1]) < files else ["no such file"]
        elif match := re.fullmatch(r"#/steps/([^/]+)/(output(/.*)?|artifacts/(0|[1-9][0-9]*))", pointer, re.DOTALL):
            found += [] if match[1] in names else ["refers to what is not there"]
        elif pointer != "#/request/text":
            found.append("a reference of no known form")
    if "$ref" in step["input"] and len(step["input"]) == 1:
        found.append("the whole input is a reference")
    elif not list(pointers(step["input"])):
        found += misfits(step["skill"], step["input"])
    found += ["a file written out"] if list(written_files(step["input"])) else []
    return found


def wrong_order(needs: dict[str, set[str]]) -> list[str]:
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError:
        return ["a cycle"]
    depth: dict[str, int] = {}
    for name in order:
        depth[name] = 1 + max((depth[n] for n in needs.get(name, ())), default=0)
    return ["deeper than 8"] if max(depth.values()) > 8 else []


def misfits(skill: str, data: Any) -> list[str]:
    """Say where an input breaks the schema in the skill's manifest."""
    schema = copy.deepcopy(SKILLS[skill].input_schema)
    schema["$defs"] = {**schema.get("$defs", {}), "File": FILE_SCHEMA}
    return [error.message for error in Draft202012Validator(schema).iter_errors(data)]


def pointers(value: Any) -> Iterator[str]:
    """Yield what every reference inside a value points at; one that is no text as ``?``."""
    if isinstance(value, dict) and list(value) == ["$ref"]:
        yield value["$ref"] if isinstance(value["$ref"], str) else "?"
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from pointers(inner)


def written_files(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and set(value) == {"sha256", "name", "media_type", "size"}:
        yield str(value["sha256"])
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from written_files(inner)


def judge(order: Dispatch, told: Story) -> None:
    """Fail unless what is dispatched may be: now, by this agent, with this input."""
    assert order.skill in SKILLS
    assert order.agent == order.skill.split(".")[0]
    assert not misfits(order.skill, order.input), order
    assert 0 < order.deadline_s <= SKILLS[order.skill].deadline_max_s
    known = {file.sha256 for file in told.turn.request.files} | {WAV.sha256}
    assert set(written_files(order.input)) <= known, "a file of another task"
    plan = told.turn.plan
    assert plan is not None
    planned = plan.step(order.step)
    needed = set(planned.after) | {p.split("/")[2] for p in pointers(planned.input) if p.startswith("#/steps/")}
    done = {run.step for run in told.turn.runs if run.state is StepState.COMPLETED}
    assert needed <= done, "it was dispatched before what it needs"


# The mutations


def step(name: str, skill: str, data: Any, *after: str) -> dict[str, Any]:
    return {"name": name, "skill": skill, "input": data, "after": list(after)}


def ref(pointer: str) -> dict[str, Any]:
    return {"$ref": "#" + pointer}


VALID = [
    [
        step("read", "vision.ocr", {"image": ref("/request/files/0")}),
        step("sum", "code.run", {"source": "print(6*7)", "stdin": ref("/steps/read/output/text")}),
        step("speak", "tts.speak", {"text": ref("/steps/sum/output/stdout"), "speed": 1.5}),
    ],
    [
        step("look", "vision.inspect", {"image": ref("/request/files/0")}),
        step("say", "tts.speak", {"text": ref("/request/text"), "language": "ru"}, "look"),
        step("list", "code.run", {"source": "ls", "language": "shell", "files": [ref("/steps/say/artifacts/0")]}),
    ],
    [step(f"s{i}", "tts.speak", {"text": str(i)}, *([f"s{i - 1}"] if i else [])) for i in range(8)],
    [step("one", "code.run", {"source": "print(1)", "args": ["a"], "timeout_s": 5})],
]
REFERENCES: list[Any] = [
    ref("/request/text"),
    ref("/request/files/0"),
    ref("/request/files/1"),
    ref("/request/files/-1"),
    ref("/request/secrets"),
    ref("/steps/read/output/text"),
    ref("/steps/read/output/nothing"),
    ref("/steps/s7/output"),
    ref("/steps/gone/output/text"),
    ref("/steps/say/artifacts/0"),
    ref("/steps/say/artifacts/00"),
    {"$ref": "http://127.0.0.1/x"},
    {"$ref": 7},
    {"$ref": "#/request/text", "more": 1},
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**30),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["read", "say", "s0", "s7", "tts.speak", "code.run", "mail.send", "vision.ocr", "\x00", "𝕏"]),
    st.sampled_from([FOREIGN, *REFERENCES]),
)
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3), max_leaves=6
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything inside a value."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a valid plan with something wrong in one to three places, or cut, or not a plan at all."""
    answer: Any = {
        "decision": "plan",
        "steps": copy.deepcopy(draw(st.sampled_from(VALID))),
        "question": "",
        "reason": "",
    }
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([place for place in places(answer) if place] or [()]))
        if not path:
            break
        *way, last = path
        owner = answer
        for key in way:
            owner = owner[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "repeat", "add"])):
            case "replace":
                owner[last] = copy.deepcopy(draw(VALUES))
            case "remove":
                del owner[last]
            case "repeat" if isinstance(owner, list):
                owner.extend([copy.deepcopy(owner[last])] * draw(st.sampled_from([1, 40])))
            case _ if isinstance(owner, dict):
                owner[draw(st.sampled_from(["agent", "deadline_s", "text", "image", "after", "x"]))] = copy.deepcopy(
                    draw(VALUES)
                )
            case _:
                owner.append(copy.deepcopy(draw(VALUES)))
    raw = json.dumps(answer)
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 9)) == 0 else raw


@st.composite
def harmless(draw: st.DrawFn) -> str:
    """Return a plan with other words in it, which may or may not fit."""
    steps = copy.deepcopy(draw(st.sampled_from(VALID)))
    for made in steps:
        for key, value in made["input"].items():
            if isinstance(value, str) and draw(st.booleans()):
                made["input"][key] = draw(st.text(max_size=20))
            elif isinstance(value, int | float) and draw(st.booleans()):
                made["input"][key] = draw(st.integers(-1, 70) | st.floats(0, 3))
    return json.dumps({"decision": "plan", "steps": draw(st.permutations(steps)), "question": "", "reason": ""})


@st.composite
def sly(draw: st.DrawFn) -> str:
    """Return a plan that fits but for one reference: another one, or a file written out in its place."""
    steps = copy.deepcopy(draw(st.sampled_from(VALID[:2])))
    owners = [made["input"] for made in steps]
    owners += [value for data in owners for value in data.values() if isinstance(value, list)]
    found = [
        (owner, key)
        for owner in owners
        for key, value in (owner.items() if isinstance(owner, dict) else enumerate(owner))
        if isinstance(value, dict)
    ]
    owner, key = draw(st.sampled_from(found))
    owner[key] = copy.deepcopy(draw(st.sampled_from([FOREIGN, *REFERENCES])))
    return json.dumps({"decision": "plan", "steps": steps, "question": "", "reason": ""})


OUTPUTS = st.one_of(harmless(), sly(), mutated(), mutated(), mutated(), VALUES.map(json.dumps), st.text(max_size=40))


# The run


@dataclass
class Bench:
    """The planner before a real engine, driven from plain code."""

    runner: asyncio.Runner
    planner: LanguagePlanner
    engine: ScriptedEngine
    seen: Counter[str] = field(default_factory=Counter)

    def plan(self, asked: Turn, raw: str) -> Any:
        self.engine.replies = [raw]
        return self.runner.run(self.planner.plan(asked)).model_dump(mode="json")

    def reformulate(self, asked: Turn, name: str, raw: str) -> Any:
        self.engine.replies = [raw]
        return self.runner.run(self.planner.reformulate(asked, name)).model_dump(mode="json")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    stack = contextlib.AsyncExitStack()

    async def opened() -> tuple[ScriptedEngine, EngineClient]:
        engine = await stack.enter_async_context(running_engine("{}"))
        return engine, await stack.enter_async_context(EngineClient(engine.config()))

    with asyncio.Runner() as runner:
        engine, client = runner.run(opened())
        yield Bench(runner, LanguagePlanner(client, BRAIN.index), engine)
        runner.run(stack.aclose())


LIES = [None, {}, {"text": 7, "stdout": [], "artifacts": 1}, {"text": FOREIGN, "stdout": FOREIGN}, "text"]
"""Outputs that no schema allows: what comes back from an agent is untrusted."""


def play(told: Story, lies: Any) -> None:
    """Complete whatever is dispatched until the turn ends; judge each dispatch before its step runs."""
    judged = 0
    for _ in range(100):
        for order in told.dispatched[judged:]:
            judge(order, told)
        judged = len(told.dispatched)
        if told.think is not None and not told.open:
            told.thought(told.think, {"kind": "give-up", "reason": "no"})
        elif told.open:
            told.end(told.open[0].step, **lies)
        else:
            break
    assert told.finish is not None or told.ask is not None
    assert len({(order.step, order.attempt) for order in told.dispatched}) == len(told.dispatched)


thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.timeout(300)
def test_no_invalid_plan_of_hundreds_is_dispatched(bench: Bench) -> None:
    @thorough
    @given(OUTPUTS, st.just({}) | st.sampled_from(LIES).map(lambda lie: {"output": lie}))
    def fuzz(raw: str, lies: dict[str, Any]) -> None:
        asked = turn("Do the usual", (PNG,))
        faults = wrong(raw, files=1)
        thought = bench.plan(asked, raw)
        told = Story(BRAIN, asked)
        told.thought("plan", thought)
        bench.seen["invalid" if faults else "valid"] += 1
        bench.seen["adopted"] += told.turn.plan is not None
        if faults:
            assert not told.dispatched, faults
            assert told.turn.plan is None, faults
        play(told, lies)
        bench.seen["dispatched"] += len(told.dispatched)

    fuzz()
    print(dict(bench.seen))  # the counts that the proof is about, shown with -s
    assert bench.seen["invalid"] >= 200
    assert bench.seen["adopted"] >= 10, "the mutations are too wild to reach the dispatch"


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("steps", VALID, ids=lambda steps: steps[0]["name"])
def test_no_agents_lie_reaches_the_next_agent(steps: list[dict[str, Any]], lie: Any) -> None:
    planned = {"steps": [{**made, "agent": made["skill"].split(".")[0]} for made in steps]}
    told = Story(BRAIN, turn("Do the usual", (PNG,)))
    told.thought("plan", {"kind": "plan", "plan": planned})
    assert told.dispatched
    play(told, {"output": lie})


TEXTS = st.text(max_size=8) | st.just(ref("/steps/read/output/text"))
INPUTS = st.one_of(
    st.fixed_dictionaries({"source": TEXTS, "stdin": TEXTS}),
    st.fixed_dictionaries({"source": TEXTS, "stdin": VALUES}),
    VALUES,
)


@pytest.mark.timeout(300)
def test_no_invalid_reformulation_is_dispatched(bench: Bench) -> None:
    steps = [{**made, "agent": made["skill"].split(".")[0]} for made in VALID[0]]
    planned = Plan.model_validate({"steps": steps})
    counts: Counter[str] = Counter()

    @thorough
    @given(INPUTS, st.integers(0, 9).map(lambda drawn: drawn == 0))
    def fuzz(data: Any, give_up: bool) -> None:
        told = Story(BRAIN, turn("Do the usual", (PNG,), plan=planned))
        told.end("read")
        told.fail("sum")
        assert told.think == REFORMULATE + "sum"
        raw = json.dumps({"decision": "give_up" if give_up else "retry", "input": data, "reason": "no"})
        thought = bench.reformulate(told.turn, "sum", raw)
        before = len(told.dispatched)
        told.thought(told.think, thought)
        for order in told.dispatched[before:]:
            assert not misfits(order.skill, order.input), order
            assert set(written_files(order.input)) <= {PNG.sha256, WAV.sha256}
            assert (order.step, order.attempt) == ("sum", 2)
            counts["dispatched"] += 1
        counts["thoughts"] += 1

    fuzz()
    print(dict(counts))
    assert counts["dispatched"] >= 5
