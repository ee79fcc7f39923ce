"""Logs are bounded, and a writer goes on writing through a rotation."""

import errno
import os
import stat
from pathlib import Path

import pytest

from concilium.cli import logfile


def test_a_log_is_cut_at_its_limit_and_keeps_three_older_ones(tmp_path: Path) -> None:
    log = tmp_path / "code.log"
    writer = logfile.open_for_append(log)
    try:
        for turn in range(6):
            os.write(writer, f"turn {turn}\n".encode() * 20)
            assert logfile.rotate(log, limit=100)
        os.write(writer, b"after\n")
    finally:
        os.close(writer)
    assert log.read_text() == "after\n"
    kept = [logfile.generation(log, age).read_text().splitlines()[0] for age in (1, 2, 3)]
    assert kept == ["turn 5", "turn 4", "turn 3"]
    assert not logfile.generation(log, 4).exists()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_full_disk_costs_no_older_log_and_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "code.log"
    for turn in range(4):
        log.write_text(f"turn {turn}\n" * 20)
        assert turn == 3 or logfile.rotate(log, limit=100)

    def full(_: Path, to: Path) -> None:
        to.write_text("the first h")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    monkeypatch.setattr(logfile.shutil, "copy2", full)
    for _ in range(4):
        with pytest.raises(OSError, match="No space"):
            logfile.rotate(log, limit=100)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_small_or_absent_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "code.log"
    assert not logfile.rotate(log)
    log.write_text("one\n")
    assert not logfile.rotate(log)


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "code.log"
    assert logfile.tail(log, 3) == []
    log.write_text("".join(f"{n}\n" for n in range(1000)))
    assert logfile.tail(log, 3) == ["997", "998", "999"]
    assert logfile.tail(log, 0) == []
