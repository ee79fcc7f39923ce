"""Carries one leased step out: files, the agent's run, the completion."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from concilium import tracing
from concilium.contracts.a2a.reader import Progress, Started, StreamItem
from concilium.contracts.a2a.step import plain_request, step_request, to_json
from concilium.contracts.errors import ConciliumError, StaleLease, Unavailable
from concilium.contracts.runner import ClaimRequest, Completion, Lease
from concilium.contracts.skill import Effects
from concilium.runner.agent import AgentAway, AgentClient, AgentRefused, Endpoint
from concilium.runner.clock import now
from concilium.runner.control import ControlPlane
from concilium.runner.endpoints import Endpoints
from concilium.runner.leases import AtAgent, HeldLease, LeaseKeeper
from concilium.runner.limits import AGENT_LATE_S, OFFLOAD_BYTES
from concilium.runner.outcome import Outcome, failed, outcome_of, told, unknown
from concilium.runner.patience import Away, patiently, pause
from concilium.runner.progress import ProgressPost
from concilium.runner.promises import Promises

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Steps:
    """What carrying out steps takes."""

    control: ControlPlane
    agents: AgentClient
    endpoints: Endpoints
    promises: Promises
    keeper: LeaseKeeper
    progress: ProgressPost
    node: str
    runner: str
    patience_s: float
    """An agent that cannot be reached is tried again for this long."""

    async def carry_out(
        self, held: HeldLease, next_claim: Callable[[], ClaimRequest | None]
    ) -> tuple[HeldLease, ...] | None:
        """Run a leased step to its end and commit the outcome.

        Returns the leases granted in the same request, None when the completion was not answered with success: the
        lease was lost, not renewed in time, or the process ends. Then nothing is committed; the agent keeps what it
        has, and the next holder attaches to it.
        """
        lease = held.lease
        about = tracing.step_about(lease) | {"concilium.node": self.node, "concilium.grants": lease.grants}
        with tracing.span("step", about, parent=lease.traceparent, unique=lease.run_id) as span:
            held.traced(span)
            return await self._carry_out(held, next_claim)

    async def _carry_out(
        self, held: HeldLease, next_claim: Callable[[], ClaimRequest | None]
    ) -> tuple[HeldLease, ...] | None:
        began = now()
        job = asyncio.create_task(self._outcome(held))
        try:
            await asyncio.wait((job, held.ended), return_when=asyncio.FIRST_COMPLETED)
            # A frozen process wakes up with a result and a lease long over: only the clock tells.
            if not job.done() or not held.alive:
                await self._give_up(held)
                return None
            held.settling = True
            outcome = _result(job, held.lease)
            completion = outcome.completion(held.lease, self.runner, self.node, now() - began)
            _tell(held.span, completion)
            return await self._commit(held, completion, next_claim)
        finally:
            job.cancel()
            self.progress.forget(held)
            self.keeper.drop(held)

    async def _give_up(self, held: HeldLease) -> None:
        """Let go of a run. Only one that the ledger took away is ended at the agent: others will be attached to."""
        held.span.drop()  # its next holder ends it
        why = held.ended.result() if held.ended.done() else "expired"
        log.warning("lease given up", run_id=held.lease.run_id, fence=held.lease.fence, why=why)
        if why == "lost":
            await self._cancel(held)

    async def _cancel(self, held: HeldLease) -> None:
        there = held.at_agent
        if there is not None and there.run_id:
            await self.agents.cancel(there.endpoint, there.run_id)

    async def _outcome(self, held: HeldLease) -> Outcome:
        lease = held.lease
        until = now() + lease.deadline_s + AGENT_LATE_S
        try:
            async with asyncio.timeout(until - now()):
                files = await self._files(held)
                outcome = await self._ask_agent(held, files, now() + lease.deadline_s)
        except TimeoutError:
            late = failed("agent-timeout", f"no outcome {AGENT_LATE_S:g} s after the deadline", retryable=True)
            return _once_only(held, late)
        except AgentRefused as error:
            return _once_only(held, self._refused(lease, error))
        except AgentAway as error:
            return _once_only(held, self._unreached(lease, error.reason))
        except StaleLease:
            held.end("lost")
            return failed("lease-lost", "the lease ended while files were fetched", retryable=True)
        except ConciliumError as error:
            return failed(f"agent-answer-{error.type}", error.detail[:2000], retryable=False)
        for ref, data in outcome.large.values():
            await patiently(lambda ref=ref, data=data: self.control.put_blob(held.held, ref, data))  # type: ignore[misc]
        return outcome

    def _refused(self, lease: Lease, error: AgentRefused) -> Outcome:
        if error.status == 503:
            return self._unreached(lease, error.problem.detail or "the machine it runs on does not answer")
        stale = error.status == 409
        return Outcome("failed", problem=told(error.problem, "agent-refused", retryable=stale))

    def _unreached(self, lease: Lease, reason: str) -> Outcome:
        detail = f"agent '{lease.agent}' was not reached for {self.patience_s:g} s ({reason})"
        return failed("agent-unreachable", detail, retryable=True)

    async def _files(self, held: HeldLease) -> dict[str, bytes]:
        """Return the bytes of every file of the input."""
        files = dict(held.lease.inline)
        for ref in held.lease.files:
            if ref.sha256 not in files:
                files[ref.sha256] = await patiently(lambda ref=ref: self.control.get_blob(held.held, ref))  # type: ignore[misc]
        return files

    async def _ask_agent(self, held: HeldLease, files: Mapping[str, bytes], deadline: float) -> Outcome:
        """Ask the agent until it has ended the step: sending again attaches to the run."""
        lease = held.lease
        away = Away(self.patience_s)
        while True:
            try:
                with tracing.span("call", {"concilium.try": away.tries + 1}, kind="client"):
                    there = held.at_agent or await self._meet(held)
                    ask = self._once if there.endpoint.steps else self._once_foreign
                    return await ask(held, there, files, deadline - now())
            except AgentAway as error:
                if held.at_agent is not None:
                    held.at_agent.sent = held.at_agent.sent or error.sent
                log.info("agent away", run_id=lease.run_id, agent=lease.agent, reason=error.reason)
                if away.too_long(held.at_agent):
                    self.endpoints.forget(lease.agent)
                    raise
            except AgentRefused as error:
                if error.status != 503 or away.too_long(held.at_agent):
                    self.endpoints.forget(lease.agent)
                    raise
            await asyncio.sleep(pause(away.tries))

    async def _meet(self, held: HeldLease) -> AtAgent:
        """Find out how the agent is called. An attempt that was granted before may be known there."""
        lease = held.lease
        endpoint = await self.endpoints.of(self.agents, lease.agent)
        held.at_agent = AtAgent(endpoint, lease.run_id if endpoint.steps else "", sent=lease.grants > 1)
        return held.at_agent

    async def _once(self, held: HeldLease, there: AtAgent, files: Mapping[str, bytes], left_s: float) -> Outcome:
        """Send the step, or send it again; the agent attaches us to the run it knows."""
        lease = held.lease
        if there.sent and lease.effects is Effects.EXTERNAL and not await self.agents.knows(*_known(there)):
            return unknown(lease)
        body = await _body(files, lambda: to_json(step_request(lease, files, left_s)))
        return await self._send(held, there, body)

    async def _once_foreign(
        self, held: HeldLease, there: AtAgent, files: Mapping[str, bytes], left_s: float
    ) -> Outcome:
        """Send the step, or follow the run the agent named; it knows no deadline, so it is canceled at ours."""
        lease = held.lease
        try:
            async with asyncio.timeout(left_s):
                if there.run_id:
                    return await self._follow(held, there, self.agents.follow(*_known(there)))
                if there.sent and lease.effects is Effects.EXTERNAL:
                    return unknown(lease)
                body = await _body(files, lambda: to_json(plain_request(lease, files)))
                return await self._send(held, there, body)
        except TimeoutError:
            await self._cancel(held)
            return failed("deadline-exceeded", "the run took longer than its deadline", retryable=False)
        except AgentRefused as error:
            if not there.run_id or error.status != 404:
                raise
            there.run_id = ""
            raise AgentAway(sent=True, reason="the agent forgot the run") from error

    async def _send(self, held: HeldLease, there: AtAgent, body: bytes) -> Outcome:
        """Send the step. From here on the agent may have seen it, unless sending failed or it was not taken."""
        before, there.sent = there.sent, True
        try:
            return await self._follow(held, there, self.agents.stream(there.endpoint, body))
        except AgentAway as error:
            there.sent = before or error.sent
            raise
        except AgentRefused:
            there.sent = before
            raise

    async def _follow(self, held: HeldLease, there: AtAgent, items: AsyncIterator[StreamItem]) -> Outcome:
        async for item in items:
            there.heard += 1
            if isinstance(item, Progress):
                self.progress.note(held, item.fraction, item.message)
            elif isinstance(item, Started):
                there.run_id = there.run_id or item.run_id
            else:
                return await self._judged(held.lease.skill, outcome_of(item))
        raise AgentAway(sent=True, reason="the stream ended early")

    async def _judged(self, skill: str, outcome: Outcome) -> Outcome:
        if not self.promises.checks(skill):
            return self.promises.judge(skill, outcome)
        return await asyncio.to_thread(self.promises.judge, skill, outcome)

    async def _commit(
        self, held: HeldLease, completion: Completion, next_claim: Callable[[], ClaimRequest | None]
    ) -> tuple[HeldLease, ...] | None:
        """Send the completion under the same fence until it is answered, while the lease is alive."""
        tries = 0
        while held.alive:
            asked_at = now()
            try:
                leases = await self.control.complete(completion.model_copy(update={"claim": next_claim()}))
                return tuple(self.keeper.hold(lease, asked_at) for lease in leases)
            except Unavailable as error:
                tries += 1
                log.info("completion not answered", run_id=held.lease.run_id, detail=error.detail)
                await asyncio.wait((held.ended,), timeout=pause(tries))
            except StaleLease:
                # Also the answer when an earlier try was committed and its answer was lost.
                if not tries:
                    held.span.drop()
                log.warning("completion refused as stale", run_id=held.lease.run_id, fence=held.lease.fence)
                return None
            except ConciliumError as error:
                if completion.state == "failed":
                    log.exception("failure refused", run_id=held.lease.run_id)
                    return None
                outcome = failed(f"result-{error.type}", error.detail[:2000], retryable=False)
                outcome = replace(outcome, used=completion.used)
                completion = outcome.completion(held.lease, self.runner, self.node, completion.duration_s)
        held.span.drop()
        log.warning("result dropped: the lease is over", run_id=held.lease.run_id, fence=held.lease.fence)
        return None


def _tell(span: tracing.Span, completion: Completion) -> None:
    """Say in a step's span how the step ended."""
    span.set({"concilium.outcome": completion.state, "concilium.run_s": completion.duration_s})
    span.set({"concilium.artifacts": len(completion.artifacts)})
    if completion.problem is not None:
        span.fail(completion.problem.type)


def _result(job: asyncio.Task[Outcome], lease: Lease) -> Outcome:
    error = job.exception()
    if error is None:
        return job.result()
    log.error("step failed in the runner", run_id=lease.run_id, error=type(error).__name__, exc_info=error)
    return failed("runner-error", f"the runner failed unexpectedly ({type(error).__name__})", retryable=True)


def _once_only(held: HeldLease, outcome: Outcome) -> Outcome:
    """Return the outcome; for a step with outside effects that the agent may have seen, that nobody knows it."""
    may_run = held.at_agent is not None and held.at_agent.sent
    return unknown(held.lease) if may_run and held.lease.effects is Effects.EXTERNAL else outcome


def _known(there: AtAgent) -> tuple[Endpoint, str]:
    return there.endpoint, there.run_id


async def _body(files: Mapping[str, bytes], build: Callable[[], bytes]) -> bytes:
    """Return a request's body; a large one is made on a thread."""
    if sum(map(len, files.values())) <= OFFLOAD_BYTES:
        return build()
    return await asyncio.to_thread(build)
