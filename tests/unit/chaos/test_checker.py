"""The checker on histories made by hand: a good one is green, and each broken promise turns its own rule red."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chaos.checker import RULES, check
from chaos.evidence import Evidence, Execution, Received
from concilium.contracts.parts import Artifact, FilePart, FileRef
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import (
    ArtifactEvent,
    DataClass,
    Event,
    EventBody,
    Priority,
    Problem,
    Request,
    StageEvent,
    StateEvent,
    StepEvent,
    TaskView,
)
from concilium.ledger import History
from concilium.ledger.models import StepRecord

TASK = "task_1"
T0 = datetime(2026, 1, 1, tzinfo=UTC)
BLOB = "ab" * 32
FILE = Artifact(name="f", parts=(FilePart(file=FileRef(sha256=BLOB, name="f", size=1)),))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def step(name: str, state: str, fence: int, attempt: int = 1) -> StepEvent:
    return StepEvent(step=name, attempt=attempt, state=StepState(state), agent="noop", skill="noop.echo", fence=fence)


def state(name: str) -> StateEvent:
    return StateEvent(state=TaskState(name))


def good_events() -> list[tuple[float, EventBody]]:
    """Two steps; the first one's runner was lost once, the second one's first attempt failed."""
    return [
        (0, state("submitted")),
        (0, StageEvent(stage="plan", output={"plan": {}})),
        (0, step("a", "ready", 0)),
        (1, state("working")),
        (1, step("a", "working", 1)),
        (4, step("a", "ready", 1)),
        (5, step("a", "working", 2)),
        (6, step("a", "completed", 2)),
        (6, ArtifactEvent(step="a", artifact=FILE)),
        (6, step("b", "ready", 0)),
        (7, step("b", "working", 1)),
        (8, step("b", "failed", 1)),
        (8, step("b", "ready", 1, attempt=2)),
        (9, step("b", "working", 2, attempt=2)),
        (10, step("b", "completed", 2, attempt=2)),
        (10, state("completed")),
    ]


def row(name: str, state_: str, fence: int, attempt: int = 1, **more: Any) -> StepRecord:
    values: dict[str, Any] = {
        "step": name, "attempt": attempt, "agent": "noop", "skill": "noop.echo", "state": StepState(state_),
        "input": {"text": name}, "fence": fence, "grants": 1, "effects": Effects.NONE,
    }  # fmt: skip
    if state_ == "completed":
        values["output"] = {"text": name}
    return StepRecord(**values | more)


def good_rows() -> list[StepRecord]:
    failed = Problem(type="told-to-fail", detail="at first", retryable=True)
    return [
        row("a", "completed", 2, artifacts=(FILE,)),
        row("b", "failed", 1, problem=failed),
        row("b", "completed", 2, attempt=2),
    ]


def history(
    events: list[tuple[float, EventBody]] | None = None, rows: list[StepRecord] | None = None, **task: Any
) -> History:
    bodies = good_events() if events is None else events
    runs = good_rows() if rows is None else rows
    values: dict[str, Any] = {
        "id": TASK, "context_id": "c", "state": TaskState.COMPLETED, "request": Request(text="x"),
        "priority": Priority.NORMAL, "data_class": DataClass.INTERNAL, "created_at": T0, "updated_at": T0,
        "deadline_at": at(300), "trace_id": "0" * 32, "key_id": "k", "callback_url": "http://127.0.0.1:1/",
        "artifacts": (FILE,), "last_seq": len(bodies),
    }  # fmt: skip
    return History(
        task=TaskView(**values | task),
        events=tuple(
            Event(task_id=TASK, seq=number, at=at(seconds), body=body)
            for number, (seconds, body) in enumerate(bodies, 1)
        ),
        steps=tuple(runs),
        deliveries=(),
    )


def line(seconds: float, event: str, name: str, attempt: int = 1, outcome: str = "") -> Execution:
    key = f"{TASK}.{name}"
    return Execution("noop", at(seconds), event, f"{key}.{attempt}", key, attempt, 1, outcome)


def good_lines() -> list[Execution]:
    """Step a was killed with its agent once, then finished."""
    return [
        line(1.1, "start", "a"),
        line(5.1, "start", "a"),
        line(5.9, "end", "a", outcome="completed"),
        line(7.1, "start", "b"),
        line(7.9, "end", "b", outcome="failed"),
        line(9.1, "start", "b", 2),
        line(9.9, "end", "b", 2, outcome="completed"),
    ]


DONE = Received("msg_1", "task.completed", TASK, "completed", valid=True)


def good() -> Evidence:
    return Evidence(
        jobs=1,
        accepted={"job-0": {TASK}},
        canceled=set(),
        histories={TASK: history()},
        executions=good_lines(),
        callbacks=[DONE],
        blobs=frozenset({BLOB}),
    )


def without(index: int) -> list[tuple[float, EventBody]]:
    events = good_events()
    del events[index]
    return events


def insert(index: int, *bodies: tuple[float, EventBody]) -> list[tuple[float, EventBody]]:
    events = good_events()
    events[index:index] = bodies
    return events


def exchange(index: int, body: EventBody) -> list[tuple[float, EventBody]]:
    events = good_events()
    events[index] = (events[index][0], body)
    return events


def story(**parts: Any) -> Evidence:
    return replace(good(), histories={TASK: history(**parts)})


def gap() -> Evidence:
    whole = history()
    events = whole.events[:3] + whole.events[4:]
    return replace(good(), histories={TASK: whole.model_copy(update={"events": events})})


BAD: dict[str, tuple[str, Callable[[], Evidence]]] = {
    "a request became two tasks": (
        "every request is one task",
        lambda: replace(good(), accepted={"job-0": {TASK, "task_2"}}),
    ),
    "an accepted task is not in the ledger": (
        "every request is one task",
        lambda: replace(good(), jobs=2, accepted={"job-0": {TASK}, "job-1": {"task_2"}}),
    ),
    "a task that nobody was told of": ("every request is one task", lambda: replace(good(), accepted={})),
    "a request was never accepted": ("every request is one task", lambda: replace(good(), jobs=2)),
    "a task without an end": (
        "exactly one terminal state",
        lambda: story(events=without(-1), state=TaskState.WORKING),
    ),
    "a task with two ends": ("exactly one terminal state", lambda: story(events=insert(15, (10, state("failed"))))),
    "an event after the end": (
        "exactly one terminal state",
        lambda: story(events=[*good_events(), (11, step("b", "ready", 3, attempt=3))]),
    ),
    "a row that says otherwise": ("exactly one terminal state", lambda: story(state=TaskState.FAILED)),
    "a gap in the sequence": ("gapless sequence", gap),
    "a row that counts otherwise": ("gapless sequence", lambda: story(last_seq=99)),
    "a task that goes back": ("legal transitions", lambda: story(events=insert(15, (9, state("submitted"))))),
    "a step that skips its grant": ("legal transitions", lambda: story(events=without(6))),
    "a step whose row says otherwise": (
        "legal transitions",
        lambda: story(rows=[row("a", "canceled", 2), *good_rows()[1:]]),
    ),
    "a step without a history": ("legal transitions", lambda: story(rows=[*good_rows(), row("c", "failed", 1)])),
    "a grant under an old fence": ("fences rise", lambda: story(events=exchange(6, step("a", "working", 1)))),
    "a new attempt that starts over": (
        "fences rise",
        lambda: story(events=exchange(13, step("b", "working", 1, attempt=2))),
    ),
    "a commit under an old fence": (
        "one commit, under the latest fence",
        lambda: story(events=exchange(7, step("a", "completed", 1))),
    ),
    "a failure under an old fence": (
        "one commit, under the latest fence",
        lambda: story(events=exchange(11, step("b", "failed", 0))),
    ),
    "a second commit": (
        "one commit, under the latest fence",
        lambda: story(events=insert(8, (6, step("a", "completed", 2)))),
    ),
    "another attempt of a finished step": (
        "no finished step runs again",
        lambda: story(events=insert(9, (6, step("a", "ready", 2, attempt=2)))),
    ),
    "a finished step started at its agent": (
        "no finished step runs again",
        lambda: replace(good(), executions=[*good_lines(), line(6.5, "start", "a", 2)]),
    ),
    "a finished step started under a later fence": (
        "no finished step runs again",
        lambda: replace(good(), executions=[*good_lines(), replace(line(6.1, "start", "a"), fence=3)]),
    ),
    "a finished step started a while later": (
        "no finished step runs again",
        lambda: replace(good(), executions=[line(8.0, "start", "a"), *good_lines()]),
    ),
    "a run finished twice": (
        "one execution of what is finished",
        lambda: replace(good(), executions=[*good_lines(), line(5.95, "end", "a", outcome="completed")]),
    ),
    "a finished run started again": (
        "one execution of what is finished",
        lambda: replace(good(), executions=[*good_lines(), line(5.95, "start", "a")]),
    ),
    "a completed step that nobody carried out": (
        "one execution of what is finished",
        lambda: replace(good(), executions=good_lines()[3:]),
    ),
    "an artifact before the completion": (
        "artifacts by completion only",
        lambda: story(events=insert(7, (5.5, ArtifactEvent(step="a", artifact=FILE)))),
    ),
    "an artifact of a failed attempt": (
        "artifacts by completion only",
        lambda: story(rows=[good_rows()[0], row("b", "failed", 1, artifacts=(FILE,)), good_rows()[2]]),
    ),
    "an artifact nobody told of": ("artifacts by completion only", lambda: story(events=without(8))),
    "an artifact without its file": ("artifacts by completion only", lambda: replace(good(), blobs=frozenset())),
    "a callback that never came": ("callbacks delivered", lambda: replace(good(), callbacks=[])),
    "a callback that was not taken": (
        "callbacks delivered",
        lambda: replace(good(), callbacks=[replace(DONE, taken=False)]),
    ),
    "a callback with a wrong signature": (
        "callbacks delivered",
        lambda: replace(good(), callbacks=[DONE, replace(DONE, valid=False)]),
    ),
    "a callback with another end": (
        "callbacks delivered",
        lambda: replace(good(), callbacks=[DONE, Received("msg_2", "task.failed", TASK, "failed", valid=True)]),
    ),
    "a cancellation that did not hold": ("cancellations hold", lambda: replace(good(), canceled={TASK})),
    "the answer of another step": (
        "right answers",
        lambda: story(rows=[row("a", "completed", 2, artifacts=(FILE,), output={"text": "z"}), *good_rows()[1:]]),
    ),
    "a step canceled by a stranger": (
        "right answers",
        lambda: story(
            rows=[good_rows()[0], row("b", "failed", 1, problem=Problem(type="canceled", detail="")), good_rows()[2]]
        ),
    ),
    "an answer that no caller should get": (
        "clear refusals",
        lambda: replace(good(), odd_answers=["POST ask: 500"]),
    ),
    "a second plan": (
        "one plan",
        lambda: story(events=insert(3, (0, StageEvent(stage="plan", output={"plan": {}})))),
    ),
}


def test_a_good_history_is_green() -> None:
    report = check(good())
    assert report.green, [str(violation) for violation in report.violations]
    assert report.counts["leases taken back"] == report.counts["executions killed"] == 1


@pytest.mark.parametrize("case", BAD)
def test_a_broken_promise_turns_its_rule_red(case: str) -> None:
    rule, evidence = BAD[case]
    assert check(evidence()).broken()[rule], check(evidence()).violations


def test_every_rule_was_turned_red_once() -> None:
    assert {rule for rule, _ in BAD.values()} == set(RULES)
