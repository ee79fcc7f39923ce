"""Logs are bounded, and a writer goes on writing through a rotation."""

import os
import stat
from pathlib import Path

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
