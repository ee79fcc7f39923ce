"""Server-sent events are read whatever way the bytes are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from concilium.cli.sse import read_events

STREAM = (
    ': hello\n\nid: 1\nevent: state\ndata: {"a":"ё\u2028"}\n\n: still here\n\nid: 2\r\ndata:x\r\ndata: y\r\n\r\n'
).encode()
EVENTS = ['{"a":"ё\u2028"}', "x\ny"]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=6))
def test_events_are_the_same_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert list(read_events(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


def test_an_event_cut_off_by_the_end_is_dropped() -> None:
    assert list(read_events([b"data: whole\n\ndata: half\n"])) == ["whole"]
