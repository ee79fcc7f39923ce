"""Whether what a foreign agent returned fits what its skill promises. Our own agents check that themselves."""

from collections.abc import Iterable

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from concilium.contracts.errors import Invalid
from concilium.contracts.skill import FILE_SCHEMA, AgentManifest, Skill
from concilium.runner.outcome import Outcome, failed


class Promises:
    """The output schemas of foreign agents' skills. Raises `Invalid` when one is no JSON schema."""

    def __init__(self, agents: Iterable[AgentManifest]) -> None:
        self._schemas = {skill.name: _compiled(skill) for agent in agents if agent.foreign for skill in agent.skills}

    def judge(self, skill: str, outcome: Outcome) -> Outcome:
        """Return the outcome, or the failure ``output-invalid`` when it breaks a foreign skill's output schema."""
        if outcome.state != "completed" or skill not in self._schemas:
            return outcome
        error = best_match(self._schemas[skill].iter_errors(outcome.output))
        if error is None:
            return outcome
        detail = f"the output of {skill} at {error.json_path}: {error.message[:300]}"
        return failed("output-invalid", detail, retryable=False)


def _compiled(skill: Skill) -> Draft202012Validator:
    schema = {**skill.output_schema, "$defs": {**skill.output_schema.get("$defs", {}), "File": FILE_SCHEMA}}
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Invalid(f"skill {skill.name}: not a JSON schema: {error.message}") from error
    return Draft202012Validator(schema)
