"""flite: small English voices, one child process a sentence. The text goes through a file, never the command line."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from concilium.workers.tts.latin import ascii_only
from concilium.workers.tts.process import speak_once
from concilium.workers.tts.sound import Manner, Sound, said_otherwise

NAME = "flite"
GET = "apt-get install -y flite"
_VOICE = re.compile(r"[a-z][a-z0-9_]{0,40}")
_NARROW = frozenset({"awb_time", "kal16"})
"""A talking clock, and a double of ``kal`` at another rate."""
RATES = {"kal": 8000}


@cache
def program() -> str | None:
    """Return flite's path."""
    return shutil.which("flite")


@cache
def voices() -> tuple[str, ...]:
    """Return the names of the voices it holds, best first."""
    path = program()
    if path is None:
        return ()
    command = [path, "-lv"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout  # noqa: S603 - ours
    names = [name for name in listed.partition(":")[2].split() if _VOICE.fullmatch(name) and name not in _NARROW]
    return tuple(sorted(names, key=lambda name: (name != "slt", name)))


class Flite:
    """Speaks with flite."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    async def say(self, text: str, voice: str, manner: Manner) -> Sound:
        """Return the sentence as sound. Raises as `speak_once`."""
        source, spoken = self._folder / "sentence.txt", self._folder / "sentence.wav"
        source.write_text(ascii_only(text) + "\n", encoding="ascii")
        stretch = ["--setf", f"duration_stretch={1 / manner.speed:.4f}"]
        command = [program() or NAME, "-voice", voice, *stretch, "-f", str(source), "-o", str(spoken)]
        sound = await speak_once(command, self._folder, spoken, self._timeout_s)
        return said_otherwise(sound, Manner(1.0, manner.pitch))
