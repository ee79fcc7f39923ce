"""Measures how well speech is understood: ``python -m benchmarks.speech [--voices flite/slt …] [--sentences 24]``.

Every English voice says the same sentences, and an offline recogniser (pocketsphinx with the acoustic and the general
language model that come in its wheel, told nothing of the sentences) writes down what it hears. Prints the word error
rate: words wrong, missing or too many, for each word said. The second set holds numbers, dates and units, so that what
is measured is also whether they are said in words. The sentences were chosen before anything was heard and are never
exchanged. A voice the recogniser cannot hear at all says more about the recogniser than about the voice. There is no
Russian recogniser: Russian voices are measured for speed only.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pocketsphinx import Decoder
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from concilium.workers.runtime.skill import SkillContext
from concilium.workers.tts.script import Casting, Line, Request, pieces_of
from concilium.workers.tts.sound import Sound, at_rate, silence
from concilium.workers.tts.speakers import Speakers
from concilium.workers.tts.voices import known_voices

ROOT = Path(__file__).resolve().parents[1]
RECOGNISER_RATE = 16000
PLAIN = (
    "The weather is very nice today.",
    "She closed the door and walked to the station.",
    "We will meet at the office on Monday morning.",
    "The children are playing in the garden.",
    "He wrote a long letter to his brother.",
    "The train arrives at seven o'clock in the evening.",
    "Please turn off the lights before you leave.",
    "The price of oil went up again last week.",
    "I would like to see the manager of this company.",
    "The president will speak to the nation tonight.",
    "They have been working on this problem for many years.",
    "The doctor said that he should drink more water.",
    "Most people in the city live near the river.",
    "The government will announce a new plan in September.",
    "My father bought this house thirty years ago.",
    "There is a small village on the other side of the mountain.",
    "The company said it expects strong growth next year.",
    "You can find the answer in the second chapter of the book.",
    "The teacher asked the students to read the story.",
    "It was the first time that I saw the ocean.",
    "The court will hear the case in the spring.",
    "A group of scientists found a new planet.",
    "He has two sisters and three brothers.",
    "Many countries signed the agreement in nineteen ninety five.",
)
NUMBERS = (
    ("The meeting is on March 5 at 9:30.", "the meeting is on march fifth at nine thirty"),
    ("It costs $20 or 15 euros.", "it costs twenty dollars or fifteen euros"),
    ("About 60% of the people voted in 1996.", "about sixty percent of the people voted in nineteen ninety six"),
    ("The road is 12 km long.", "the road is twelve kilometers long"),
    ("Dr. Brown lives at 7 Main St. near the bank.", "doctor brown lives at seven main street near the bank"),
    ("This is the 3rd time this week.", "this is the third time this week"),
    ("They sold 2.5 million cars.", "they sold two point five million cars"),
    ("Half of the 800 workers left on June 1, 1990.",
     "half of the eight hundred workers left on june first nineteen ninety"),
)  # fmt: skip
"""What is written, and what must be heard."""
RUSSIAN = "Доброе утро. Сегодня пятое марта, и погода очень хорошая."


@dataclass
class Heard:
    """What came of one voice and one set."""

    voice: str
    rows: str
    words: int = 0
    wrong: int = 0
    audio_s: float = 0.0
    speaking_s: float = 0.0

    @property
    def rate(self) -> float:
        """Word error rate."""
        return self.wrong / self.words if self.words else float("nan")


def errors(said: str, heard: str) -> tuple[int, int]:
    """Return the words that differ (Levenshtein distance over words) and the words said."""
    wanted, found = words_of(said), words_of(heard)
    costs = list(range(len(found) + 1))
    for row, word in enumerate(wanted, start=1):
        before, costs[0] = costs[0], row
        for column, other in enumerate(found, start=1):
            now = min(costs[column] + 1, costs[column - 1] + 1, before + (word != other))
            before, costs[column] = costs[column], now
    return costs[-1], len(wanted)


def words_of(text: str) -> list[str]:
    """Return words in small letters without signs."""
    return "".join(c for c in text.lower().replace("-", " ") if c.isalnum() or c in " '").split()


def hear(decoder: Decoder, sound: Sound) -> str:
    """Return what the recogniser hears, with a quarter of a second of silence around it."""
    quiet = silence(0.25, RECOGNISER_RATE).samples
    samples = np.concatenate([quiet, at_rate(sound, RECOGNISER_RATE).samples, quiet])
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def context(folder: str) -> SkillContext:
    """Return a context with the shipped settings."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "agents" / "tts" / "agent.yaml").read_text())["settings"]
    return SkillContext("benchmark", {}, settings, Path(folder) / "work")


async def measure(voice: str, rows: str, said: Sequence[tuple[str, str]], progress: Progress | None = None) -> Heard:
    """Have a voice say sentences, each given as it is written and as it must be heard, to the recogniser."""
    result = Heard(voice, rows)
    decoder = Decoder(loglevel="FATAL")
    bar = progress.add_task(f"{voice}, {rows}", total=len(said)) if progress else None
    with tempfile.TemporaryDirectory() as folder:
        ctx = context(folder)
        casting = Casting(Request(voice=voice), known_voices(ctx.settings, None), None)
        async with Speakers(ctx) as speakers:
            for written, wanted in said:
                sound = await _spoken(casting, speakers, written, result)
                wrong, count = errors(wanted, await asyncio.to_thread(hear, decoder, sound))
                result.wrong, result.words = result.wrong + wrong, result.words + count
                if progress and bar is not None:
                    progress.advance(bar)
    return result


async def _spoken(casting: Casting, speakers: Speakers, written: str, result: Heard) -> Sound:
    """Return a text as one sound, and count the time it took."""
    began = time.perf_counter()
    lines = [line for line in casting.lines(pieces_of(written, "text")) if isinstance(line, Line)]
    sounds = [await speakers.say(line) for line in lines]
    result.speaking_s += time.perf_counter() - began
    result.audio_s += sum(len(sound.samples) / sound.rate for sound in sounds)
    return Sound(sounds[0].rate, np.concatenate([sound.samples for sound in sounds]))


async def timed(voice: str) -> Heard:
    """Have a voice that nothing here can hear say a text, for its speed."""
    result = Heard(voice, "Russian")
    with tempfile.TemporaryDirectory() as folder:
        ctx = context(folder)
        casting = Casting(Request(voice=voice), known_voices(ctx.settings, None), None)
        async with Speakers(ctx) as speakers:
            await _spoken(casting, speakers, RUSSIAN, result)
    return result


async def run(voices: Sequence[str], count: int, console: Console) -> list[Heard]:
    """Return the results of every voice."""
    known = known_voices(context("").settings, None)
    found: list[Heard] = []
    with Progress(console=console) as progress:
        for name in voices or [name for name in known if "/" in name or name in ("en-us", "ru")]:
            if "en" not in known[name].languages:
                found.append(await timed(name))
                continue
            found.append(await measure(name, "plain", [(s, s) for s in PLAIN[:count]], progress))
            found.append(await measure(name, "numbers", NUMBERS[:count], progress))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", nargs="*", default=[], help="names of tts.voices; else one of each kind")
    parser.add_argument("--sentences", type=int, default=len(PLAIN), help="of each set at most so many")
    options = parser.parse_args()
    console = Console()
    table = Table(title="Words that the recogniser got wrong")
    for heading in ("voice", "sentences", "words", "wrong", "word error rate", "audio s", "spoken in s"):
        left = heading in ("voice", "sentences")
        table.add_column(heading, justify="left" if left else "right", no_wrap=left)
    for heard in asyncio.run(run(options.voices, options.sentences, console)):
        rate = f"{heard.rate:.1%}" if heard.words else "no recogniser"
        times = f"{heard.audio_s:.1f}", f"{heard.speaking_s:.1f}"
        table.add_row(
            heard.voice, heard.rows, str(heard.words or "-"), str(heard.wrong if heard.words else "-"), rate, *times
        )
    console.print(table)


if __name__ == "__main__":
    main()
