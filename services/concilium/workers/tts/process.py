"""Runs a speech program once, for one sentence: bounded, in a folder of its own, and gone when it has ended."""

import asyncio
import contextlib
import os
import resource
import signal
import wave
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from concilium.contracts.limits import MIB
from concilium.workers.runtime.process import start_process
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.sound import Sound

MEMORY_BYTES = 2048 * MIB
OUTPUT_BYTES = 128 * MIB


async def speak_once(command: Sequence[str], folder: Path, spoken: Path, timeout_s: float) -> Sound:
    """Run a program that writes the WAV file ``spoken`` and return what it said.

    The program gets no input, no environment of ours and a home of its own (festival runs what it finds in its home).
    It is the head of a process group, which is killed whole.

    Raises:
        SkillFailed: ``speech-timeout``, or ``speech-failed`` when it wrote no sound.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LANG": "C.UTF-8"}
    child = await start_process(
        *command,
        end=_end,
        cwd=folder,
        env=environment,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        bound(child.pid, timeout_s)
        async with asyncio.timeout(timeout_s):
            await child.wait()
    except TimeoutError as error:
        raise SkillFailed("speech-timeout", f"a sentence took more than {timeout_s:g} s", retryable=True) from error
    finally:
        await _end(child)
    return await asyncio.to_thread(_read, spoken)


async def _end(child: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def bound(pid: int, seconds: float) -> None:
    """Bound a process's memory, files and processor time, as its children will be."""
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_CPU: max(1, round(seconds)),
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(ProcessLookupError):
        for kind, limit in limits.items():
            resource.prlimit(pid, kind, (limit, limit))


def _read(path: Path) -> Sound:
    try:
        with wave.open(str(path), "rb") as sound:
            if sound.getnchannels() != 1 or sound.getsampwidth() != 2:
                raise SkillFailed("speech-failed", "the engine wrote no 16-bit mono sound")
            return Sound(sound.getframerate(), np.frombuffer(sound.readframes(sound.getnframes()), np.int16))
    except (OSError, EOFError, wave.Error) as error:
        raise SkillFailed("speech-failed", "the engine made no sound of a sentence") from error
    finally:
        path.unlink(missing_ok=True)
