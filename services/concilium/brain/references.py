"""References inside a step's input: finding them, naming what they point at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from concilium.contracts.base import JSON
from concilium.contracts.plan import PlanStep


class BadReference(ValueError):
    """A reference that is not one of the forms in `concilium.contracts.plan`."""


@dataclass(frozen=True)
class Reference:
    """A parsed reference."""

    kind: Literal["text", "file", "output", "artifact"]
    step: str = ""
    """For ``output`` and ``artifact``."""
    index: int = 0
    """For ``file`` and ``artifact``."""
    path: tuple[str, ...] = ()
    """For ``output``: what follows ``output`` in the pointer."""


def is_reference(value: JSON) -> bool:
    """Whether the value is an object with the single member ``$ref``."""
    return isinstance(value, dict) and len(value) == 1 and "$ref" in value


def ref(pointer: str) -> dict[str, JSON]:
    """Return the reference to a pointer such as ``/steps/read/output/text``."""
    return {"$ref": "#" + pointer}


def parse(value: JSON) -> Reference:
    """Return the parsed reference. Raises `BadReference` saying what is wrong."""
    pointer = value["$ref"]
    if not isinstance(pointer, str) or not pointer.startswith("#/"):
        raise BadReference(f"a reference must be a string starting with '#/', not {pointer!r:.80}")
    # RFC 6901 section 4: ~1 is decoded before ~0.
    tokens = [t.replace("~1", "/").replace("~0", "~") for t in pointer[2:].split("/")]
    match tokens:
        case ["request", "text"]:
            return Reference("text")
        case ["request", "files", index]:
            return Reference("file", index=_index(index, pointer))
        case ["steps", step, "output", *path]:
            return Reference("output", step=step, path=tuple(path))
        case ["steps", step, "artifacts", index]:
            return Reference("artifact", step=step, index=_index(index, pointer))
    raise BadReference(
        f"{pointer[:80]} refers to nothing; use #/request/text, #/request/files/N, #/steps/NAME/output/… "
        "or #/steps/NAME/artifacts/N"
    )


def walk(value: JSON) -> Iterator[dict[str, JSON]]:
    """Yield every reference inside a JSON value."""
    stack = [value]
    while stack:
        item = stack.pop()
        if is_reference(item):
            yield item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)


def dependencies(step: PlanStep) -> frozenset[str]:
    """Return the names of the steps that must be over before this one; malformed references name none."""
    names = set(step.after)
    for found in walk([step.when, *step.input.values()]):
        try:
            names.add(parse(found).step)
        except BadReference:
            continue
    return frozenset(names - {""})


def position(token: str) -> int | None:
    """Return the array index a pointer token stands for, or None (RFC 6901 section 4: no leading zeros)."""
    if not (token.isascii() and token.isdigit()) or (len(token) > 1 and token[0] == "0") or len(token) > 6:
        return None
    return int(token)


def _index(token: str, pointer: str) -> int:
    found = position(token)
    if found is None:
        raise BadReference(f"{pointer[:80]} needs a whole number at its end")
    return found
