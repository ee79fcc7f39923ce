"""The one way a metadata file may be written: OLPC canonical JSON, the whole file, byte for byte.

TUF signs the canonical form of the member ``signed`` and leaves the file around it free. Here the file itself has to
be that form, so that there are no two readings of it: no space, no second spelling of a string or number, no member
twice, and the bytes that were signed stand in the file as they are.
"""

import json
from typing import Never

from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical

from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.contracts.base import JSON

_NUMBER_DIGITS = 16


def canonical(value: JSON) -> bytes:
    """Return a value as OLPC canonical JSON in UTF-8. Raises ValueError for what it cannot hold (a float, a lone
    surrogate, members that are not text)."""
    try:
        return str(encode_canonical(value)).encode()
    except (FormatError, RecursionError) as error:
        raise ValueError("this has no canonical form") from error


def decode(data: bytes, limit: int) -> dict[str, JSON]:
    """Return the object that a file holds.

    Raises:
        TrustRefused: `TOO_LARGE` beyond a limit in bytes, `NOT_JSON`, `DUPLICATE_MEMBER`, `NOT_CANONICAL`.
    """
    found = decode_json(data, limit)
    try:
        same = canonical(found) == data
    except ValueError:
        same = False
    if not same:
        raise TrustRefused(Code.NOT_CANONICAL, "the file is not in canonical form")
    return found


def decode_json(data: bytes, limit: int) -> dict[str, JSON]:
    """Return the object that a file holds, however it is laid out; whole numbers have 16 digits at most.

    Raises:
        TrustRefused: `TOO_LARGE`, `NOT_JSON`, `DUPLICATE_MEMBER`.
    """
    if len(data) > limit:
        raise TrustRefused(Code.TOO_LARGE, f"the file is larger than {limit} bytes")
    try:
        found = json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_refuse, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise TrustRefused(Code.NOT_JSON, "the file is not JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise TrustRefused(Code.NOT_JSON, "the file holds no JSON object")
    return found


def _members(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TrustRefused(Code.DUPLICATE_MEMBER, "an object in the file has a member twice")
    return found


def _number(text: str) -> int:
    if len(text) > _NUMBER_DIGITS:
        raise ValueError("a number is out of range")
    return int(text)


def _refuse(text: str) -> Never:
    raise ValueError(f"{text} is no number")
