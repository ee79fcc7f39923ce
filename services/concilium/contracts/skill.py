"""What an agent says of itself: ``agent.yaml`` as a model, and the catalog of all agents."""

from enum import StrEnum
from typing import Annotated, Any, Literal

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


class SelfTestCase(Model):
    """One run that shows that a skill works: ``concilium agents test`` makes it, and so does the contract suite."""

    title: str = ""
    """What is shown of it; empty: the skill's name."""
    skill: SkillName
    input: dict[str, JSON]
    """The skill's input. In the place of a file stands ``{$file: <path in the agent's folder>}`` or
    ``{$file: {name: …, media_type: …, text: … or base64: …}}``, in that of a long text
    ``{$repeat: {text: …, times: …}}``.
    """
    expect: dict[str, JSON] = Field(default_factory=dict)
    """A JSON schema that the output must fit beyond the skill's own."""
    files: tuple[str, ...] = ()
    """Names of files that must come back."""
    fails: str = ""
    """The type of the problem the run must end with; empty: it must complete."""
    progress: bool = False
    """The run tells how far it is."""
    engine: bool | None = None
    """Only with (true) or only without (false) a configured engine; absent: either way."""
    slow: bool = False
    """The run takes several seconds: it is canceled, and must end at once."""


class AgentManifest(Model):
    """The content of ``agents/<name>/agent.yaml``."""

    name: AgentName
    version: str = "0.1.0"
    description: str
    module: str = ""
    """Python module with ``skills: dict[str, SkillFunction]``: an import path, or a file ``<name>.py`` beside this one.
    Empty for a foreign agent: it runs elsewhere and knows nothing of this mesh.
    """
    slots: int = Field(default=2, ge=1, le=256)
    """How many tasks at once."""
    skills: tuple[Skill, ...]
    engine: Literal["", "engine", "vision_engine", "speech_engine"] = ""
    """The section of ``mesh.yaml`` that names the engine its skills may ask; empty: they ask none."""
    settings: dict[str, JSON] = Field(default_factory=dict)
    """Free for the agent's own code (engine, languages, limits)."""
    self_test: tuple[SelfTestCase, ...] = Field(default=(), exclude=True)
    """What ``concilium agents test`` runs; of no interest to callers."""

    @property
    def queue(self) -> str:
        """The name of the agent's Celery queue."""
        return f"agent.{self.name}"

    @property
    def foreign(self) -> bool:
        """Whether the agent was not made with this mesh's runtime: it may know no fence and no run id."""
        return not self.module

    @model_validator(mode="before")
    @classmethod
    def _foreign_effects(cls, data: Any) -> Any:
        """A foreign agent knows no fence, so its skills act outside the mesh unless their manifest says otherwise."""
        if not isinstance(data, dict) or data.get("module") or not isinstance(data.get("skills"), list | tuple):
            return data
        skills = [{"effects": Effects.EXTERNAL, **s} if isinstance(s, dict) else s for s in data["skills"]]
        return {**data, "skills": skills}

    @model_validator(mode="after")
    def _skills_belong(self) -> "AgentManifest":
        for skill in self.skills:
            if skill.name.split(".", 1)[0] != self.name:
                raise ValueError(f"skill {skill.name} must start with '{self.name}.'")
        known = {skill.name for skill in self.skills}
        for case in self.self_test:
            if case.skill not in known:
                raise ValueError(f"self_test names the skill {case.skill}, which this agent does not have")
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
