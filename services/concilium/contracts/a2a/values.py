"""States and JSON values on A2A's wire.

A number on the wire is an IEEE 754 double (``google.protobuf.Value``): integers beyond 2**53 lose digits, and a whole
double comes back as an int. Nesting beyond about 45 levels is refused by ProtoJSON itself.
"""

import math
from typing import Final

from a2a.types import a2a_pb2 as pb
from google.protobuf import struct_pb2

from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid
from concilium.contracts.limits import JSON_DEPTH
from concilium.contracts.states import TaskState

_EXACT = 2.0**53

_TO_WIRE: Final[dict[TaskState, pb.TaskState]] = {
    TaskState.SUBMITTED: pb.TASK_STATE_SUBMITTED,
    TaskState.WORKING: pb.TASK_STATE_WORKING,
    TaskState.INPUT_REQUIRED: pb.TASK_STATE_INPUT_REQUIRED,
    TaskState.AUTH_REQUIRED: pb.TASK_STATE_AUTH_REQUIRED,
    TaskState.COMPLETED: pb.TASK_STATE_COMPLETED,
    TaskState.FAILED: pb.TASK_STATE_FAILED,
    TaskState.CANCELED: pb.TASK_STATE_CANCELED,
    TaskState.REJECTED: pb.TASK_STATE_REJECTED,
}
_FROM_WIRE: Final[dict[int, TaskState]] = {wire: state for state, wire in _TO_WIRE.items()}


def state_to_wire(state: TaskState) -> pb.TaskState:
    """Return A2A's state for ours."""
    return _TO_WIRE[state]


def state_from_wire(state: int) -> TaskState:
    """Return our state for A2A's. Raises `Invalid` for an unspecified or unknown one."""
    try:
        return _FROM_WIRE[state]
    except KeyError as error:
        raise Invalid(f"A2A task state {state} is unspecified or unknown") from error


def to_value(data: JSON, into: struct_pb2.Value | None = None, depth: int = JSON_DEPTH) -> struct_pb2.Value:
    """Return JSON as a protobuf value.

    Raises:
        Invalid: it is not JSON (NaN, bytes), not UTF-8 (lone surrogates) or nests too deep.
    """
    value = struct_pb2.Value() if into is None else into
    if depth < 0:
        raise Invalid(f"JSON nests deeper than {JSON_DEPTH} levels")
    if data is None:
        value.null_value = struct_pb2.NULL_VALUE
    elif isinstance(data, bool):
        value.bool_value = data
    elif isinstance(data, int | float):
        value.number_value = _number(data)
    elif isinstance(data, str):
        value.string_value = _utf8(data)
    elif isinstance(data, dict):
        fields = value.struct_value.fields
        value.struct_value.SetInParent()
        for key, item in data.items():
            to_value(item, fields[_utf8(key)], depth - 1)
    elif isinstance(data, list | tuple):
        value.list_value.SetInParent()
        for item in data:
            to_value(item, value.list_value.values.add(), depth - 1)
    else:
        raise Invalid(f"a {type(data).__name__} is not JSON")
    return value


def _utf8(data: JSON) -> str:
    """Return text that UTF-8 can hold. Raises `Invalid` for lone surrogates and keys that are no text."""
    if not isinstance(data, str):
        raise Invalid("a JSON object has text for keys")
    if not data.isascii():
        try:
            data.encode()
        except UnicodeEncodeError as error:
            raise Invalid("text with a lone surrogate is not UTF-8") from error
    return data


def _number(data: float) -> float:
    try:
        number = float(data)
    except OverflowError as error:
        raise Invalid("a number is too large for the wire") from error
    if not math.isfinite(number):
        raise Invalid("NaN and infinity are not JSON")
    return number


def from_value(value: struct_pb2.Value) -> JSON:
    """Return a protobuf value as JSON; whole numbers become ints."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _EXACT else number
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [from_value(item) for item in value.list_value.values]
        case _:
            return None


def from_struct(struct: struct_pb2.Struct) -> dict[str, JSON]:
    """Return a protobuf struct as a JSON object."""
    return {key: from_value(item) for key, item in struct.fields.items()}
