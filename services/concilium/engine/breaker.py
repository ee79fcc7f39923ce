"""A circuit breaker: a replica that failed several times in a row is left alone for a while, then tried once."""

import time
from collections.abc import Callable
from typing import Literal

FAILURES = 5
"""In a row; then the replica is left alone."""
OPEN_S = 5.0
"""How long at first; twice as long after each trial that fails."""
OPEN_MAX_S = 60.0

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Of one replica. Closed: it is asked. Open: it is not. Half-open: the next request is a trial, others wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._open_s = OPEN_S
        self._until: float | None = None
        self._trial = False

    @property
    def state(self) -> State:
        """What it is now."""
        if self._until is None:
            return "closed"
        return "open" if self._clock() < self._until else "half-open"

    @property
    def allows(self) -> bool:
        """Whether a request may be sent now."""
        return self.state == "closed" or (self.state == "half-open" and not self._trial)

    @property
    def wait_s(self) -> float:
        """Seconds until the next trial."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock())

    def begin(self) -> None:
        """A request is sent; in the half-open state it is the trial."""
        self._trial = self.state == "half-open"

    def succeeded(self) -> None:
        """A request was answered."""
        self._failures, self._open_s, self._until, self._trial = 0, OPEN_S, None, False

    def failed(self) -> None:
        """A request was not answered, for the replica's sake. Failures of requests that began before do not count."""
        if self._until is None:
            self._failures += 1
            if self._failures >= FAILURES:
                self._until = self._clock() + self._open_s
        elif self._trial:
            self._open_s = min(OPEN_MAX_S, 2 * self._open_s)
            self._until = self._clock() + self._open_s
            self._trial = False

    def given_up(self) -> None:
        """A request ended without telling anything of the replica: its caller left, or it was busy."""
        self._trial = False
