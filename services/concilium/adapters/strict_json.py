"""JSON as RFC 8259 has it, and no looser: one meaning for every reader, bounded work for any bytes."""

import json
from typing import NoReturn

from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.base import JSON


class _Duplicate(ValueError):
    """An object has a member twice: readers differ on which of them counts (RFC 8259 section 4)."""


def load(data: bytes, file: str, code: Refusal = Refusal.BAD_JSON) -> dict[str, JSON]:
    """Return the JSON object that some bytes are.

    Args:
        data: the document; its caller bounds its size.
        file: what to call it in a refusal.
        code: the refusal of what is not JSON.

    Raises:
        BundleRefused: it is no JSON object in UTF-8, has a member twice, NaN, an infinity or half a surrogate pair.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant, parse_float=_float)
        # Half a surrogate pair passes the parser and breaks whoever writes it.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except _Duplicate as error:
        raise BundleRefused(Refusal.DUPLICATE_MEMBER, f"{file}: {error}", file=file) from error
    except (ValueError, RecursionError) as error:
        raise BundleRefused(code, f"{file} is not JSON in UTF-8: {_why(error)}", file=file) from error
    if not isinstance(value, dict):
        raise BundleRefused(code, f"{file} holds no JSON object", file=file)
    return value


def dump(value: JSON) -> bytes:
    """Return the one form in which a value is written here: sorted, indented, UTF-8, a line end."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
    return text.encode("utf-8") + b"\n"


def _once(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for name, value in pairs:
        if name in found:
            raise _Duplicate(f"the member {name[:100]!r} stands twice in one object")
        found[name] = value
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _why(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)[:200]
