"""What an agent remembers, and for how long."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.contracts.a2a.step import StepTerms
from concilium.contracts.errors import StaleLease
from concilium.workers.runtime.store import ExecutionLog, Fences, FinishedRuns


def terms(fence: int, attempt: int = 1, step_key: str = "t.s") -> StepTerms:
    return StepTerms(run_id=f"{step_key}.{attempt}", step_key=step_key, attempt=attempt, fence=fence, deadline_s=1)


def finished(folder: Path, keep_bytes: int = 2**20) -> FinishedRuns:
    runs = FinishedRuns(folder / "runs", keep_bytes=keep_bytes)
    runs.open()
    return runs


def test_a_finished_run_is_found_again_by_another_process(tmp_path: Path) -> None:
    finished(tmp_path).save("a.b.1", b"result")
    assert finished(tmp_path).load("a.b.1") == b"result"
    assert finished(tmp_path).load("a.b.2") is None


def test_runs_older_than_a_day_are_forgotten(tmp_path: Path) -> None:
    runs = finished(tmp_path)
    runs.save("old", b"x")
    runs.save("new", b"x")
    yesterday = time.time() - 25 * 3600
    os.utime(tmp_path / "runs" / "old.task", (yesterday, yesterday))
    runs.sweep()
    assert runs.newest_first() == ["new"]


def test_the_oldest_runs_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    runs = finished(tmp_path, keep_bytes=250)
    for number in range(5):
        runs.save(f"r{number}", b"x" * 100)
        at = time.time() - 100 + number
        os.utime(tmp_path / "runs" / f"r{number}.task", (at, at))
    runs.sweep()
    assert runs.newest_first() == ["r4", "r3"]


def test_a_half_written_run_is_dropped_at_the_start(tmp_path: Path) -> None:
    finished(tmp_path)
    (tmp_path / "runs" / "a.new").write_bytes(b"half")
    runs = finished(tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []
    assert runs.newest_first() == []


def test_fences_are_restored_from_the_log_even_when_its_end_is_cut_off(tmp_path: Path) -> None:
    log = ExecutionLog(tmp_path / "executions.jsonl")
    log.open()
    log.write("start", terms(7, 2), "noop.echo")
    log.close()
    with log.path.open("ab") as file:
        file.write(b'{"event":"start","step_key":"t.s","fen')
    fences = Fences()
    fences.restore(log)
    with pytest.raises(StaleLease):
        fences.raise_to(terms(6, 2))
    with pytest.raises(StaleLease):
        fences.raise_to(terms(8, 1))
    fences.raise_to(terms(7, 2))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=20))
def test_no_accepted_fence_or_attempt_is_lower_than_one_before(asked: list[tuple[int, int]]) -> None:
    fences = Fences()
    taken = [(0, 1)]
    for fence, attempt in asked:
        try:
            fences.raise_to(terms(fence, attempt))
        except StaleLease:
            assert fence < taken[-1][0] or attempt < taken[-1][1]
        else:
            assert fence >= taken[-1][0]
            assert attempt >= taken[-1][1]
            taken.append((fence, attempt))
