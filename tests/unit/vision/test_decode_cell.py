"""The process that opens pictures: what it may take, what it cannot do, and that its end is only an answer."""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision import cell
from concilium.workers.vision.cell import CellError, Limits, in_cell
from support import hostile_jobs as jobs
from support.images import marked, run, saved, until


def at_work() -> set[int]:
    """Return the processes below this one."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


async def test_a_job_gets_its_files_and_answers() -> None:
    answer = await in_cell(jobs.echo, {"a": [1, "ü"]}, b"one", b"", bytes(5_000_000))
    assert (answer.found, answer.parts) == ({"a": [1, "ü"]}, (b"one", b"", bytes(5_000_000)))


async def test_a_job_that_takes_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "LIMITS", Limits(memory_bytes=200 * 2**20))
    with pytest.raises(SkillFailed, match="image-too-large: the image takes more than 200 MiB of memory"):
        await in_cell(jobs.take_memory, {})


@pytest.mark.parametrize(
    ("job", "limits"), [(jobs.work_for_ever, Limits(cpu_s=1)), (jobs.wait_for_ever, Limits(wall_s=0.5))]
)
async def test_a_job_without_end_is_ended(monkeypatch: pytest.MonkeyPatch, job: Any, limits: Limits) -> None:
    monkeypatch.setattr(cell, "LIMITS", limits)
    with pytest.raises(SkillFailed, match="image-timeout"):
        await in_cell(job, {})


@pytest.mark.parametrize("job", [jobs.crash, jobs.leave])
async def test_a_decoder_that_dies_is_an_answer(job: Any) -> None:
    with pytest.raises(SkillFailed, match="image-damaged: the decoder broke off"):
        await in_cell(job, {})
    assert (await in_cell(jobs.echo, {"still": "here"})).found == {"still": "here"}


async def test_a_fault_of_our_own_is_not_blamed_on_the_picture() -> None:
    with pytest.raises(CellError, match="LookupError: a fault of our own"):
        await in_cell(jobs.err, {})


async def test_a_job_reaches_neither_files_nor_programs_nor_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = {"folder": str(tmp_path), "port": server.getsockname()[1]}
        reached = (await in_cell(jobs.reach_out, options)).found
    # Root may raise its own limits; an ordinary user cannot, and nothing else succeeds for either.
    assert set(reached) <= ({"raise the limit"} if os.geteuid() == 0 else set())


async def test_what_a_decoder_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    assert (await in_cell(jobs.print_much, {})).found == "quiet"
    assert capfd.readouterr() == ("", "")


async def test_a_cancelled_job_is_gone_within_a_second() -> None:
    await cell.warm_up()
    before = at_work()
    job = asyncio.create_task(in_cell(jobs.work_for_ever, {}))
    await until(lambda: bool(at_work() - before))
    started = time.monotonic()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    await until(lambda: not at_work() - before)
    assert time.monotonic() - started < 1


async def test_more_jobs_than_cells_are_all_done() -> None:
    answers = await asyncio.gather(*(in_cell(jobs.echo, {"n": n}) for n in range(12)))
    assert [answer.found["n"] for answer in answers] == list(range(12))


SERVICE = """
import asyncio
from concilium.workers.vision.cell import in_cell
from support.hostile_jobs import wait_for_ever
if __name__ == "__main__":
    asyncio.run(in_cell(wait_for_ever, {}))
"""


async def test_a_killed_service_leaves_nothing_behind(tmp_path: Path) -> None:
    program = tmp_path / "service.py"
    program.write_text(SERVICE)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    service = await asyncio.create_subprocess_exec(sys.executable, str(program), env=environ)
    left: list[psutil.Process] = []

    def has_a_cell() -> bool:
        left[:] = psutil.Process(service.pid).children(recursive=True)
        return any(psutil.Process(child.ppid()) in left for child in left)

    await until(has_a_cell)
    service.kill()
    await service.wait()
    await until(lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left))


async def test_opening_a_small_picture_takes_little_time(tmp_path: Path) -> None:
    await cell.warm_up()
    started = time.monotonic()
    for _ in range(5):
        await run("vision.inspect", tmp_path, saved(marked()))
    assert (time.monotonic() - started) / 5 < 1
