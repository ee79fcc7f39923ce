"""Speech is understood: an offline recogniser that is told nothing of the sentences writes down what it hears."""

import importlib.util
import os
import subprocess
import sys
from types import ModuleType

import pytest

from unit.tts.conftest import ROOT


def measurement() -> ModuleType:
    """Return the module of the measurement, which is a program of its own."""
    spec = importlib.util.spec_from_file_location("speech_benchmark", ROOT / "benchmarks" / "speech.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


speech = measurement()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("voice", ["flite/slt", "festival/cmu_us_slt_arctic_hts"])
async def test_at_most_one_word_in_ten_is_misheard(voice: str) -> None:
    assert len(speech.PLAIN) >= 20
    heard = await speech.measure(voice, "plain", [(sentence, sentence) for sentence in speech.PLAIN])
    assert heard.words > 200
    assert heard.rate <= 0.10, f"{heard.wrong} of {heard.words} words"


@pytest.mark.timeout(900)
async def test_numbers_dates_and_units_are_heard_as_words() -> None:
    heard = await speech.measure("festival/cmu_us_slt_arctic_hts", "numbers", speech.NUMBERS)
    assert heard.rate <= 0.10, f"{heard.wrong} of {heard.words} words"


async def test_the_measure_notices_when_other_words_are_said() -> None:
    said = [("The train arrives in the morning.", speech.PLAIN[10])]
    assert (await speech.measure("flite/slt", "wrong", said)).rate > 0.5


def test_errors_are_counted_by_words() -> None:
    assert speech.errors("a b c", "a b c") == (0, 3)
    assert speech.errors("a b c", "a x c d") == (2, 3)
    assert speech.errors("a b c", "") == (3, 3)


@pytest.mark.timeout(300)
def test_the_measurement_prints_its_table() -> None:
    command = [sys.executable, "-m", "benchmarks.speech", "--voices", "flite/slt", "ru", "--sentences", "1"]
    environment = {**os.environ, "PYTHONPATH": "services", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "flite/slt" in done.stdout
    assert "no recogniser" in done.stdout
