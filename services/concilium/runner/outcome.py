"""What an agent's answer means for the ledger."""

import re
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from concilium.contracts.a2a.reader import Final
from concilium.contracts.base import JSON
from concilium.contracts.limits import INLINE_ARTIFACT_BYTES
from concilium.contracts.parts import Artifact, FilePart, FileRef
from concilium.contracts.prices import EngineUse
from concilium.contracts.runner import Completion, Lease
from concilium.contracts.states import TaskState
from concilium.contracts.task import Problem
from concilium.runner.limits import DETAIL_CHARS, OUTPUT_BYTES

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""What the type of a problem looks like."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, before it is committed."""

    state: Literal["completed", "failed", "input-required"]
    output: JSON = None
    files: tuple[tuple[FileRef, bytes], ...] = ()
    problem: Problem | None = None
    question: str | None = None
    duration_s: float | None = None
    """Seconds the run took at the agent; None when that is not known."""
    used: tuple[EngineUse, ...] = ()
    """What the run asked of engines."""

    @property
    def large(self) -> dict[str, tuple[FileRef, bytes]]:
        """The files that do not travel inside the completion, by hash."""
        return {ref.sha256: (ref, data) for ref, data in self.files if len(data) > INLINE_ARTIFACT_BYTES}

    def completion(self, lease: Lease, runner: str, node: str, held_s: float) -> Completion:
        """Return the completion that commits this outcome.

        Args:
            held_s: how long this runner was at it; less than the run took when another runner began it.
        """
        return Completion.model_validate(
            {
                "held": {
                    "task_id": lease.task_id,
                    "step": lease.step,
                    "attempt": lease.attempt,
                    "fence": lease.fence,
                },
                "runner": runner,
                "node": node,
                "state": self.state,
                "output": self.output,
                "artifacts": [Artifact(name=ref.name, parts=(FilePart(file=ref),)) for ref, _ in self.files],
                "inline": {ref.sha256: data for ref, data in self.files if len(data) <= INLINE_ARTIFACT_BYTES},
                "problem": self.problem,
                "question": self.question,
                "used": self.used,
                "duration_s": max(0.0, held_s) if self.duration_s is None else self.duration_s,
            }
        )


def failed(kind: str, detail: str, *, retryable: bool) -> Outcome:
    """Return a failure."""
    return Outcome("failed", problem=Problem(type=kind, detail=detail, retryable=retryable))


def unknown(lease: Lease) -> Outcome:
    """Return the outcome of a step with outside effects whose agent forgot it: nobody may repeat it unasked."""
    detail = f"step '{lease.step}' ({lease.skill}) acts outside the mesh and its outcome is unknown"
    return Outcome(
        "input-required",
        problem=Problem(type="outcome-unknown", detail=detail),
        question=f"{detail}. Check, then answer 'retry' to run it again or 'skip' to go on without it.",
    )


def outcome_of(final: Final) -> Outcome:
    """Return what the end of a stream means."""
    return replace(_meaning(final), duration_s=final.duration_s, used=final.used)


def _meaning(final: Final) -> Outcome:
    if final.state is TaskState.COMPLETED:
        if len(orjson.dumps(final.output)) > OUTPUT_BYTES:
            return failed("output-too-large", f"the output has more than {OUTPUT_BYTES} bytes", retryable=False)
        return Outcome("completed", final.output, final.files)
    if final.state is TaskState.INPUT_REQUIRED:
        return Outcome("input-required", question=(final.question or "the agent asks for more")[:2000])
    if final.state is TaskState.AUTH_REQUIRED:
        return failed("agent-auth-required", "the agent asks for credentials it was not given", retryable=False)
    problem = final.problem or Problem(type=f"agent-{final.state}", detail=f"the agent ended the run as {final.state}")
    return Outcome("failed", problem=told(problem, f"agent-{final.state}"))


def told(problem: Problem, kind: str, *, retryable: bool = False) -> Problem:
    """Return a problem that an agent told as it may be passed on; ``kind`` is its type where the agent's is none."""
    return Problem(
        type=problem.type if _SLUG.fullmatch(problem.type) else kind,
        detail=problem.detail[:DETAIL_CHARS],
        retryable=problem.retryable or retryable,
    )
