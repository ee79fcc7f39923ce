"""Voice profiles: somebody's voice from a recording. Without that person's consent it is refused, and the refusal kept.

The consent is kept elsewhere; ``consent_ref`` names it, and an engine with custom voices asks for it in turn.
"""

import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import orjson
import structlog

from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.engine import EngineClient, EngineError
from concilium.home import Home
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.tts import neural

log = structlog.get_logger(__name__)

AUDIT = "audit.jsonl"
_CONSENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{2,199}")
_UNSUPPORTED = (404, 405, 501)


async def profile_voice(ctx: SkillContext, profile: JSON) -> str:
    """Return the name of a voice that the neural engine made of the profile's recording.

    Every request, granted or not, is a line of the agent's audit file: who consented, which recording (by its hash),
    what became of it; never the text.

    Raises:
        SkillFailed: ``consent-required``, ``no-sample``, ``no-engine`` (none here, or it takes no profiles), or as
            `engine_failed`.
    """
    consent = str(profile.get("consent_ref") or "").strip()
    if not _CONSENT.fullmatch(consent):
        await _audit(ctx, profile, "refused: consent-required")
        raise SkillFailed(
            "consent-required",
            "speaking with somebody's voice needs that person's consent: set voice_profile.consent_ref to its record",
        )
    if "sample" not in profile:
        raise SkillFailed("no-sample", "a voice profile needs a recording: set voice_profile.sample to an audio file")
    if ctx.engine is None:
        await _audit(ctx, profile, "refused: no-engine")
        raise SkillFailed("no-engine", f"a voice profile needs a neural speech engine; {neural.GET}")
    return await _made(ctx, ctx.engine, profile, consent)


async def _made(ctx: SkillContext, engine: EngineConfig, profile: JSON, consent: str) -> str:
    sample = profile["sample"]
    try:
        async with EngineClient(engine) as client:
            voice = await client.create_voice(
                name=str(profile.get("name") or "profile"),
                consent=consent,
                sample=ctx.files[sample["sha256"]],
                media_type=str(sample["media_type"]),
            )
    except EngineError as error:
        await _audit(ctx, profile, f"failed: {error.kind}")
        if error.status in _UNSUPPORTED:
            raise SkillFailed("no-engine", "the configured speech engine takes no voice profiles") from error
        raise neural.engine_failed(error) from error
    await _audit(ctx, profile, "passed on")
    return neural.made(voice)


async def _audit(ctx: SkillContext, profile: JSON, outcome: str) -> None:
    consent = str(profile.get("consent_ref") or "")
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "run": ctx.run_id,
        "skill": "tts.speak",
        "consent_ref": consent[:200] if _CONSENT.fullmatch(consent) else None,
        "sample_sha256": profile["sample"]["sha256"] if "sample" in profile else None,
        "outcome": outcome,
    }
    log.warning("voice profile", run=ctx.run_id, consent_ref=line["consent_ref"], outcome=outcome)
    await asyncio.to_thread(_append, Home.find().agent_state("tts") / AUDIT, orjson.dumps(line) + b"\n")


def _append(path: Path, line: bytes) -> None:
    """Add one line in one write, on the disk before it counts."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)
