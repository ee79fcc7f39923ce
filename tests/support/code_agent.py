"""Calls the code agent's skills as its service does: input and output checked by their schemas."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from concilium.contracts.config import EngineConfig
from concilium.contracts.task import Problem
from concilium.home import read_manifest, shipped
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.runtime.skillset import load_skills

FOLDER = shipped("agents") / "code"
MANIFEST = read_manifest(FOLDER / "agent.yaml")
SKILLS = load_skills(MANIFEST, FOLDER)


@dataclass(frozen=True)
class CodeAgent:
    """The agent with its shipped settings, some of them replaced."""

    folder: Path
    settings: Mapping[str, Any]
    engine: EngineConfig | None = None
    deadline_at: float = float("inf")
    told: list[tuple[float | None, str]] = field(default_factory=list)
    """Progress of all runs."""

    def with_settings(self, **settings: Any) -> "CodeAgent":
        return replace(self, settings={**self.settings, **settings})

    def asking(self, engine: EngineConfig, deadline_at: float = float("inf")) -> "CodeAgent":
        return replace(self, engine=engine, deadline_at=deadline_at)

    async def run(self, skill: str, data: dict[str, Any], files: Mapping[str, bytes] | None = None) -> Any:
        """Return the output of a run. Strings in the input's lists of files are names of ``files``."""
        refs = {name: ref(name, content) for name, content in (files or {}).items()}
        filled = {key: _filled(key, value, refs) for key, value in data.items()}
        contents = {refs[name]["sha256"]: content for name, content in (files or {}).items()}
        runnable = SKILLS.named(skill)
        runnable.check_input(filled, contents)
        context = SkillContext(
            "t.s.1", contents, self.settings, self.folder, self.engine, self.deadline_at, report=self._tell
        )
        result = await runnable.function(context, filled)
        runnable.check_result(result)
        return result.output

    async def fails(self, skill: str, data: dict[str, Any], files: Mapping[str, bytes] | None = None) -> Problem:
        """Return the problem of a run that must fail."""
        try:
            output = await self.run(skill, data, files)
        except SkillFailed as failure:
            return failure.problem
        raise AssertionError(f"{skill} gave {str(output)[:500]}")

    async def _tell(self, fraction: float | None, message: str) -> None:
        self.told.append((fraction, message))


def ref(name: str, content: bytes) -> dict[str, Any]:
    """Return what stands in a file's place."""
    digest = hashlib.sha256(content).hexdigest()
    return {"sha256": digest, "name": name, "media_type": "application/octet-stream", "size": len(content)}


def _filled(key: str, value: Any, refs: Mapping[str, Any]) -> Any:
    if key in {"files", "tests"} and isinstance(value, list):
        return [refs[item] for item in value]
    return refs[value] if key == "script" else value
