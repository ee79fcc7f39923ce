"""A plan: a typed DAG of steps, and its references.

A step's input is JSON in which any value may be a reference: an object with the single member ``$ref`` holding a JSON
pointer (RFC 6901) fragment:

- ``{"$ref": "#/request/text"}`` the request's text
- ``{"$ref": "#/request/files/0"}`` the first file of the request, as a `FileRef` object
- ``{"$ref": "#/steps/read/output/text"}`` a value of an earlier step's output
- ``{"$ref": "#/steps/read/artifacts/0"}`` the first file an earlier step made, as a `FileRef` object
"""

from typing import Annotated

from pydantic import Field

from concilium.contracts import limits
from concilium.contracts.base import JSON, Model
from concilium.contracts.skill import AgentName, SkillName

StepName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class PlanStep(Model):
    """One node of the DAG: an agent, a skill, its input and its budget."""

    name: StepName
    agent: AgentName
    skill: SkillName
    input: dict[str, JSON] = Field(default_factory=dict)
    after: tuple[StepName, ...] = ()
    """Steps that must complete first beyond those the input refers to."""
    when: dict[str, JSON] | None = None
    """A reference. The step is passed over when its value is empty (null, false, an empty text, list or object);
    references to a step that was passed over give null."""
    deadline_s: float | None = Field(default=None, gt=0)
    """Seconds for one attempt; the skill's default when absent, never above its maximum."""
    title: str = Field(default="", max_length=200)


class Plan(Model):
    """What the brain decided to do."""

    steps: tuple[PlanStep, ...] = Field(min_length=1, max_length=limits.PLAN_STEPS)

    def step(self, name: str) -> PlanStep:
        """Return the step of that name; raise KeyError when there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)
