"""The event stream, however it is cut."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concilium.engine.errors import EngineError
from concilium.engine.sse import EVENT_BYTES, Events

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Machines may be busy."""
STREAM = b': hi\r\n\r\ndata: {"a": 1}\r\n\r\nevent: x\nid: 7\ndata:{"b":\ndata: 2}\n\ndata: [DONE]\n\ndata: unfinished'
FOUND = [b'{"a": 1}', b'{"b":\n2}', b"[DONE]"]


@QUIET
@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_the_data_of_each_event_is_found_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    events, found = Events(), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(STREAM)], strict=True):
        found += events.feed(STREAM[begin:end])
    assert found == FOUND


@QUIET
@given(st.binary(max_size=300))
def test_any_bytes_are_taken(chunk: bytes) -> None:
    Events().feed(chunk)


def test_a_line_without_an_end_and_an_event_of_many_lines_are_refused() -> None:
    for chunk in (
        b"data: " + b"x" * (EVENT_BYTES + 1),
        b"data: xxxx\n" * (EVENT_BYTES // 4 + 1),
        b"x" * 2 * EVENT_BYTES,
    ):
        with pytest.raises(EngineError, match="garbage: an event of the stream is larger"):
            Events().feed(chunk)
