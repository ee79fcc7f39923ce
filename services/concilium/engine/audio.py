"""Speech on the wire of OpenAI's API."""

import re
from typing import Literal, TypedDict

import aiohttp

from concilium.contracts.limits import MIB
from concilium.engine.errors import EngineError
from concilium.engine.transport import read_json

LARGEST_BYTES = 64 * MIB
"""Largest audio file accepted from an engine."""
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

SpeechMedia = Literal["wav", "mp3", "opus", "flac"]


class VoiceId(TypedDict):
    """A voice the server made of a recording, as `EngineClient.create_voice` named it."""

    id: str


def voice_form(name: str, consent: str, sample: bytes, media_type: str) -> aiohttp.FormData:
    """Return the request for a voice."""
    form = aiohttp.FormData({"name": name, "consent": consent})
    form.add_field("audio_sample", sample, filename="sample", content_type=media_type)
    return form


def read_voice(body: bytes) -> VoiceId:
    """Return the voice that an answer names. Raises `EngineError` when it names none."""
    made = read_json(body)
    found = made.get("id") if isinstance(made, dict) else None
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise EngineError("garbage", "the answer names no voice")
    return {"id": found}
