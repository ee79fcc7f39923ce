"""Server-sent events from bytes cut anywhere."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.contracts.errors import TooLarge
from concilium.runner.sse import EventSplitter

WIRE = b': ping\r\n\r\nevent: x\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:two\n\n'


@given(st.lists(st.integers(0, len(WIRE)), max_size=8))
def test_events_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    splitter = EventSplitter(1000)
    found = [data for a, b in itertools.pairwise(edges) for data in splitter.feed(WIRE[a:b])]
    assert found == [b'{"a":\n1}', b"two"]


def test_an_answer_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge):
        list(EventSplitter(10).feed(b"data: " + b"x" * 20))
