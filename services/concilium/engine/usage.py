"""Counting what is asked of engines, for whoever pays: a thought of the brain, or a run of a skill.

The meter is ambient (a context variable), so that neither skills nor planners have to hand it on. Tasks and threads
that are started while it runs inherit it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from concilium.contracts.prices import TOKENS_MAX, EngineName, EngineUse
from concilium.engine.chat import TokenUse

SECONDS = Histogram(
    "concilium_engine_request_duration_seconds",
    "From a request to an engine to the end of its answer.",
    ("path", "outcome"),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
"""Of every engine this process asks."""
RETRIES = Counter("concilium_engine_retries", "Requests sent to another replica, by why.", ("reason",))


class Meter:
    """Counts tokens; used from one event loop."""

    def __init__(self) -> None:
        self._input = self._output = self._uncounted = 0
        self.mode = ""
        """The mode of the last answer, for who records it."""

    def answer(self, use: TokenUse | None) -> None:
        """Count an answer; note one that the engine did not count, or that broke off."""
        if use is None:
            self._uncounted += 1
            return
        self._input += use.input_tokens
        self._output += use.output_tokens

    def spoken(self, characters: int) -> None:
        """Count a text that was made speech: servers price it by its characters."""
        self._input += characters

    def use(self, engine: EngineName) -> tuple[EngineUse, ...]:
        """Return what was counted as the use of an engine; nothing when it was not asked."""
        if not (self._input or self._output or self._uncounted):
            return ()
        taken, given = min(self._input, TOKENS_MAX), min(self._output, TOKENS_MAX)
        return (EngineUse(engine=engine, input_tokens=taken, output_tokens=given, uncounted=self._uncounted),)


_running: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered(meter: Meter) -> Iterator[None]:
    """Count in this meter what is asked of engines inside."""
    token = _running.set(meter)
    try:
        yield
    finally:
        _running.reset(token)


@dataclass
class Timed:
    """A request under way."""

    outcome: str = "broken-off"


@contextmanager
def timed(path: str) -> Iterator[Timed]:
    """Measure a request to an engine, for whoever scrapes this process."""
    request, began = Timed(), time.monotonic()
    try:
        yield request
        request.outcome = "ok"
    finally:
        SECONDS.labels(path, request.outcome).observe(time.monotonic() - began)


def current() -> Meter:
    """Return the running meter, or one that nobody reads."""
    return _running.get() or Meter()
