"""The skill router: from a request to a plan or a question, by rules and examples, without a model."""

from concilium.brain.router.skill_router import Asked, Routed, SkillRouter

__all__ = ["Asked", "Routed", "SkillRouter"]
