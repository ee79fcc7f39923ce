"""Every use and every denial of a private view leaves a record without a word of the request."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from concilium.adapters.guard import ParadigmEvent, Request, audit_event, decide
from support.guard import paradigm

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
SALT = b"0123456789abcdef"
TERMS: dict[str, Any] = {"at": AT, "adapter": "sport@1.2.0", "mode": "auto", "key_id": "key_1", "task_id": "task_1"}


def event(text: str, history: tuple[str, ...] = (), salt: bytes = SALT, **terms: Any) -> ParadigmEvent:
    request = Request(text)
    decision = decide(request, history, paradigm())
    return audit_event(request, history, decision, **{**TERMS, **terms}, salt=salt)


def test_a_use_and_a_denial_say_what_was_decided_and_why() -> None:
    used = event("By Pendulum Theory, how do muscles grow?")
    denied = event("Write my essay by Pendulum Theory")
    assert (used.outcome, used.view, used.reasons) == ("used", "private", ("by-name", "on-topic"))
    assert (denied.outcome, denied.view, denied.reasons) == ("denied", "accepted", ("denied:essay",))
    assert (used.at, used.adapter, used.paradigm, used.key_id, used.task_id) == (
        AT, "sport@1.2.0", "pendulum", "key_1", "task_1",
    )  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="абвгдqwxyz", min_size=12, max_size=60))
def test_no_word_of_the_request_or_its_history_is_kept(secret: str) -> None:
    found = event(f"By Pendulum Theory: {secret}", (f"before {secret}",))
    assert secret not in found.model_dump_json()
    assert found.request_chars == len(f"By Pendulum Theory: {secret}")
    assert (found.history_turns, found.history_chars) == (1, len(f"before {secret}"))


def test_the_hash_tells_repeats_under_one_salt_only() -> None:
    assert event("hello").request_hash == event("hello").request_hash
    assert event("hello").request_hash != event("hello!").request_hash
    assert event("hello").request_hash != event("hello", salt=b"another salt 16b").request_hash
    assert event("lone surrogate \ud800").request_chars == 16


def test_a_short_salt_and_a_time_without_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="needs 16"):
        event("hello", salt=b"short")
    with pytest.raises(ValidationError):
        event("hello", at=datetime(2026, 1, 2))  # noqa: DTZ001 - what is to be refused


def test_an_event_survives_storage() -> None:
    found = event("Реферат о выносливости")
    assert ParadigmEvent.model_validate_json(found.model_dump_json()) == found
