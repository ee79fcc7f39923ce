"""The agent runtime: an agent's manifest and module become an A2A service."""

from concilium.workers.runtime.skill import OutFile, SkillContext, SkillFailed, SkillFunction, SkillResult

__all__ = ["OutFile", "SkillContext", "SkillFailed", "SkillFunction", "SkillResult"]
