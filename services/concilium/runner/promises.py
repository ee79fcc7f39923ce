"""Whether what an agent returned fits what its manifest promises: the output of a stranger, the engine of any."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from concilium.contracts.errors import Invalid
from concilium.contracts.skill import FILE_SCHEMA, AgentManifest, Skill
from concilium.runner.outcome import Outcome, failed

ERRORS_MAX = 100
"""Mistakes looked at to find the one worth telling: a hostile output may hold a million."""


class Promises:
    """What skills promise. Our own agents at home check their outputs themselves; what engines they asked is their
    word alone.

    On a rented node not even our own code is believed: every output is checked, and no use of an engine counts, since
    none of home's can be reached from there.
    """

    def __init__(self, agents: Iterable[AgentManifest], away: Collection[str] = (), *, rented: bool = False) -> None:
        """Take the manifests of agents, and the names of those at addresses that are not home.

        Raises `Invalid` when the output schema of a skill that is checked is no JSON schema.
        """
        known = [(agent, skill) for agent in agents for skill in agent.skills]
        strangers = [skill for agent, skill in known if rented or agent.foreign or agent.name in away]
        self._schemas = {skill.name: _compiled(skill) for skill in strangers}
        self._engines = {} if rented else {skill.name: agent.engine for agent, skill in known}

    def checks(self, skill: str) -> bool:
        """Whether outputs of a skill are checked, which takes its time."""
        return skill in self._schemas

    def judge(self, skill: str, outcome: Outcome) -> Outcome:
        """Return the outcome, or the failure ``output-invalid`` when it breaks a stranger's output schema.

        Of the engines it names, only the one of the agent's manifest counts.
        """
        used = tuple(use for use in outcome.used if use.engine == self._engines.get(skill))[:1]
        judged = self._fits(skill, outcome)
        return judged if judged.used == used else replace(judged, used=used)

    def _fits(self, skill: str, outcome: Outcome) -> Outcome:
        if outcome.state != "completed" or skill not in self._schemas:
            return outcome
        error = best_match(islice(self._schemas[skill].iter_errors(outcome.output), ERRORS_MAX))
        if error is None:
            return outcome
        detail = f"the output of {skill} at {error.json_path}: {_short(error.message)}"
        return failed("output-invalid", detail, retryable=False)


def _short(message: str) -> str:
    """Return a message that quotes what is wrong before it says why, the middle of a long one left out."""
    return message if len(message) <= 300 else f"{message[:140]} … {message[-140:]}"


def _compiled(skill: Skill) -> Draft202012Validator:
    schema = {**skill.output_schema, "$defs": {**skill.output_schema.get("$defs", {}), "File": FILE_SCHEMA}}
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Invalid(f"skill {skill.name}: not a JSON schema: {error.message}") from error
    return Draft202012Validator(schema)
