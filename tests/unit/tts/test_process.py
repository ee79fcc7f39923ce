"""A speech program that hangs is ended with everything it started."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.process import speak_once


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! $$ > {pids}; wait"
    began = time.monotonic()
    with pytest.raises(SkillFailed, match="speech-timeout"):
        await speak_once(["sh", "-c", script], tmp_path, tmp_path / "none.wav", 0.5)
    assert time.monotonic() - began < 5
    async with asyncio.timeout(10):  # the kernel takes a moment to end what was killed
        while any(map(_runs, map(int, pids.read_text().split()))):  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_program_gets_no_environment_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    seen = tmp_path / "seen"
    with pytest.raises(SkillFailed, match="speech-failed: the engine made no sound"):
        await speak_once(["sh", "-c", f"env > {seen}"], tmp_path, tmp_path / "none.wav", 5)
    assert "A_SECRET" not in seen.read_text()
    assert f"HOME={tmp_path}" in seen.read_text()
