"""Runs over the wire: start, attach, fences, cancel, deadline, slots, results."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from concilium.contracts.a2a import reader
from concilium.contracts.limits import FENCE_ERA
from concilium.contracts.states import TaskState
from support.agents import Agent, Peer, Refused, file_of, lease


async def started(stream: AsyncIterator[reader.StreamItem]) -> None:
    """Read until the skill's first progress note."""
    async for item in stream:
        if isinstance(item, reader.Progress):
            return


async def until(condition: Callable[[], bool]) -> None:
    """Wait, at most five seconds, until a condition of another process holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the other process has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_step_is_run_and_its_output_streamed(noop: Agent, peer: Peer) -> None:
    items = [item async for item in peer.stream(noop, lease(noop, "noop.echo", {"text": "привет", "sleep_s": 0.05}))]
    assert isinstance(items[0], reader.Started)
    assert any(isinstance(item, reader.Progress) and item.message == "sleeping" for item in items)
    final = items[-1]
    assert isinstance(final, reader.Final)
    assert (final.state, final.output, final.problem) == (TaskState.COMPLETED, {"text": "привет"}, None)
    assert final.duration_s is not None
    assert 0.05 <= final.duration_s < 5.0


async def test_files_travel_both_ways(probe: Agent, peer: Peer) -> None:
    data = bytes(range(256)) * 5000
    ref = file_of(data)
    final = await peer.run(probe, lease(probe, "probe.reverse", {"file": ref}, files=[ref]), {ref["sha256"]: data})
    assert final.output == {"size": len(data)}
    [(back, content)] = final.files
    assert content == data[::-1]
    assert (back.name, back.media_type, back.size) == ("reversed.bin", "application/x-reversed", len(data))


async def test_sending_a_running_step_again_attaches_to_it(noop: Agent, peer: Peer) -> None:
    step = lease(noop, "noop.echo", {"text": "once", "sleep_s": 0.5})
    first, second = await asyncio.gather(peer.run(noop, step), peer.run(noop, step))
    assert first == second
    assert noop.starts(step.run_id) == 1


async def test_sending_a_finished_step_again_gives_the_stored_result(noop: Agent, peer: Peer) -> None:
    step = lease(noop, "noop.echo", {"text": "kept"})
    first = await peer.run(noop, step)
    again = await peer.run(noop, step.model_copy(update={"fence": 2}))
    assert again == first
    assert noop.starts(step.run_id) == 1


async def test_a_finished_step_survives_a_kill_of_the_agent(own_noop: Agent, peer: Peer) -> None:
    step = lease(own_noop, "noop.echo", {"text": "survivor"})
    first = await peer.run(own_noop, step)
    own_noop.stop(signal.SIGKILL)
    own_noop.start()
    assert await peer.run(own_noop, step) == first
    assert own_noop.starts(step.run_id) == 1


async def test_a_failed_step_stays_failed_after_a_restart(own_noop: Agent, peer: Peer) -> None:
    step = lease(own_noop, "noop.echo", {"text": "x", "fail": True})
    first = await peer.run(own_noop, step)
    assert first.problem is not None
    assert (first.state, first.problem.type) == (TaskState.FAILED, "told-to-fail")
    own_noop.stop()
    own_noop.start()
    assert await peer.run(own_noop, step) == first


async def test_a_step_in_flight_when_the_agent_was_killed_is_started_anew(own_noop: Agent, peer: Peer) -> None:
    step = lease(own_noop, "noop.echo", {"text": "again", "sleep_s": 30})
    stream = peer.stream(own_noop, step)
    await started(stream)
    own_noop.stop(signal.SIGKILL)
    own_noop.start()
    quick = lease(own_noop, "noop.echo", {"text": "again"}, task_id=step.task_id, fence=2)
    assert (await peer.run(own_noop, quick)).output == {"text": "again"}
    assert own_noop.starts(step.run_id) == 2


async def test_a_lower_fence_is_refused(noop: Agent, peer: Peer) -> None:
    step = lease(noop, "noop.echo", {"text": "a"}, fence=5)
    await peer.run(noop, step)
    with pytest.raises(Refused) as refused:
        await peer.run(noop, step.model_copy(update={"fence": 4}))
    assert (refused.value.status, refused.value.problem.type) == (409, "stale-fence")


async def test_a_lower_fence_is_refused_after_a_restart(own_noop: Agent, peer: Peer) -> None:
    step = lease(own_noop, "noop.echo", {"text": "a"}, fence=5)
    await peer.run(own_noop, step)
    own_noop.stop(signal.SIGKILL)
    own_noop.start()
    with pytest.raises(Refused):
        await peer.run(own_noop, step.model_copy(update={"fence": 4, "attempt": 2}))


async def test_a_fence_counts_for_its_own_step_only(noop: Agent, peer: Peer) -> None:
    step = lease(noop, "noop.echo", {"text": "a"}, fence=5)
    await peer.run(noop, step)
    assert (await peer.run(noop, step.model_copy(update={"step": "other", "fence": 1}))).state is TaskState.COMPLETED


async def test_a_higher_attempt_kills_the_older_run(probe: Agent, peer: Peer) -> None:
    older = lease(probe, "probe.wait", {})
    old_stream = peer.stream(probe, older)
    await started(old_stream)
    newer = lease(probe, "probe.wait", {"seconds": 0}, task_id=older.task_id, attempt=2, fence=2)
    assert (await peer.run(probe, newer)).state is TaskState.COMPLETED
    final = [item async for item in old_stream][-1]
    assert isinstance(final, reader.Final)
    assert final.state is TaskState.CANCELED
    assert final.problem is not None
    assert final.problem.type == "replaced"


async def test_a_lower_attempt_is_refused(noop: Agent, peer: Peer) -> None:
    step = lease(noop, "noop.echo", {"text": "a"}, attempt=2, fence=2)
    await peer.run(noop, step)
    with pytest.raises(Refused) as refused:
        await peer.run(noop, step.model_copy(update={"attempt": 1, "fence": 3}))
    assert refused.value.status == 409


async def test_a_cancel_ends_the_run_within_a_second_and_frees_its_slot(probe: Agent, peer: Peer) -> None:
    step = lease(probe, "probe.wait", {})
    stream = peer.stream(probe, step)
    await started(stream)
    asked = time.monotonic()
    assert await peer.cancel(probe, step.run_id) == 200
    assert time.monotonic() - asked < 1
    final = [item async for item in stream][-1]
    assert isinstance(final, reader.Final)
    assert final.state is TaskState.CANCELED
    assert await peer.cancel(probe, step.run_id) == 400
    await until(lambda: not list((probe.state / "work").iterdir()))


async def test_a_skill_that_ignores_its_cancel_is_told_canceled_but_keeps_its_slot(
    probe: Agent, peer: Peer, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    os.mkfifo(release)
    stubborn = lease(probe, "probe.stubborn", {"release": str(release)})
    stream = peer.stream(probe, stubborn)
    await started(stream)
    assert await peer.cancel(probe, stubborn.run_id) == 200
    waiting = lease(probe, "probe.wait", {})
    other = peer.stream(probe, waiting)
    await started(other)
    late = await peer.run(probe, lease(probe, "probe.wait", {"seconds": 0}, deadline_s=0.2))
    assert late.problem is not None
    assert (late.problem.type, late.problem.retryable) == ("busy", True)
    await asyncio.to_thread(release.write_bytes, b"go")
    assert (await peer.run(probe, lease(probe, "probe.wait", {"seconds": 0}))).state is TaskState.COMPLETED
    await peer.cancel(probe, waiting.run_id)


async def test_a_deadline_ends_the_run(probe: Agent, peer: Peer) -> None:
    final = await peer.run(probe, lease(probe, "probe.wait", {}, deadline_s=0.3))
    assert final.problem is not None
    assert (final.state, final.problem.type) == (TaskState.FAILED, "deadline-exceeded")


async def test_a_caller_may_only_lower_the_skills_deadline(probe: Agent, peer: Peer) -> None:
    final = await peer.run(probe, lease(probe, "probe.wait", {"seconds": 0}, deadline_s=5000))
    assert final.output["deadline_s"] <= 30


async def test_slots_hold_back_what_is_too_much(probe: Agent, peer: Peer) -> None:
    steps = [lease(probe, "probe.wait", {"seconds": 0.4}) for _ in range(4)]
    begun = time.monotonic()
    finals = await asyncio.gather(*(peer.run(probe, step) for step in steps))
    assert all(final.state is TaskState.COMPLETED for final in finals)
    assert time.monotonic() - begun >= 0.8


@pytest.mark.parametrize(
    ("kind", "problem", "retryable"),
    [
        ("crash", "skill-error", True),
        ("cancel", "skill-error", True),
        ("nan", "output-invalid", False),
        ("large", "output-too-large", False),
        ("wrong", "output-invalid", False),
        ("refuse", "no-voice", False),
        ("surrogate", "odd", False),
    ],
)
async def test_a_bad_end_is_a_clear_problem(probe: Agent, peer: Peer, kind: str, problem: str, retryable: bool) -> None:
    final = await peer.run(probe, lease(probe, "probe.result", {"kind": kind}))
    assert final.problem is not None
    assert (final.state, final.problem.type, final.problem.retryable) == (TaskState.FAILED, problem, retryable)


async def test_a_file_with_an_impossible_name_gets_a_possible_one(probe: Agent, peer: Peer) -> None:
    final = await peer.run(probe, lease(probe, "probe.result", {"kind": "odd-file"}))
    assert [ref.name for ref, _ in final.files] == ["?.txt"]


async def test_content_never_reaches_the_log(probe: Agent, peer: Peer) -> None:
    await peer.run(probe, lease(probe, "probe.result", {"kind": "crash"}))
    with pytest.raises(Refused):
        await peer.run(probe, lease(probe, "probe.result", {"secret-input": 1}))
    log = probe.log.read_text()
    assert "skill raised" in log
    assert "secret-content" not in log
    assert "secret-input" not in log


async def test_a_stop_lets_running_work_end(own_noop: Agent, peer: Peer) -> None:
    stream = peer.stream(own_noop, lease(own_noop, "noop.echo", {"text": "last", "sleep_s": 1}))
    await started(stream)
    stopping = asyncio.create_task(asyncio.to_thread(own_noop.stop))
    items = [item async for item in stream]
    final = items[-1]
    assert isinstance(final, reader.Final)
    assert (final.state, final.output) == (TaskState.COMPLETED, {"text": "last"})
    await stopping


async def test_a_run_abandoned_by_a_stop_is_unknown_afterwards(own_noop: Agent, peer: Peer) -> None:
    step = lease(own_noop, "noop.echo", {"text": "long", "sleep_s": 60})
    stream = peer.stream(own_noop, step)
    await started(stream)
    await asyncio.to_thread(own_noop.stop)
    own_noop.start()
    quick = lease(own_noop, "noop.echo", {"text": "long"}, task_id=step.task_id)
    assert (await peer.run(own_noop, quick)).output == {"text": "long"}
    assert [line["outcome"] for line in own_noop.executions() if line["event"] == "end"] == ["abandoned", "completed"]


async def test_what_an_agent_remembers_of_a_history_that_was_lost_is_not_taken_for_a_restored_mesh(
    noop: Agent, peer: Peer
) -> None:
    # The mesh was backed up at fence 1; afterwards this agent saw attempt 2 of one step and an end of another.
    first = lease(noop, "noop.echo", {"text": "lost"}, fence=3)
    await peer.run(noop, first)
    await peer.run(noop, first.model_copy(update={"attempt": 2, "fence": 5}))
    restored = first.model_copy(update={"fence": FENCE_ERA + 1, "input": {"text": "of the restored mesh"}})
    assert (await peer.run(noop, restored)).output == {"text": "of the restored mesh"}
    assert (await peer.run(noop, restored)).output == {"text": "of the restored mesh"}
    assert noop.starts(restored.run_id) == 2
    with pytest.raises(Refused) as refused:
        await peer.run(noop, first.model_copy(update={"attempt": 2, "fence": 6}))
    assert refused.value.status == 409
    # Its memory holds over its own restart.
    noop.stop(signal.SIGKILL)
    noop.start()
    with pytest.raises(Refused):
        await peer.run(noop, first.model_copy(update={"attempt": 2, "fence": 6}))
    assert (await peer.run(noop, restored)).output == {"text": "of the restored mesh"}


async def test_a_run_of_a_lost_history_that_still_goes_on_is_ended(noop: Agent, peer: Peer) -> None:
    old = lease(noop, "noop.echo", {"text": "lost", "sleep_s": 60})
    stream = peer.stream(noop, old)
    await started(stream)
    restored = old.model_copy(update={"fence": FENCE_ERA + 1, "input": {"text": "new"}})
    assert (await peer.run(noop, restored)).output == {"text": "new"}
    assert (await peer.run(noop, restored)).output == {"text": "new"}
    assert noop.starts(restored.run_id) == 2
