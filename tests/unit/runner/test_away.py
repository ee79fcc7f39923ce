"""How long the runner waits for an agent that went away in the middle of a step."""

import pytest

from concilium.contracts.a2a.step import HEADERS
from concilium.runner import patience
from concilium.runner.agent import Endpoint
from concilium.runner.leases import AtAgent


class Clock:
    """Seconds, as told."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    told = Clock()
    monkeypatch.setattr(patience, "now", told)
    return told


def test_the_patience_begins_when_the_agent_is_lost_however_long_it_ran(clock: Clock) -> None:
    there = AtAgent(Endpoint("http://far/a2a", HEADERS, dict, steps=True), "run", sent=True, heard=3)
    away = patience.Away(10.0)
    clock.at += 3600
    assert not away.too_long(there)
    clock.at += 9
    assert not away.too_long(there)
    clock.at += 1
    assert away.too_long(there)


def test_an_agent_that_is_heard_again_gets_the_whole_patience_again(clock: Clock) -> None:
    there = AtAgent(Endpoint("http://far/a2a", HEADERS, dict, steps=True), "run", sent=True)
    away = patience.Away(10.0)
    assert not away.too_long(there)
    clock.at += 9
    there.heard += 1
    assert not away.too_long(there)
    assert away.tries == 1
    clock.at += 9
    assert not away.too_long(there)
    clock.at += 1
    assert away.too_long(there)
