"""``vision.ask``: a question about a picture, answered by the vision engine."""

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillResult
from concilium.workers.vision.look import look
from concilium.workers.vision.prompts import Language, language_of


async def ask(ctx: SkillContext, data: JSON) -> SkillResult:
    """Answer in the language asked for, else in the question's own; fails as `look` does."""
    question = str(data["question"]).strip()
    language: Language = data.get("language") or language_of(question)
    return SkillResult(await look(ctx, data["image"], question, language, "vision.ask"))
