"""The JSON schemas that an engine enforces while it decodes a plan or a new input.

They hold the shapes only (types, members, enumerations), which grammar-based decoders know; every other rule of a
skill's schema is judged by `validate` afterwards.
"""

from concilium.brain.schemas import SkillIndex, SkillSchemas, follow
from concilium.contracts import limits
from concilium.contracts.base import JSON

REFERENCE: dict[str, JSON] = {
    "type": "object",
    "properties": {"$ref": {"type": "string"}},
    "required": ["$ref"],
    "additionalProperties": False,
}
_FILE = "#/$defs/File"
_LEVELS = 12
"""Deeper parts of a skill's schema are left open; a schema that contains itself ends here too."""
_KEPT = ("type", "enum", "const", "description", "required")


def plan_reply_schema(index: SkillIndex) -> dict[str, JSON]:
    """Return the schema of the planner's answer: a decision, and steps that can name only the catalog's skills."""
    steps = [_step(name, schemas) for name, schemas in sorted(index.skills.items())]
    items: JSON = {"anyOf": steps} if steps else False
    return _answer(
        ["plan", "ask", "refuse"],
        steps={"type": "array", "items": items, "maxItems": limits.PLAN_STEPS if steps else 0},
        question={"type": "string"},
        reason={"type": "string"},
    )


def step_reply_schema(schemas: SkillSchemas) -> dict[str, JSON]:
    """Return the schema of the answer about a failed step."""
    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    given = {"anyOf": [input_schema(schemas), nothing]}
    return _answer(["retry", "give_up"], input=given, reason={"type": "string"})


def input_schema(schemas: SkillSchemas) -> JSON:
    """Return a skill's input schema with every value also allowed as a reference; a file can only be one."""
    return _shape(schemas.input, schemas.input, _LEVELS)


def _answer(decisions: list[str], **members: JSON) -> dict[str, JSON]:
    properties = {"decision": {"type": "string", "enum": decisions}, **members}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _step(name: str, schemas: SkillSchemas) -> dict[str, JSON]:
    properties = {
        "name": {"type": "string"},
        "skill": {"type": "string", "enum": [name]},
        "input": input_schema(schemas),
        "after": {"type": "array", "items": {"type": "string"}},
        "when": {"anyOf": [REFERENCE, {"type": "null"}]},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _shape(schema: JSON, root: JSON, levels: int) -> JSON:
    if isinstance(schema, dict) and schema.get("$ref") == _FILE:
        return REFERENCE
    schema = follow(schema, root)
    if not isinstance(schema, dict) or not levels:
        return schema is not False and {}
    shape: dict[str, JSON] = {word: schema[word] for word in _KEPT if word in schema}
    if "properties" in schema:
        shape["properties"] = {name: _or_reference(inner, root, levels) for name, inner in schema["properties"].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            shape[word] = _or_reference(schema[word], root, levels)
        elif word in schema:
            shape[word] = schema[word]
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches and "properties" not in schema:
        shape["anyOf"] = [_shape(branch, root, levels - 1) for branch in branches]
    return shape


def _or_reference(schema: JSON, root: JSON, levels: int) -> JSON:
    shape = _shape(schema, root, levels - 1)
    return shape if shape in (REFERENCE, {}, False) else {"anyOf": [shape, REFERENCE]}
