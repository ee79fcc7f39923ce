"""An agent's skills: its module's functions beside its manifest's schemas."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from concilium.contracts.a2a.parts import Content
from concilium.contracts.a2a.step import skill_call
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.skill import FILE_SCHEMA, AgentManifest, Skill
from concilium.workers.runtime.limits import FILES_BYTES, OUTPUT_BYTES
from concilium.workers.runtime.module import load_module
from concilium.workers.runtime.skill import SkillFailed, SkillFunction, SkillResult

WarmUp = Callable[[Mapping[str, JSON]], Awaitable[None]]
FILE_REF = "#/$defs/File"


@dataclass(frozen=True)
class RunnableSkill:
    """A skill with its function and compiled schemas."""

    skill: Skill
    function: SkillFunction
    input: Draft202012Validator
    output: Draft202012Validator

    def check_input(self, data: JSON, files: Mapping[str, bytes]) -> None:
        """Raise `Invalid` unless the input fits the schema and every file it mentions came along."""
        _check(self.input, data, f"the input of {self.skill.name}")
        for sha256, name in _mentioned(data):
            if sha256 not in files:
                raise Invalid(f"the input mentions file '{name}', whose bytes did not come with the message")

    def check_result(self, result: SkillResult) -> None:
        """Raise `SkillFailed` unless the result fits the schema and the limits."""
        try:
            _check(self.output, result.output, f"the output of {self.skill.name}")
            size = len(orjson.dumps(result.output))
        except (Invalid, orjson.JSONEncodeError) as error:
            raise SkillFailed("output-invalid", str(error)) from error
        if size > OUTPUT_BYTES:
            raise SkillFailed("output-too-large", f"the output has {size} bytes, at most {OUTPUT_BYTES} are allowed")
        total = sum(len(file.data) for file in result.files)
        if total > FILES_BYTES:
            raise SkillFailed("output-too-large", f"the files have {total} bytes, at most {FILES_BYTES} are allowed")

    def from_plain(self, content: Content) -> JSON:
        """Return the input a plain message means: its text or file is the only required value of that kind."""
        schema = self.skill.input_schema
        data: dict[str, JSON] = {}
        if content.texts:
            data[self._only(schema, "text", lambda p: p.get("type") == "string")] = content.text
        if content.files:
            ref = content.files[0][0]
            data[self._only(schema, "file", lambda p: p.get("$ref") == FILE_REF)] = ref.model_dump(mode="json")
        return data

    def _only(self, schema: Mapping[str, JSON], what: str, fits: Callable[[dict[str, JSON]], bool]) -> str:
        found = [name for name in schema.get("required", ()) if fits(schema.get("properties", {}).get(name, {}))]
        if len(found) != 1:
            raise Invalid(f"{self.skill.name} cannot tell what the {what} is for; {_HOW}")
        return str(found[0])


_HOW = 'send a data part {"skill": "<name>", "input": {…}}'


@dataclass(frozen=True)
class SkillSet:
    """Everything an agent can do."""

    skills: Mapping[str, RunnableSkill]
    warm_up: WarmUp | None

    def named(self, name: str) -> RunnableSkill:
        """Return a skill. Raises `Invalid` naming those that are known."""
        if name not in self.skills:
            raise Invalid(f"no skill '{name}'; known: {', '.join(sorted(self.skills))}")
        return self.skills[name]

    def choose(self, content: Content) -> tuple[RunnableSkill, JSON]:
        """Return the skill and input a message asks for.

        A data part ``{"skill": …, "input": …}`` decides; without one the agent's only skill takes the data part, or the
        text and file, as its input. Raises `Invalid` naming what is known and how to ask.
        """
        calls = [call for data in content.data if (call := skill_call(data))]
        if len(calls) > 1:
            raise Invalid("a message asks for one skill")
        if calls:
            name, data = calls[0]
            return self.named(name), data
        if len(self.skills) != 1:
            raise Invalid(f"which skill? {_HOW}; known: {', '.join(sorted(self.skills))}")
        only = next(iter(self.skills.values()))
        return only, content.data[0] if len(content.data) == 1 else only.from_plain(content)


def load_skills(manifest: AgentManifest, folder: Path) -> SkillSet:
    """Import the agent's module and compile its schemas.

    Args:
        manifest: the agent's manifest.
        folder: where its ``agent.yaml`` is.

    Raises:
        Invalid: as `load_module`; the module lacks a skill's function, or a schema is not JSON Schema 2020-12.
    """
    module = load_module(manifest, folder)
    functions: Mapping[str, SkillFunction] = getattr(module, "skills", {})
    known = {}
    for skill in manifest.skills:
        if skill.name not in functions:
            raise Invalid(f"{manifest.module}.skills has no '{skill.name}'")
        schemas = (compile_schema(skill.input_schema, skill.name), compile_schema(skill.output_schema, skill.name))
        known[skill.name] = RunnableSkill(skill, functions[skill.name], *schemas)
    return SkillSet(known, getattr(module, "warm_up", None))


def compile_schema(schema: Mapping[str, JSON], name: str) -> Draft202012Validator:
    """Return a skill's schema, with `FILE_SCHEMA` in its place. Raises `Invalid` when it is no JSON Schema 2020-12."""
    full = {**schema, "$defs": {**schema.get("$defs", {}), "File": FILE_SCHEMA}}
    try:
        Draft202012Validator.check_schema(full)
    except SchemaError as error:
        raise Invalid(f"skill {name}: not a JSON schema: {error.message}") from error
    return Draft202012Validator(full)


def _check(validator: Draft202012Validator, data: JSON, what: str) -> None:
    error = best_match(validator.iter_errors(data))
    if error is not None:
        raise Invalid(f"{what} at {error.json_path}: {error.message[:300]}")


def _mentioned(data: JSON) -> Iterator[tuple[str, str]]:
    """Yield (sha256, name) of every `FileRef` object inside JSON."""
    if isinstance(data, dict):
        if data.keys() == {"sha256", "name", "media_type", "size"}:
            yield str(data["sha256"]), str(data["name"])
        else:
            for item in data.values():
                yield from _mentioned(item)
    elif isinstance(data, list):
        for item in data:
            yield from _mentioned(item)
