"""The circuit breaker, by its own clock."""

from dataclasses import dataclass

from concilium.engine.breaker import FAILURES, OPEN_MAX_S, OPEN_S, Breaker


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.begin()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_and_a_success_between_begins_the_row_anew() -> None:
    breaker = Breaker(Clock())
    for _ in range(FAILURES - 1):
        breaker.failed()
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "open"
    assert not breaker.allows


def test_after_a_while_one_request_is_tried_and_the_others_wait() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += OPEN_S - 0.1
    assert not breaker.allows
    clock.now += 0.1
    assert breaker.state == "half-open"
    assert breaker.allows
    breaker.begin()
    assert not breaker.allows
    breaker.succeeded()
    assert (breaker.state, breaker.allows) == ("closed", True)


def test_a_trial_that_fails_doubles_the_wait_up_to_a_limit() -> None:
    clock = Clock()
    breaker = opened(clock)
    for _ in range(8):
        clock.now += breaker.wait_s
        breaker.begin()
        breaker.failed()
    assert breaker.wait_s == OPEN_MAX_S
    clock.now += OPEN_MAX_S
    breaker.begin()
    breaker.succeeded()
    assert opened(clock).wait_s == OPEN_S


def test_a_trial_that_is_given_up_lets_the_next_request_try() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += OPEN_S
    breaker.begin()
    breaker.given_up()
    assert breaker.allows


def test_late_failures_of_requests_sent_before_do_not_make_the_wait_longer() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 1
    breaker.failed()
    assert breaker.wait_s == OPEN_S - 1
