"""espeak-ng by its phonemes: no recogniser here understands it, so a dictionary's pronunciation is the measure."""

import pytest

from unit.tts.test_speak import phonemes

_SAME_SOUND = str.maketrans({"ˈ": "", "ˌ": "", "ː": "", "ɑ": "a", "ʌ": "a", "ɐ": "a", "ə": "ə", "ɭ": "ɫ", "y": "ɨ"})
"""espeak-ng's signs for the sounds of a broad transcription. A Russian ``y`` is what others write ``ɨ``."""


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("cat", "kæt"),
        ("ship", "ʃɪp"),
        ("hello", "həloʊ"),
        ("thing", "θɪŋ"),
        ("vision", "vɪʒən"),
        ("day", "deɪ"),
        ("boy", "bɔɪ"),
    ],
)
def test_english_words_have_the_sounds_of_the_dictionary(word: str, sounds: str) -> None:
    assert phonemes("en-us", word).translate({ord("ˈ"): "", ord("ˌ"): ""}) == sounds


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("кот", "kot"),
        ("дом", "dom"),
        ("рука", "ruka"),
        ("мышь", "mɨʃ"),
        ("чай", "tʃʲaj"),
        ("щука", "ɕuka"),
        ("молоко", "maɫako"),
    ],
)
def test_russian_words_have_the_sounds_of_the_dictionary(word: str, sounds: str) -> None:
    assert phonemes("ru", word).translate(_SAME_SOUND) == sounds


@pytest.mark.parametrize(("word", "stressed"), [("молоко", "ˈo"), ("рука", "ˈɑ"), ("дом", "ˈo")])
def test_russian_words_have_the_stress_of_the_dictionary(word: str, stressed: str) -> None:
    assert stressed in phonemes("ru", word)


@pytest.mark.parametrize(("voice", "text"), [("en-us", "twenty-five kilometers"), ("ru", "двадцать пять километров")])
def test_the_phonemes_are_the_same_every_time(voice: str, text: str) -> None:
    assert len({phonemes(voice, text) for _ in range(3)}) == 1
