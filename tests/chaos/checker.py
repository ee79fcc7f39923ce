"""Judges what a run left behind. Each rule is one function: evidence in, violations out.

The rules know nothing of how the ledger works: they read its history, the agents' own logs and what the receiver of the
callbacks saw, and say where these break a promise.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from chaos.evidence import Evidence, Execution
from concilium.contracts.parts import FilePart
from concilium.contracts.states import STEP_TRANSITIONS, TASK_TRANSITIONS, StepState, TaskState
from concilium.contracts.task import ArtifactEvent, Event, Problem, StageEvent, StateEvent, StepEvent
from concilium.ledger import History

CLOCKS_APART = timedelta(seconds=1)
"""An agent's clock and a ledger's that follows its database's may disagree by less."""


@dataclass(frozen=True)
class Violation:
    """One broken promise."""

    rule: str
    task_id: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.task_id}: {self.detail}"


@dataclass
class Report:
    """The verdict and the numbers beside it."""

    counts: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    @property
    def green(self) -> bool:
        return not self.violations

    def broken(self) -> dict[str, int]:
        """Return how often each rule was broken; every rule is named."""
        found = Counter(violation.rule for violation in self.violations)
        return {rule: found[rule] for rule in RULES}


Found = Iterator[tuple[str, str]]
"""Task id and what is wrong with it."""


def accepted_once(evidence: Evidence) -> Found:
    """Each request became exactly one task, and there are no others."""
    for key, ids in evidence.accepted.items():
        if len(ids) != 1:
            yield ", ".join(sorted(ids)), f"request {key} was answered with {len(ids)} tasks"
    known = {task_id for ids in evidence.accepted.values() for task_id in ids}
    for task_id in known - evidence.histories.keys():
        yield task_id, "accepted, but not in the ledger"
    for task_id in evidence.histories.keys() - known:
        yield task_id, "in the ledger, but nobody was told of it"
    if len(evidence.accepted) != evidence.jobs:
        yield "-", f"{evidence.jobs} requests, {len(evidence.accepted)} accepted"


def one_terminal_state(evidence: Evidence) -> Found:
    """Every task has one terminal state, nothing comes after it, and the row says the same."""
    for task_id, history in evidence.histories.items():
        ends = [event for event in history.events if _terminal(event)]
        if len(ends) != 1:
            yield task_id, f"{len(ends)} terminal states; the row says {history.task.state}"
        elif ends[0] is not history.events[-1]:
            yield task_id, f"events after the terminal state at {ends[0].seq}"
        elif _state(ends[0]) is not history.task.state:
            yield task_id, f"the history ends {_state(ends[0])}, the row says {history.task.state}"
        elif any(not step.state.terminal for step in history.steps):
            yield task_id, "the task is over, a step is not"


def gapless(evidence: Evidence) -> Found:
    """Sequence numbers count from 1 without gaps, up to the row's."""
    for task_id, history in evidence.histories.items():
        numbers = [event.seq for event in history.events]
        if numbers != list(range(1, len(numbers) + 1)) or history.task.last_seq != len(numbers):
            yield task_id, f"sequence {numbers}, the row says {history.task.last_seq}"


def legal_transitions(evidence: Evidence) -> Found:
    """Tasks and steps move as the tables of states allow, and the rows are where the history ends."""
    for task_id, history in evidence.histories.items():
        states = [event.body.state for event in history.events if isinstance(event.body, StateEvent)]
        if not states or states[0] is not TaskState.SUBMITTED:
            yield task_id, "the history does not begin with submitted"
        for old, new in pairwise(states):
            if new not in TASK_TRANSITIONS[old]:
                yield task_id, f"the task went from {old} to {new}"
        rows = {(step.step, step.attempt): step.state for step in history.steps}
        by_attempt = _by_attempt(history)
        for key, moves in by_attempt.items():
            yield from ((task_id, f"{_name(key)} {wrong}") for wrong in _illegal([move.state for move in moves]))
            if rows.get(key) is not moves[-1].state:
                yield task_id, f"{_name(key)} ends {moves[-1].state}, the row says {rows.get(key)}"
        for key in rows.keys() - by_attempt.keys():
            yield task_id, f"{_name(key)} has a row and no history"


def _illegal(states: list[StepState]) -> Iterator[str]:
    if states[0] not in {StepState.READY, StepState.FAILED}:
        yield f"began as {states[0]}"
    for old, new in pairwise(states):
        if new not in STEP_TRANSITIONS[old]:
            yield f"went from {old} to {new}"


def rising_fences(evidence: Evidence) -> Found:
    """At each grant of a step, whatever the attempt, the fence is higher than ever before."""
    for task_id, history in evidence.histories.items():
        for step, moves in _by_step(history).items():
            highest = 0
            for move in moves:
                if move.state is StepState.WORKING and move.fence <= highest:
                    yield task_id, f"step {step}: granted under fence {move.fence} after {highest}"
                highest = max(highest, move.fence)


def one_completion(evidence: Evidence) -> Found:
    """An attempt's outcome is committed once, under the fence of its latest grant; a step completes once."""
    for task_id, history in evidence.histories.items():
        for step, moves in _by_step(history).items():
            done = [move for move in moves if move.state is StepState.COMPLETED]
            if len(done) > 1:
                yield task_id, f"step {step} was completed {len(done)} times"
            for number, move in enumerate(moves):
                grants = [m.fence for m in moves[:number] if m.state is StepState.WORKING]
                if move.state is StepState.COMPLETED and (not grants or move.fence != grants[-1]):
                    yield task_id, f"step {step}: completed under fence {move.fence}, the grants were {grants}"
                if move.state is StepState.FAILED and grants and move.fence < grants[-1]:
                    yield task_id, f"step {step}: failed under fence {move.fence}, the grants were {grants}"


def no_rerun(evidence: Evidence) -> Found:
    """Once a step is completed nobody grants it again, makes another attempt of it, or starts it at an agent."""
    lines = _by_key(evidence)
    for task_id, history in evidence.histories.items():
        for step, events in _events_by_step(history).items():
            number = next((n for n, (_, move) in enumerate(events) if move.state is StepState.COMPLETED), None)
            if number is None:
                continue
            event, done = events[number]
            for later, move in events[number + 1 :]:
                yield task_id, f"step {step} became {move.state} at {later.seq}, after its completion"
            for line in _started_after(lines.get(f"{task_id}.{step}", []), done, event.at):
                yield task_id, f"agent {line.agent} started {line.run_id} at {line.at}, completed at {event.at}"


def _started_after(lines: list[Execution], done: StepEvent, at: datetime) -> Iterator[Execution]:
    """Yield the starts of a step that came after its completion was committed.

    Told by what cannot be otherwise, not by two clocks: a later attempt or fence than the one that completed, or a
    place in the log behind the execution that did. Clocks decide only when they are far apart.
    """
    over = False
    for line in lines:
        newer = line.attempt > done.attempt or line.fence > done.fence
        if line.event == "start" and (over or newer or line.at - at > CLOCKS_APART):
            yield line
        over = over or (line.attempt == done.attempt and line.outcome == "completed")


def one_execution(evidence: Evidence) -> Found:
    """What an agent finished it did not do again, and each completed step was carried out there exactly once.

    A run whose agent was killed, or that was ended from outside, may be started again: it has no end ``completed``.
    """
    by_run: dict[str, list[Execution]] = {}
    for line in evidence.executions:
        by_run.setdefault(line.run_id, []).append(line)
    for run_id, lines in by_run.items():
        finished = [number for number, line in enumerate(lines) if line.outcome == "completed"]
        if len(finished) > 1:
            yield run_id.split(".")[0], f"{run_id} was finished {len(finished)} times"
        elif finished and any(line.event == "start" for line in lines[finished[0] :]):
            yield run_id.split(".")[0], f"{run_id} was started again after it was finished"
    for task_id, history in evidence.histories.items():
        for row in history.steps:
            if row.state is StepState.COMPLETED and f"{task_id}.{row.step}.{row.attempt}" not in by_run:
                yield task_id, f"step {row.step} is completed, but no agent carried it out"


def artifacts_by_completion(evidence: Evidence) -> Found:
    """Artifacts exist through committed completions alone, and their files are there."""
    for task_id, history in evidence.histories.items():
        done = {row.step: row for row in history.steps if row.state is StepState.COMPLETED}
        completed_at = {
            event.body.step: event
            for event in history.events
            if isinstance(event.body, StepEvent) and event.body.state is StepState.COMPLETED
        }
        told: Counter[str] = Counter()
        for event in history.events:
            if isinstance(event.body, ArtifactEvent):
                told[event.body.step] += 1
                source = completed_at.get(event.body.step)
                if source is None or source.seq > event.seq or source.at != event.at:
                    yield task_id, f"an artifact of step {event.body.step} at {event.seq} without its completion"
        for row in history.steps:
            if row.artifacts and row.state is not StepState.COMPLETED:
                yield task_id, f"step {row.step} is {row.state} and has artifacts"
        for step, row in done.items():
            if told[step] != len(row.artifacts):
                yield task_id, f"step {step} has {len(row.artifacts)} artifacts, the history {told[step]}"
        files = [part.file for made in history.task.artifacts for part in made.parts if isinstance(part, FilePart)]
        for file in files:
            if file.sha256 not in evidence.blobs:
                yield task_id, f"the file {file.sha256} of an artifact is missing or broken"


def callbacks_delivered(evidence: Evidence) -> Found:
    """The end of every task reached its receiver at least once, signed, and nothing else did."""
    for received in evidence.callbacks:
        if not received.valid:
            yield received.task_id, f"callback {received.message_id} has no valid signature"
    ends = {(c.task_id, c.state) for c in evidence.callbacks if c.valid and c.taken and c.type == f"task.{c.state}"}
    for task_id, history in evidence.histories.items():
        state = history.task.state
        if history.task.callback_url and state.terminal and (task_id, state.value) not in ends:
            known = [f"{d.type} {d.state} after {d.attempts} failures" for d in history.deliveries]
            yield task_id, f"its end ({state}) reached nobody; the outbox: {known}"
        for told in {end for end in ends if end[0] == task_id and TaskState(end[1]).terminal}:
            if told[1] != state.value:
                yield task_id, f"the receiver was told {told[1]}, the task is {state}"


def cancels_hold(evidence: Evidence) -> Found:
    """A cancellation that was answered with success is the end of the task."""
    for task_id in evidence.canceled:
        history = evidence.histories.get(task_id)
        if history is not None and history.task.state is not TaskState.CANCELED:
            yield task_id, f"canceled for its caller, but {history.task.state}"


def right_answers(evidence: Evidence) -> Found:
    """A completed step holds the answer to its own input; a step ends as canceled only with its task."""
    for task_id, history in evidence.histories.items():
        for row in history.steps:
            if row.state is StepState.COMPLETED and (row.output or {}).get("text") != row.input.get("text"):
                yield task_id, f"step {row.step} was asked {row.input.get('text')!r} and says {row.output!r}"
            if row.state is StepState.FAILED and row.problem is not None and row.problem.type == "canceled":
                yield task_id, f"step {row.step} failed as canceled: {row.problem.detail}"


def one_plan(evidence: Evidence) -> Found:
    """A task's plan is decided once."""
    for task_id, history in evidence.histories.items():
        plans = [
            event
            for event in history.events
            if isinstance(event.body, StageEvent) and event.body.stage == "plan" and "plan" in (event.body.output or {})
        ]
        if len(plans) > 1:
            yield task_id, f"planned {len(plans)} times"


def clear_refusals(evidence: Evidence) -> Found:
    """Whatever goes on, a caller's good request succeeds or is to be tried again; nothing else is answered."""
    for answer in evidence.odd_answers:
        yield "-", answer


RULES: dict[str, Callable[[Evidence], Found]] = {
    "every request is one task": accepted_once,
    "exactly one terminal state": one_terminal_state,
    "gapless sequence": gapless,
    "legal transitions": legal_transitions,
    "fences rise": rising_fences,
    "one commit, under the latest fence": one_completion,
    "no finished step runs again": no_rerun,
    "one execution of what is finished": one_execution,
    "artifacts by completion only": artifacts_by_completion,
    "callbacks delivered": callbacks_delivered,
    "cancellations hold": cancels_hold,
    "right answers": right_answers,
    "one plan": one_plan,
    "clear refusals": clear_refusals,
}


def check(evidence: Evidence) -> Report:
    """Judge a run by every rule."""
    violations = [
        Violation(name, task_id, detail) for name, rule in RULES.items() for task_id, detail in rule(evidence)
    ]
    return Report(_counts(evidence), violations)


def _counts(evidence: Evidence) -> dict[str, int]:
    histories = evidence.histories.values()
    moves = [e.body for h in histories for e in h.events if isinstance(e.body, StepEvent)]
    states = Counter(history.task.state.value for history in histories)
    ends = Counter(line.outcome for line in evidence.executions if line.event == "end")
    starts = sum(line.event == "start" for line in evidence.executions)
    lost = sum(
        1
        for history in histories
        for states_of in (tuple(m.state for m in moves_of) for moves_of in _by_attempt(history).values())
        for old, new in pairwise(states_of)
        if (old, new) == (StepState.WORKING, StepState.READY)
    )
    return {
        "requests": evidence.jobs,
        "tasks": len(evidence.histories),
        **{f"tasks {state.value}": states[state.value] for state in TaskState if states[state.value]},
        **_problems("tasks", (history.task.problem for history in histories)),
        "steps completed": sum(move.state is StepState.COMPLETED for move in moves),
        "grants": sum(move.state is StepState.WORKING for move in moves),
        "leases taken back": lost,
        "attempts failed": sum(move.state is StepState.FAILED for move in moves),
        **_problems("attempts", (move.problem for move in moves if move.state is StepState.FAILED)),
        "executions started": starts,
        "executions finished": ends["completed"],
        "executions killed": starts - sum(ends.values()),
        "artifacts": sum(len(history.task.artifacts) for history in histories),
        "callbacks received": len(evidence.callbacks),
        "callbacks repeated": len(evidence.callbacks) - len({c.message_id for c in evidence.callbacks}),
        "events": sum(len(history.events) for history in histories),
    }


def _problems(of: str, problems: Iterable[Problem | None]) -> dict[str, int]:
    """Count problems by their type."""
    return {f"  {of} {kind}": count for kind, count in sorted(Counter(p.type for p in problems if p).items())}


def _terminal(event: Event) -> bool:
    return isinstance(event.body, StateEvent) and event.body.state.terminal


def _state(event: Event) -> TaskState | None:
    return event.body.state if isinstance(event.body, StateEvent) else None


def _events_by_step(history: History) -> dict[str, list[tuple[Event, StepEvent]]]:
    found = [(event, event.body) for event in history.events if isinstance(event.body, StepEvent)]
    found.sort(key=lambda pair: pair[1].step)  # stable: the order of the history stays
    return {step: list(group) for step, group in groupby(found, key=lambda pair: pair[1].step)}


def _by_step(history: History) -> dict[str, list[StepEvent]]:
    return {step: [move for _, move in events] for step, events in _events_by_step(history).items()}


def _by_attempt(history: History) -> dict[tuple[str, int], list[StepEvent]]:
    found: dict[tuple[str, int], list[StepEvent]] = {}
    for event in history.events:
        if isinstance(event.body, StepEvent):
            found.setdefault((event.body.step, event.body.attempt), []).append(event.body)
    return found


def _by_key(evidence: Evidence) -> dict[str, list[Execution]]:
    found: dict[str, list[Execution]] = {}
    for line in evidence.executions:
        found.setdefault(line.step_key, []).append(line)
    return found


def _name(key: tuple[str, int]) -> str:
    return f"step {key[0]} attempt {key[1]}"
