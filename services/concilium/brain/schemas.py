"""Skills' JSON schemas: cached validators, references as typed holes, what a pointer into an output can hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from concilium.brain.references import position
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.skill import FILE_SCHEMA, Catalog, Skill

_Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


@dataclass(frozen=True)
class Hole:
    """A value that is known only when the plan runs; ``schema`` is what its source promises."""

    schema: JSON
    label: str

    def __repr__(self) -> str:
        return self.label


def types_of(schema: JSON, root: JSON) -> frozenset[str] | None:
    """Return the JSON types a schema allows, or None when it does not say."""
    schema = follow(schema, root)
    if not isinstance(schema, dict):
        return None
    declared = schema.get("type")
    if isinstance(declared, str):
        return frozenset({declared})
    if isinstance(declared, list):
        return frozenset(declared)
    for word in ("anyOf", "oneOf"):
        branches = [types_of(branch, root) for branch in schema.get(word, ())]
        if branches and all(b is not None for b in branches):
            return frozenset().union(*(b for b in branches if b is not None))
    return None


def follow(schema: JSON, root: JSON) -> JSON:
    """Return the schema a local ``$ref`` leads to, or the schema itself."""
    for _ in range(16):
        target = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(target, str) or not target.startswith("#/"):
            return schema
        schema = root
        for token in target[2:].split("/"):
            schema = schema.get(token, {}) if isinstance(schema, dict) else {}
    return schema


def at_path(schema: JSON, path: tuple[str, ...], root: JSON) -> JSON:
    """Return the schema of what lies at a path. Raises KeyError with the member that does not exist."""
    schema = follow(schema, root)
    if not path:
        return schema
    if not isinstance(schema, dict):
        return {}
    for word in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(word, ()):
            try:
                return at_path(branch, path, root)
            except KeyError:
                continue
    return at_path(_member(schema, path[0]), path[1:], root)


def _member(schema: dict[str, JSON], token: str) -> JSON:
    properties = schema.get("properties", {})
    if token in properties:
        return properties[token]
    index = position(token)
    if index is not None and ("items" in schema or "prefixItems" in schema):
        prefix = schema.get("prefixItems", [])
        return prefix[index] if index < len(prefix) else schema.get("items", {})
    rest = schema.get("additionalProperties")
    if rest is not None and rest is not False:
        return {} if rest is True else rest
    if not properties and rest is None and "type" not in schema:
        return {}
    raise KeyError(token)


def _type(original: _Keyword) -> _Keyword:
    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, Hole):
            yield from original(validator, wanted, instance, schema) or ()
            return
        have = types_of(instance.schema, instance.schema)
        want = frozenset([wanted] if isinstance(wanted, str) else wanted)
        if have is not None and not _may_fit(have, want):
            yield ValidationError(f"{instance.label} is {' or '.join(sorted(have))}, not {' or '.join(sorted(want))}")

    return check


def _may_fit(have: frozenset[str], want: frozenset[str]) -> bool:
    """Whether a value of the one may be of the other; what really comes is checked again when it is known."""
    numbers = {"integer", "number"}
    return bool(have & want) or bool(have & numbers and want & numbers)


def _required(original: _Keyword) -> _Keyword:
    def check(validator: Any, names: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, Hole):
            yield from original(validator, names, instance, schema) or ()
            return
        source = instance.schema if isinstance(instance.schema, dict) else {}
        if source.get("properties") and source.get("additionalProperties") in (None, False):
            for name in names:
                if name not in source["properties"]:
                    yield ValidationError(f"{instance.label} has no member '{name}'")

    return check


def _one_of(original: _Keyword) -> _Keyword:
    def check(validator: Any, branches: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        # Which branch a hole will match is not known yet, so it is enough that one can.
        keyword = Draft202012Validator.VALIDATORS["anyOf"] if isinstance(instance, Hole) else original
        yield from keyword(validator, branches, instance, schema) or ()

    return check


def _skip_holes(original: _Keyword) -> _Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, Hole):
            yield from original(validator, value, instance, schema) or ()

    return check


_DESCEND = {"$ref", "$dynamicRef", "allOf", "anyOf"}
_SPECIAL = {"type": _type, "required": _required, "oneOf": _one_of}
_HoleValidator = extend(  # type: ignore[no-untyped-call]  # jsonschema types it not at all
    Draft202012Validator,
    {
        word: _SPECIAL.get(word, _skip_holes)(keyword)
        for word, keyword in Draft202012Validator.VALIDATORS.items()
        if word not in _DESCEND
    },
)


class SkillSchemas:
    """The compiled schemas of one skill."""

    def __init__(self, skill: Skill) -> None:
        """Compile. Raises `Invalid` when a schema of the skill is not JSON Schema 2020-12."""
        self.skill = skill
        self.input = _with_file(skill.input_schema)
        self.output = _with_file(skill.output_schema)
        for side, schema in (("input", self.input), ("output", self.output)):
            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as error:
                raise Invalid(f"skill {skill.name}: {side}_schema: {error.message}") from error
        self._exact: Validator = Draft202012Validator(self.input)
        self._holes: Validator = _HoleValidator(self.input)

    def input_problems(self, value: JSON, *, holes: bool = False) -> list[str]:
        """Return what does not fit the input schema, with its place; ``holes``: `Hole`s are typed unknowns."""
        errors = (self._holes if holes else self._exact).iter_errors(value)
        return [f"{error.json_path}: {_shortened(error.message)}" for error in errors]


class SkillIndex:
    """Every skill of a catalog with its compiled schemas."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.skills = {s.name: SkillSchemas(s) for a in catalog.agents.values() for s in a.skills}
        self.agent_of = {s.name: a.name for a in catalog.agents.values() for s in a.skills}


def _shortened(message: str) -> str:
    """Cut the middle out of a message that repeats a long value; what is wrong with it stands at the end."""
    return message if len(message) <= 300 else f"{message[:120]} … {message[-160:]}"


def _with_file(schema: dict[str, JSON]) -> dict[str, JSON]:
    return {**schema, "$defs": {**schema.get("$defs", {}), "File": FILE_SCHEMA}}
