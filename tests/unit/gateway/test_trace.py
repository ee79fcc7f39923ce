"""Which trace a request belongs to, and which execution of n8n asked."""

import pytest
from starlette.datastructures import Headers

from concilium.gateway.trace import begin

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_callers_trace_goes_on_in_a_span_of_ours() -> None:
    trace = begin(Headers({"traceparent": SENT}))
    assert (trace.trace_id, trace.caller) == (SENT[3:35], SENT)
    assert trace.traceparent[:36] == SENT[:36]
    assert trace.traceparent != SENT


@pytest.mark.parametrize(
    "said", ["", "nonsense", SENT.upper(), SENT.replace("00-0", "ff-0", 1), f"00-{'0' * 32}-b7ad6b7169203331-01"]
)
def test_a_header_that_breaks_the_recommendation_is_replaced(said: str) -> None:
    trace = begin(Headers({"traceparent": said}))
    assert trace.trace_id != SENT[3:35]
    assert trace.caller == ""


def test_the_recorded_span_is_the_one_that_is_handed_on() -> None:
    trace = begin(Headers({"traceparent": SENT}))
    assert trace.within("") is trace
    recorded = "00-11111111111111111111111111111111-2222222222222222-01"
    assert trace.within(recorded).traceparent == recorded
    assert trace.within(recorded).trace_id == "1" * 32


@pytest.mark.parametrize(
    ("said", "known"), [("4711", "4711"), ("wf:12.3_a-b", "wf:12.3_a-b"), ("", None), ("a b", None), ("1" * 65, None)]
)
def test_an_execution_id_is_taken_when_it_looks_like_one(said: str, known: str | None) -> None:
    assert begin(Headers({"X-N8N-Execution-Id": said})).execution_id == known
