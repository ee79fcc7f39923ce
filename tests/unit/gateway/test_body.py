"""A public body says each thing once."""

import pytest

from concilium.contracts import limits
from concilium.contracts.errors import BadRequest, Invalid
from concilium.gateway.body import parse_json


@pytest.mark.parametrize(
    "raw", [b'{"text": "a", "text": "b"}', b'{"a": [{"b": 1, "b": 1}]}', b'{"a": 1, "\\u0061": 2}']
)
def test_a_member_that_comes_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest, match="twice"):
        parse_json(raw)


def test_the_same_name_in_different_objects_is_fine() -> None:
    assert parse_json(b'{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}') == {"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}


def test_a_body_that_is_nested_too_deeply_is_refused_before_its_members_are_counted() -> None:
    deep = limits.JSON_DEPTH + 1
    with pytest.raises(Invalid, match="deep"):
        parse_json(b'{"a":' * deep + b"1" + b"}" * deep)
