"""``vision.describe``: what a picture shows, in words, by the vision engine."""

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillResult
from concilium.workers.vision.look import look
from concilium.workers.vision.prompts import Language, describing


async def describe(ctx: SkillContext, data: JSON) -> SkillResult:
    """Describe the picture in the language asked for, English when none is; fails as `look` does."""
    language: Language = data.get("language", "en")
    question = describing(language, data.get("length", "full"))
    return SkillResult(await look(ctx, data["image"], question, language, "vision.describe"))
