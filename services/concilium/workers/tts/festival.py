"""festival: English and Russian voices, one child process a sentence.

festival is a Scheme interpreter, so nothing a caller writes may reach it as Scheme: the text goes through a file read
in plain mode, and the only expression is a voice's name, which was found on this machine and is letters and digits.
"""

import re
import shutil
from functools import cache
from pathlib import Path

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.latin import ascii_only, cyrillic_only, words_only
from concilium.workers.tts.process import speak_once
from concilium.workers.tts.sound import Manner, Sound, said_otherwise

NAME = "festival"
GET = "apt-get install -y festival festvox-us-slt-hts festvox-ru"
FOLDERS = ("/usr/share/festival/voices", "/usr/local/share/festival/voices")
LANGUAGES = {"english": "en", "us": "en", "russian": "ru"}
"""The folders of voices, by language."""
RATES = {"cmu_us_slt_arctic_hts": 32000}
_VOICE = re.compile(r"[a-z][a-z0-9_]{0,60}")


@cache
def program() -> str | None:
    """Return the path of festival's own program for text in files."""
    return shutil.which("text2wave")


@cache
def voices() -> dict[str, str]:
    """Return the voices on this machine and their language, best first."""
    if program() is None:
        return {}
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for kind, language in LANGUAGES.items():
            for path in sorted(Path(folder, kind).glob("*")):
                if path.is_dir() and _VOICE.fullmatch(path.name):
                    found.setdefault(path.name, language)
    return dict(sorted(found.items(), key=lambda item: ("slt" not in item[0], item[0])))


class Festival:
    """Speaks with festival."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    async def say(self, text: str, voice: str, manner: Manner) -> Sound:
        """Return the sentence as sound. Raises as `speak_once`."""
        language = voices().get(voice)
        if language is None:
            raise SkillFailed("unknown-voice", "festival has no such voice")
        source, spoken = self._folder / "sentence.txt", self._folder / "sentence.wav"
        plain = cyrillic_only(text) if language == "ru" else ascii_only(text)
        source.write_text(words_only(plain) + "\n", encoding="utf-8")
        command = [program() or NAME, "-eval", f"(voice_{voice})", "-otype", "riff", "-o", str(spoken), str(source)]
        return said_otherwise(await speak_once(command, self._folder, spoken, self._timeout_s), manner)
