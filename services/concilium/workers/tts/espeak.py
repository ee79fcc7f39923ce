"""espeak-ng seen from the parent: one child process a run, which never outlives it."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from concilium.workers.runtime.process import kill, start_process
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.library import GET_ENGINE, find_library
from concilium.workers.tts.sound import Manner, Sound

NAME = "espeak-ng"
CHILD = Path(__file__).with_name("child.py")


class Espeak:
    """A running child that speaks one sentence after the other."""

    def __init__(self, requests: asyncio.StreamWriter, answers: asyncio.StreamReader, timeout_s: float) -> None:
        self._requests = requests
        self._answers = answers
        self._timeout_s = timeout_s
        self.rate = 0
        """Samples a second."""

    async def start(self) -> None:
        """Wait until the engine is there; raises as `say`."""
        async with asyncio.timeout(self._timeout_s):
            self.rate = await self._number()

    async def say(self, text: str, voice: str, manner: Manner) -> Sound:
        """Return the sentence as sound. Raises TimeoutError, or what a broken pipe raises: see `running_engine`."""
        async with asyncio.timeout(self._timeout_s):
            request = {"text": text, "voice": voice, "speed": manner.speed, "pitch": manner.pitch}
            self._requests.write(json.dumps(request).encode() + b"\n")
            await self._requests.drain()
            samples = await self._answers.readexactly(await self._number())
        return Sound(self.rate, np.frombuffer(samples, np.int16))

    async def _number(self) -> int:
        return int.from_bytes(await self._answers.readexactly(4), "little")


@asynccontextmanager
async def running_engine(timeout_s: float) -> AsyncIterator[Espeak]:
    """Start a child and end it, however the body is left; ``timeout_s`` is for its start and for each sentence.

    Raises:
        SkillFailed: ``no-engine``, ``speech-timeout``, or ``speech-failed`` when the child stops.
    """
    child = await start_process(*_command(), stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    try:
        if child.stdin is None or child.stdout is None:
            raise BrokenPipeError
        engine = Espeak(child.stdin, child.stdout, timeout_s)
        await engine.start()
        yield engine
    except TimeoutError as error:
        raise SkillFailed("speech-timeout", f"a sentence took more than {timeout_s:g} s", retryable=True) from error
    except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError) as error:
        detail = "the engine stopped: it lacks the voice or could not speak the text"
        raise SkillFailed("speech-failed", detail) from error
    finally:
        await kill(child)


def _command() -> Sequence[str]:
    library = find_library()
    if library is None:
        raise SkillFailed("no-engine", f"no speech engine; get it with: {GET_ENGINE}")
    return sys.executable, "-I", str(CHILD), library.path, library.data
