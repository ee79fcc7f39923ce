"""What an agent says of itself: ``agent.yaml`` as a model, and the catalog of all agents."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from concilium.contracts import limits
from concilium.contracts.base import JSON, Model
from concilium.contracts.errors import NotFound

AgentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
SkillName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}\.[a-z][a-z0-9_]{0,30}$")]

FILE_SCHEMA: dict[str, JSON] = {
    "type": "object",
    "title": "File",
    "description": "A file by content: its bytes travel beside the input.",
    "properties": {
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "name": {"type": "string"},
        "media_type": {"type": "string"},
        "size": {"type": "integer", "minimum": 0},
    },
    "required": ["sha256", "name", "media_type", "size"],
    "additionalProperties": False,
}
"""The JSON schema of a `FileRef` inside a skill's input or output. In ``agent.yaml``: ``{$ref: "#/$defs/File"}``."""


class Effects(StrEnum):
    """What running a skill twice would do."""

    NONE = "none"
    IDEMPOTENT = "idempotent"
    EXTERNAL = "external"
    """Not repeated when the outcome is unknown; the step becomes input-required."""


class Skill(Model):
    """One named ability of an agent.

    ``input_schema`` and ``output_schema`` are JSON Schema 2020-12 objects; ``#/$defs/File`` is provided.
    """

    name: SkillName
    description: str
    tags: tuple[str, ...] = ()
    input_schema: dict[str, JSON]
    output_schema: dict[str, JSON]
    effects: Effects = Effects.NONE
    deadline_s: float = Field(default=60.0, gt=0)
    deadline_max_s: float = Field(default=limits.DEADLINE_S, gt=0)
    attempts: int = Field(default=limits.ATTEMPTS_MAX, ge=1, le=10)
    examples: tuple[str, ...] = ()
    """Requests in English and Russian that this skill serves: the skill router's training data."""


class AgentManifest(Model):
    """The content of ``agents/<name>/agent.yaml``."""

    name: AgentName
    version: str = "0.1.0"
    description: str
    module: str = ""
    """Python module with ``skills: dict[str, SkillFunction]``; empty for an agent that runs elsewhere."""
    slots: int = Field(default=2, ge=1, le=256)
    """How many tasks at once."""
    skills: tuple[Skill, ...]
    settings: dict[str, JSON] = Field(default_factory=dict)
    """Free for the agent's own code (engine, languages, limits)."""

    @property
    def queue(self) -> str:
        """The name of the agent's Celery queue."""
        return f"agent.{self.name}"

    @model_validator(mode="after")
    def _skills_belong(self) -> "AgentManifest":
        for skill in self.skills:
            if skill.name.split(".", 1)[0] != self.name:
                raise ValueError(f"skill {skill.name} must start with '{self.name}.'")
        return self


class Catalog(Model):
    """Every agent the mesh knows, by name."""

    agents: dict[str, AgentManifest]

    def agent(self, name: str) -> AgentManifest:
        """Return the agent, or raise `NotFound` naming those that exist."""
        if name not in self.agents:
            raise NotFound(f"no agent '{name}'; known: {', '.join(sorted(self.agents)) or 'none'}")
        return self.agents[name]

    def skill(self, name: str) -> Skill:
        """Return the skill, or raise `NotFound` naming those that exist."""
        agent = self.agents.get(name.split(".", 1)[0])
        for skill in agent.skills if agent else ():
            if skill.name == name:
                return skill
        known = sorted(s.name for a in self.agents.values() for s in a.skills)
        raise NotFound(f"no skill '{name}'; known: {', '.join(known) or 'none'}")
