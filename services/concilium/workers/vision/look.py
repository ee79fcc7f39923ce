"""Asking the vision engine about a picture: what ``vision.describe`` and ``vision.ask`` have in common."""

from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.engine import EngineClient, EngineError
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.vision.cell import in_cell
from concilium.workers.vision.picture import for_engine
from concilium.workers.vision.prompts import Language, language_of, messages

SIDE_PX = 1536
"""The longest side of the picture that is sent, unless the setting ``engine_side_px`` says otherwise."""
ANSWER_TOKENS = 800
"""Tokens an answer may have, unless the setting ``answer_tokens`` says otherwise."""
ANSWER_CHARS = 20_000
_REFUSED = "look whether the model takes pictures, and at vision_engine.url, model and api_key_file"
_BUSY = (408, 425, 429)


async def look(ctx: SkillContext, ref: JSON, question: str, language: Language, purpose: str) -> dict[str, JSON]:
    """Return the engine's answer, beside which model gave it and what it was shown.

    ``purpose`` is the skill's name: it decides the mode.

    Raises:
        SkillFailed: ``no-engine``, ``engine-unreachable``, ``engine-timeout``, ``engine-refused``,
            ``engine-garbage``; or as `open_image`.
    """
    config = _configured(ctx)
    side = int(ctx.settings.get("engine_side_px", SIDE_PX))
    shown = await in_cell(for_engine, {"media_type": ref["media_type"], "side_px": side}, ctx.files[ref["sha256"]])
    (picture,), sent = shown.parts, shown.found["sent"]
    await ctx.progress(0.1, f"sending {sent['width']} x {sent['height']} pixels to the engine")
    tokens = int(ctx.settings.get("answer_tokens", ANSWER_TOKENS))
    try:
        async with EngineClient(config, ctx.models) as engine:
            said = await engine.chat(
                messages(picture, sent["media_type"], question, language), max_tokens=tokens, purpose=purpose
            )
            model = engine.model
    except EngineError as error:
        raise _failed(error) from error
    text = _tidy(said)
    notes = [*shown.found["notes"], *_language_notes(text, language)]
    return {"text": text, "language": language, "model": model, "sent": sent, "notes": notes}


def _configured(ctx: SkillContext) -> EngineConfig:
    if ctx.engine is None:
        raise SkillFailed(
            "no-engine",
            "looking at pictures needs a vision engine: set vision_engine.url (and vision_engine.model) in mesh.yaml "
            "to an OpenAI-compatible server whose model takes images. Without one, inspecting and OCR still work",
        )
    return ctx.engine


def _failed(error: EngineError) -> SkillFailed:
    """Return the failure; it is worth trying again unless the engine understood and refused."""
    if error.kind == "refused":
        again = error.status is not None and (error.status >= 500 or error.status in _BUSY)
        return SkillFailed("engine-refused", f"the vision engine {error}; {_REFUSED}", retryable=again)
    return SkillFailed(f"engine-{error.kind}", f"the vision engine: {error}", retryable=True)


def _tidy(said: str) -> str:
    """Return the answer without control characters. Raises `SkillFailed` when it is empty."""
    text = said.strip()
    text = "".join(c for c in text if c.isprintable() or c in "\n\t")
    if not text:
        raise SkillFailed("engine-garbage", "the vision engine answered nothing", retryable=True)
    return text if len(text) <= ANSWER_CHARS else text[:ANSWER_CHARS] + " …"


def _language_notes(text: str, language: Language) -> list[str]:
    if not any(c.isalpha() for c in text) or language_of(text) == language:
        return []
    return [f"the answer was asked for in '{language}', but the model answered in another language"]
