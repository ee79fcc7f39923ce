"""Audio from outside: decoded by a child process, bounded in time, size and length."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import numpy as np

from concilium.workers.runtime.process import kill, start_process
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.decode_child import TOO_LONG
from concilium.workers.tts.process import bound
from concilium.workers.tts.sound import Sound

CHILD = Path(__file__).with_name("decode_child.py")
SECONDS_MAX = 300.0
"""Longest answer to one sentence."""
TIMEOUT_S = 30.0


async def decode(content: bytes) -> Sound:
    """Return what an audio file holds, its channels mixed.

    Raises:
        SkillFailed: ``engine-garbage`` when it is no audio file, or longer than `SECONDS_MAX`.
    """
    command = (sys.executable, "-I", str(CHILD), f"{SECONDS_MAX:g}")
    child = await start_process(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    try:
        bound(child.pid, TIMEOUT_S)
        async with asyncio.timeout(TIMEOUT_S):
            answer, _ = await child.communicate(content)
    except TimeoutError as error:
        raise _garbage("audio that takes too long to decode") from error
    finally:
        await kill(child)
    if child.returncode == TOO_LONG:
        raise _garbage(f"more than {SECONDS_MAX:g} s of audio for one sentence")
    if child.returncode or len(answer) < 8:
        raise _garbage("no audio file that can be read")
    rate, channels = (int.from_bytes(answer[at : at + 4], "little") for at in (0, 4))
    samples = np.frombuffer(answer, np.int16, offset=8).reshape(-1, channels)
    return Sound(rate, samples[:, 0] if channels == 1 else samples.mean(axis=1).astype(np.int16))


def _garbage(what: str) -> SkillFailed:
    return SkillFailed("engine-garbage", f"the speech engine answered with {what}", retryable=True)
