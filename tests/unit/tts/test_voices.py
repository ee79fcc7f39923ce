"""tts.voices: an honest list."""

from pathlib import Path

import pytest

from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.home import read_manifest
from concilium.workers.runtime.skill import SkillContext
from concilium.workers.runtime.skillset import load_skills
from unit.tts.conftest import ROOT, SETTINGS

FOLDER = ROOT / "agents" / "tts"


async def listed(tmp_path: Path, engine: EngineConfig | None = None, **data: JSON) -> dict[str, JSON]:
    """Return the skill's output, checked against the shipped schema."""
    runnable = load_skills(read_manifest(FOLDER / "agent.yaml"), FOLDER).named("tts.voices")
    runnable.check_input(data, {})
    settings = {**SETTINGS, "neural_voices": {"alloy": ["en", "ru"]}}
    result = await runnable.function(SkillContext("t.s.1", {}, settings, tmp_path, engine), data)
    runnable.check_result(result)
    output: dict[str, JSON] = result.output
    return output


async def test_every_espeak_voice_is_listed_with_its_language_and_rate(tmp_path: Path) -> None:
    voices = (await listed(tmp_path, engine=None))["voices"]
    espeak = {voice["name"]: voice for voice in voices if voice["engine"] == "espeak-ng"}
    assert set(espeak) == set(SETTINGS["voices"])
    assert espeak["ru"]["languages"] == ["ru"]
    assert espeak["en-us"]["sample_rate"] == 22050
    assert (espeak["en-us"]["default_for"], espeak["ru"]["default_for"]) == (["en"], ["ru"])


async def test_russian_is_called_unproved_and_so_is_what_no_recogniser_understands(tmp_path: Path) -> None:
    voices = (await listed(tmp_path))["voices"]
    for voice in voices:
        if "ru" in voice["languages"]:
            assert voice["proof"] != "recogniser"
            assert "unproved" in voice["note"]
            assert "no Russian recogniser" in voice["note"]
        if voice["engine"] == "espeak-ng":
            assert "unproved by ear" in voice["note"]


async def test_the_list_can_be_narrowed(tmp_path: Path) -> None:
    russian = (await listed(tmp_path, language="ru"))["voices"]
    assert russian
    assert all("ru" in voice["languages"] for voice in russian)


@pytest.mark.parametrize("configured", [False, True])
async def test_neural_voices_are_there_with_their_engine_only(tmp_path: Path, configured: bool) -> None:
    engine = EngineConfig(url="http://127.0.0.1:9/v1") if configured else None
    output = await listed(tmp_path, engine)
    assert any(voice["name"] == "neural/alloy" for voice in output["voices"]) is configured
    (report,) = [report for report in output["engines"] if report["name"] == "neural"]
    assert report["available"] is configured
    assert configured or "speech_engine.url" in report["advice"]


async def test_the_text_has_a_voice_a_line(tmp_path: Path) -> None:
    output = await listed(tmp_path)
    assert len(output["text"].splitlines()) == len(output["voices"])
