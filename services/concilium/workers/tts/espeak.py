"""espeak-ng as a child process: where it is, and a conversation with it."""

import asyncio
import ctypes.util
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from concilium.workers.runtime.engines import EngineReport
from concilium.workers.runtime.skill import SkillFailed

NAME = "espeak-ng"
_CHILD = Path(__file__).with_name("child.py")
_ADVICE = "pip install 'concilium[tts]', or on Debian: sudo apt-get install espeak-ng"


@dataclass(frozen=True, slots=True)
class Library:
    """The espeak-ng library and its data (None: where the library itself looks)."""

    path: str
    data: str | None


@dataclass(frozen=True, slots=True)
class Spoken:
    """One piece of speech: 16-bit little-endian mono PCM."""

    samples: bytes
    sample_rate: int
    phonemes: str
    """In the International Phonetic Alphabet."""


def find_library() -> Library | None:
    """Return espeak-ng from the ``espeakng-loader`` wheel, else the system's, else None."""
    if find_spec("espeakng_loader") is not None:
        loader = import_module("espeakng_loader")
        return Library(loader.get_library_path(), loader.get_data_path())
    system = ctypes.util.find_library("espeak-ng")
    return Library(system, None) if system else None


def describe_engines() -> list[EngineReport]:
    """Say whether there is an engine, and how to get one."""
    library = find_library()
    if library is None:
        return [EngineReport(NAME, available=False, found="no speech engine", advice=_ADVICE)]
    return [
        EngineReport(NAME, available=True, found=f"{NAME} ({'wheel' if library.data else 'system'}): English, Russian")
    ]


class Voice:
    """A running child; speaks one sentence at a time."""

    def __init__(self, process: asyncio.subprocess.Process, timeout_s: float) -> None:
        self._process = process
        self._timeout_s = timeout_s

    async def say(self, text: str, voice: str, words_per_minute: int) -> Spoken:
        """Return the speech of a text. Raises `SkillFailed` when the engine cannot or does not answer."""
        wish = {"text": text, "voice": voice, "words_per_minute": words_per_minute}
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(json.dumps(wish).encode() + b"\n")
        except TimeoutError as error:
            raise SkillFailed(
                "engine-timeout", f"{NAME} said nothing for {self._timeout_s:.0f} s", retryable=True
            ) from error
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise SkillFailed("engine-died", f"{NAME} ended in the middle of a sentence", retryable=True) from error

    async def _ask(self, wish: bytes) -> Spoken:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("the child has no pipes")
        stdin.write(wish)
        await stdin.drain()
        answer = json.loads(await stdout.readuntil(b"\n"))
        if "error" in answer:
            raise SkillFailed("engine-refused", answer["error"])
        return Spoken(await stdout.readexactly(answer["bytes"]), answer["sample_rate"], answer["phonemes"])


@asynccontextmanager
async def open_voice(timeout_s: float) -> AsyncIterator[Voice]:
    """Start the child and end it afterwards, whatever happened; one sentence may take ``timeout_s`` seconds.

    Raises:
        SkillFailed: ``no-engine``.
    """
    library = find_library()
    if library is None:
        raise SkillFailed("no-engine", f"no speech engine on this machine; {_ADVICE}")
    command = [sys.executable, "-I", "-S", str(_CHILD), library.path, *([library.data] if library.data else [])]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        limit=1 << 20,
    )
    try:
        yield Voice(process, timeout_s)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
