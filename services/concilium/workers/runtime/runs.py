"""The runs of one agent service: start, attach, cancel, deadline, slots, and what stays after the end."""

import asyncio
import contextlib
import secrets
import shutil
import time
import traceback
from collections import OrderedDict
from pathlib import Path

import structlog
from a2a.types import a2a_pb2 as pb

from concilium import tracing
from concilium.contracts.a2a import events
from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.config import EngineConfig
from concilium.contracts.errors import Conflict, Invalid, NotFound
from concilium.contracts.modes import ModelsConfig
from concilium.contracts.skill import AgentManifest
from concilium.contracts.states import TaskState
from concilium.contracts.task import Problem
from concilium.engine import metered
from concilium.workers.runtime.limits import CANCEL_WAIT_S, STOP_LONE_S
from concilium.workers.runtime.metrics import Metrics
from concilium.workers.runtime.run import Call, Outcome, Run
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.runtime.store import ExecutionLog, Fences, FinishedRuns

log = structlog.get_logger(__name__)

_CANCELED = Outcome("canceled", problem=Problem(type="canceled", detail="the run was canceled"))
_REPLACED = Outcome("canceled", problem=Problem(type="replaced", detail="a later attempt of the step took over"))
_ABANDONED = Outcome("abandoned")
_UNSAVED_MAX = 64


class Runs:
    """Every run this service knows. All methods are called on the event loop."""

    def __init__(
        self,
        manifest: AgentManifest,
        state: Path,
        metrics: Metrics,
        engine: EngineConfig | None,
        models: ModelsConfig,
    ) -> None:
        self.ready = asyncio.Event()
        """Runs start only once the agent is warm."""
        self.warm_up_s: float | None = None
        """Seconds the warm-up took; None before its end."""
        self._manifest = manifest
        self._engine = engine
        self._models = models
        self._work = state / "work"
        self._store = FinishedRuns(state / "runs")
        self._log = ExecutionLog(state / "executions.jsonl")
        self._fences = Fences()
        self._metrics = metrics
        self._slots = asyncio.Semaphore(manifest.slots)
        self._live: dict[str, Run] = {}
        self._by_step: dict[str, Run] = {}
        self._unsaved: OrderedDict[str, pb.Task] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Read what earlier processes left and remove their work folders."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True, mode=0o700)
        self._store.open()
        self._log.open()
        self._fences.restore(self._log)

    async def close(self) -> None:
        """Give running work a last moment, then abandon it: an abandoned run is unknown and may be sent again."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_LONE_S)
        for run in list(self._live.values()):
            run.request_stop(_ABANDONED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_LONE_S)
        self._log.close()

    def sweep(self) -> None:
        """Forget finished runs that are too old or too many."""
        self._store.sweep()

    def begin(self, call: Call) -> Run | pb.Task:
        """Start a run, or attach to the known one (its stored result when it has finished).

        Raises:
            StaleLease: a higher fence or attempt of this step is known.
        """
        if self._fences.raise_to(call.terms):
            self._disown(call.terms.run_id)
        elif (known := self._find(call.terms.run_id)) is not None:
            if isinstance(known, Run):
                known.terms = call.terms
            return known
        skill = call.runnable.skill
        deadline_s = min(call.terms.deadline_s, skill.deadline_max_s)
        older = self._by_step.get(call.terms.step_key)
        # Not the semaphore: runs that came a moment ago are still on their way to it.
        waits = older is not None or len(self._live) >= self._manifest.slots or not self.ready.is_set()
        state = TaskState.SUBMITTED if waits else TaskState.WORKING
        run = Run(call, call.terms, time.monotonic() + deadline_s, state)
        self._live[run.run_id] = self._by_step[call.terms.step_key] = run
        task = asyncio.create_task(self._traced(run, older))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    def get(self, run_id: str) -> Run | pb.Task:
        """Return a live or finished run. Raises `NotFound`."""
        known = self._find(run_id)
        if known is None:
            raise NotFound(f"no task '{run_id}'")
        return known

    async def cancel(self, run_id: str) -> pb.Task:
        """End a run within a second. Raises `NotFound`, or `Conflict` when it has already ended."""
        run = self.get(run_id)
        if isinstance(run, pb.Task) or run.finished.is_set():
            raise Conflict(f"task '{run_id}' has already ended")
        run.request_stop(_CANCELED)
        async with asyncio.timeout(CANCEL_WAIT_S):
            await run.finished.wait()
        return run.snapshot()

    def all_newest_first(self) -> list[str]:
        """Return the ids of live runs, then of finished ones."""
        return [*reversed(self._live), *(i for i in self._store.newest_first() if i not in self._live)]

    def _disown(self, run_id: str) -> None:
        """Forget what a run of that name did in a history that is no more, and end it without a trace if it is live."""
        if run_id in self._live:
            self._live[run_id].request_stop(_ABANDONED)
        self._unsaved.pop(run_id, None)
        self._store.forget(run_id)

    def _find(self, run_id: str) -> Run | pb.Task | None:
        if run_id in self._live:
            return self._live[run_id]
        if run_id in self._unsaved:
            return self._unsaved[run_id]
        data = self._store.load(run_id)
        return None if data is None else pb.Task.FromString(data)

    async def _traced(self, run: Run, older: Run | None) -> None:
        """Carry a run out inside a span: the one a step's span has been given as its child."""
        terms, skill = run.terms, run.call.runnable.skill.name
        about = {"concilium.run": run.run_id, "concilium.agent": self._manifest.name, "concilium.skill": skill}
        with tracing.span(f"run {skill}", about, kind="server", parent=terms.traceparent) as span:
            span.set({"concilium.attempt": terms.attempt, "concilium.files": len(run.call.files)})
            await self._supervise(run, older, span)

    async def _supervise(self, run: Run, older: Run | None, span: tracing.Span) -> None:
        started = time.monotonic()
        work = asyncio.create_task(self._execute(run, older))
        try:
            await asyncio.wait((work, run.stop), timeout=run.left_s, return_when=asyncio.FIRST_COMPLETED)
            outcome = self._outcome(run, work)
            _tell(span, outcome)
            work.cancel()
            self._finish(run, outcome, time.monotonic() - started)
            if not work.done():
                await asyncio.wait((work,))
            if not work.cancelled():
                work.exception()  # an error after the outcome was told is of no use to anybody
        finally:
            if not run.finished.is_set():  # our own mistake: let nobody wait for an end that never comes
                run.finish(None)
            self._forget(run)

    def _outcome(self, run: Run, work: asyncio.Task[Outcome]) -> Outcome:
        if run.stop.done():
            return run.stop.result()
        if not work.done():
            return _late(run)
        if work.cancelled():
            return _failed("skill-error", "the skill canceled itself", retryable=True)
        error = work.exception()
        if error is None:
            return work.result()
        if isinstance(error, SkillFailed):
            return Outcome("failed", problem=error.problem)
        # The message of an unexpected error may hold input: only its place and kind are logged.
        frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-5:]]
        log.error("skill raised", run_id=run.run_id, error=type(error).__name__, frames=frames)
        return _failed("skill-error", f"the skill failed unexpectedly ({type(error).__name__})", retryable=True)

    async def _execute(self, run: Run, older: Run | None) -> Outcome:
        if older is not None:
            older.request_stop(_REPLACED)
            await older.ended.wait()
        await self.ready.wait()
        async with self._slots:
            skill = run.call.runnable.skill
            self._log.write("start", run.terms, skill.name)
            run.work()
            with self._metrics.running.labels(skill.name).track_inprogress():
                return await self._call_skill(run)

    async def _call_skill(self, run: Run) -> Outcome:
        call = run.call
        folder = self._work / secrets.token_hex(16)
        context = SkillContext(
            run_id=run.run_id,
            files=call.files,
            settings=self._manifest.settings,
            folder=folder,
            engine=self._engine,
            models=self._models,
            deadline_at=run.deadline_at,
            report=run.report,
        )
        try:
            with metered(run.meter):
                result = await call.runnable.function(context, call.input)
        finally:
            if folder.exists():
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        call.runnable.check_result(result)
        files = [(file_ref(file.name, file.media_type, file.data), file.data) for file in result.files]
        try:
            return Outcome("completed", tuple(events.result_artifacts(result.output, files)))
        except Invalid as error:
            raise SkillFailed("output-invalid", error.detail) from error

    def _finish(self, run: Run, outcome: Outcome, duration_s: float) -> None:
        """Record the outcome, then tell it: a told result survives a crash of this process."""
        skill = run.call.runnable.skill.name
        task = None if outcome.kind == "abandoned" else self._ended_task(run, outcome, duration_s)
        if task is not None:
            self._save(run.run_id, task)
        if run.executing:
            with contextlib.suppress(OSError):  # a full disk must not lose a result that is about to be told
                self._log.write("end", run.terms, skill, outcome=outcome.kind, duration_s=round(duration_s, 3))
        self._metrics.ended.labels(skill, outcome.kind).inc()
        self._metrics.duration.labels(skill).observe(duration_s)
        run.finish(task)

    def _ended_task(self, run: Run, outcome: Outcome, duration_s: float) -> pb.Task:
        status = events.status(TaskState(outcome.kind), message_id=f"{run.run_id}.final", problem=outcome.problem)
        used = run.meter.use(self._manifest.engine) if self._manifest.engine else ()
        return events.task(run.run_id, run.call.context_id, status, outcome.artifacts, duration_s, used=used)

    def _save(self, run_id: str, task: pb.Task) -> None:
        try:
            self._store.save(run_id, task.SerializeToString())
        except OSError as error:
            log.warning("a finished run stays in memory only", run_id=run_id, error=error.strerror)
            self._unsaved[run_id] = task
            if len(self._unsaved) > _UNSAVED_MAX:
                self._unsaved.popitem(last=False)

    def _forget(self, run: Run) -> None:
        run.ended.set()
        if self._live.get(run.run_id) is run:
            del self._live[run.run_id]
        if self._by_step.get(run.terms.step_key) is run:
            del self._by_step[run.terms.step_key]


def _tell(span: tracing.Span, outcome: Outcome) -> None:
    """Say in a run's span how the run ended."""
    span.set({"concilium.outcome": outcome.kind, "concilium.artifacts": len(outcome.artifacts)})
    if outcome.problem is not None:
        span.fail(outcome.problem.type)


def _late(run: Run) -> Outcome:
    if not run.executing:
        return _failed("busy", "no slot of the agent became free before the deadline", retryable=True)
    return _failed("deadline-exceeded", "the run took longer than its deadline", retryable=False)


def _failed(kind: str, detail: str, *, retryable: bool) -> Outcome:
    return Outcome("failed", problem=Problem(type=kind, detail=detail, retryable=retryable))
