"""Whether what an agent returned fits what its manifest promises: the output of a foreign agent, the engine of any."""

from collections.abc import Iterable
from dataclasses import replace

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from concilium.contracts.errors import Invalid
from concilium.contracts.skill import FILE_SCHEMA, AgentManifest, Skill
from concilium.runner.outcome import Outcome, failed


class Promises:
    """What skills promise. Our own agents check their outputs themselves; what engines they asked is their word alone.

    On a rented node not even our own code is believed: every output is checked, and no use of an engine counts, since
    none of home's can be reached from there.

    Raises `Invalid` on creation when a foreign skill's output schema is no JSON schema.
    """

    def __init__(self, agents: Iterable[AgentManifest], *, rented: bool = False) -> None:
        known = [(agent, skill) for agent in agents for skill in agent.skills]
        self._schemas = {skill.name: _compiled(skill) for agent, skill in known if agent.foreign or rented}
        self._engines = {} if rented else {skill.name: agent.engine for agent, skill in known}

    def judge(self, skill: str, outcome: Outcome) -> Outcome:
        """Return the outcome, or the failure ``output-invalid`` when it breaks the schema of an untrusted skill.

        Of the engines it names, only the one of the agent's manifest counts.
        """
        used = tuple(use for use in outcome.used if use.engine == self._engines.get(skill))[:1]
        judged = self._fits(skill, outcome)
        return judged if judged.used == used else replace(judged, used=used)

    def _fits(self, skill: str, outcome: Outcome) -> Outcome:
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
