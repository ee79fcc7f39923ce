"""A neural engine behind OpenAI's API: a real server whose audio nobody trusts."""

import hashlib
import io
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.tts import skills
from concilium.workers.tts.decode import SECONDS_MAX
from support.speech_server import SpeechServer, running_speech_server
from unit.tts.conftest import SETTINGS, Say

SAMPLE = b"RIFF not really a voice"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SpeechServer]:
    """A server that has espeak-ng speak."""
    spoken = 0

    async def speech(text: str) -> bytes:
        nonlocal spoken
        spoken += 1
        context = SkillContext("server", {}, SETTINGS, tmp_path / f"server-{spoken}")
        return (await skills["tts.speak"](context, {"text": text, "voice": "en-us"})).files[0].data

    async with running_speech_server(speech) as running:
        yield running


def audio(seconds: float, rate: int = 24000, form: str = "WAV", channels: int = 1) -> bytes:
    out = io.BytesIO()
    tone = np.sin(np.arange(int(seconds * rate)) / 20)
    soundfile.write(out, np.stack([tone] * channels, axis=1), rate, format=form)
    return out.getvalue()


async def test_a_neural_voice_speaks_sentence_by_sentence_in_words(say: Say, server: SpeechServer) -> None:
    result = await say(text="It costs $5. Привет!", voice="neural/alloy", speed=1.5, engine=server.config())
    assert [body["input"] for body in server.asked] == ["It costs five dollars.", "Привет!"]
    assert {(body["voice"], body["speed"], body["model"]) for body in server.asked} == {("alloy", 1.5, "test-voice")}
    assert (result.output["engine"], result.output["voice"]) == ("neural", "neural/alloy")
    assert result.output["duration_s"] > 1


@pytest.mark.parametrize(("form", "channels", "rate"), [("WAV", 2, 44100), ("FLAC", 1, 24000), ("MP3", 1, 24000)])
async def test_what_the_server_sends_may_have_any_form(
    say: Say, server: SpeechServer, form: str, channels: int, rate: int
) -> None:
    server.answer = audio(2.0, rate, form, channels)
    result = await say(text="Hello", voice="neural/alloy", engine=server.config())
    assert result.output["sample_rate"] == rate
    assert result.output["duration_s"] == pytest.approx(2.0, abs=0.2)


async def test_a_pitch_is_given_to_what_the_server_said(say: Say, server: SpeechServer) -> None:
    server.answer = audio(2.0)
    result = await say(text="Hello", voice="neural/alloy", pitch=1.5, engine=server.config())
    assert result.output["duration_s"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not audio",
        b"RIFF\xff\xff\xff\xffWAVEfmt ",
        audio(1.0)[:30],
        b"OggS" + bytes(2000),
        audio(SECONDS_MAX + 5, 8000),
    ],
    ids=["empty", "text", "header only", "cut", "zeros", "too long"],
)
async def test_a_broken_or_endless_answer_is_a_clear_failure(say: Say, server: SpeechServer, answer: bytes) -> None:
    server.answer = answer
    with pytest.raises(SkillFailed, match="engine-garbage"):
        await say(text="Hello", voice="neural/alloy", engine=server.config())


@pytest.mark.parametrize(("status", "again"), [(400, False), (404, False), (429, True), (503, True)])
async def test_a_refusal_says_what_to_look_at(say: Say, server: SpeechServer, status: int, again: bool) -> None:
    server.status = status
    with pytest.raises(
        SkillFailed, match=f"engine-refused: .*HTTP {status} \\(no_such_voice\\).*voice's name"
    ) as failed:
        await say(text="Hello", voice="neural/alloy", engine=server.config())
    assert failed.value.problem.retryable is again


async def test_a_server_that_is_not_there_is_worth_another_try(say: Say, server: SpeechServer) -> None:
    with pytest.raises(SkillFailed, match="engine-unreachable") as failed:
        await say(text="Hello", voice="neural/alloy", engine=server.config(url="http://127.0.0.1:9/v1"))
    assert failed.value.problem.retryable


async def test_without_an_engine_a_neural_voice_is_refused_with_the_setting(say: Say) -> None:
    with pytest.raises(SkillFailed, match=r"no-engine: .*speech_engine\.url in mesh\.yaml"):
        await say(text="Hello", voice="neural/alloy")


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The audit file of a home of the test's own."""
    monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "agent-state" / "tts" / "audit.jsonl"


def profile(**more: JSON) -> dict[str, JSON]:
    return {"sample": file_ref("me.wav", "audio/wav", SAMPLE).model_dump(mode="json"), **more}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def entries(audit: Path) -> list[dict[str, JSON]]:
    return [json.loads(line) for line in audit.read_text().splitlines()]


FILES = {hashlib.sha256(SAMPLE).hexdigest(): SAMPLE}


@pytest.mark.parametrize("consent", [None, "", "  ", "a b\nc", "x"])
async def test_a_voice_profile_without_consent_is_refused_and_audited(
    say: Say, server: SpeechServer, audit: Path, consent: str | None
) -> None:
    given = profile() if consent is None else profile(consent_ref=consent)
    for _ in range(2):
        with pytest.raises(SkillFailed, match=r"consent-required: .*voice_profile\.consent_ref"):
            await say(text="a secret text", voice_profile=given, files=FILES, engine=server.config())
    lines = entries(audit)
    assert [line["outcome"] for line in lines] == ["refused: consent-required"] * 2
    assert lines[0]["sample_sha256"] in FILES
    assert "secret" not in str(lines)
    assert mode_of(audit) == 0o600
    assert not server.made


async def test_even_an_empty_profile_is_refused_for_want_of_consent_first(say: Say, audit: Path) -> None:
    with pytest.raises(SkillFailed, match="consent-required"):
        await say(text="Hi", voice_profile={})
    assert entries(audit)[0]["sample_sha256"] is None
    with pytest.raises(SkillFailed, match="no-sample"):
        await say(text="Hi", voice_profile={"consent_ref": "cons_123"})


async def test_a_consented_profile_is_passed_on_and_its_voice_speaks(
    say: Say, server: SpeechServer, audit: Path
) -> None:
    given = profile(consent_ref="cons_123", name="Anna")
    result = await say(text="Hello there.", voice_profile=given, files=FILES, engine=server.config())
    assert server.made == [{"name": "Anna", "consent": "cons_123", "sample": SAMPLE}]
    assert server.asked[0]["voice"] == {"id": "voice_42"}
    assert result.output["engine"] == "neural"
    (line,) = entries(audit)
    assert (line["consent_ref"], line["outcome"]) == ("cons_123", "passed on")


async def test_a_server_without_custom_voices_is_no_engine_for_a_profile(
    say: Say, server: SpeechServer, audit: Path
) -> None:
    server.makes_voices = False
    with pytest.raises(SkillFailed, match="no-engine: the configured speech engine takes no voice profiles"):
        await say(text="Hi", voice_profile=profile(consent_ref="cons_123"), files=FILES, engine=server.config())
    assert entries(audit)[0]["outcome"] == "failed: refused"


async def test_a_consented_profile_without_an_engine_is_refused_honestly(say: Say, audit: Path) -> None:
    with pytest.raises(SkillFailed, match="no-engine: a voice profile needs a neural speech engine"):
        await say(text="Hi", voice_profile=profile(consent_ref="cons_123"), files=FILES)
    assert entries(audit)[0]["outcome"] == "refused: no-engine"
