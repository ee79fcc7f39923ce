"""What the rooms write against. It does nothing until `exporting` says where spans go."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Literal, Protocol

from concilium.contracts.config import TracingConfig
from concilium.contracts.runner import Lease

Kind = Literal["internal", "server", "client"]
About = Mapping[str, str | int | float | bool | None]
"""Attributes of a span; those that are None are left out."""

LAST_S: Final = 2.0
"""How long the end of a process waits for its last spans to be taken."""


class Span:
    """A span under way. This one goes nowhere, because nothing is traced."""

    traceparent = ""
    """What its children are given (W3C Trace Context); empty when nothing is traced."""

    def set(self, about: About) -> None:
        """Add attributes."""

    def rename(self, name: str) -> None:
        """Give it another name."""

    def fail(self, kind: str) -> None:
        """Mark it as failed, with the type of the problem."""

    def drop(self) -> None:
        """Never let it out: somebody else ends what it stands for."""


class Tracer(Protocol):
    """Makes spans, see the functions of the same names."""

    def span(self, name: str, about: About, kind: Kind, parent: str, unique: str) -> AbstractContextManager[Span]: ...
    def waited(self, name: str, about: About, seconds: float, parent: str) -> None: ...
    def headers(self) -> dict[str, str]: ...
    def close(self) -> None: ...


_SILENT: Final[AbstractContextManager[Span]] = nullcontext(Span())
_tracer: Tracer | None = None


def span(
    name: str, about: About, *, kind: Kind = "internal", parent: str = "", unique: str = ""
) -> AbstractContextManager[Span]:
    """Return a context manager whose inside is a span; spans begun inside are its children.

    Args:
        name: one of few: no ids in it.
        about: what it is about.
        kind: ``server`` for a request served, ``client`` for one made.
        parent: a ``traceparent``; empty: the span around this one.
        unique: makes the span's id: the same text gives the same id, whoever ends the span.
    """
    return _SILENT if _tracer is None else _tracer.span(name, about, kind, parent, unique)


def waited(name: str, about: About, *, seconds: float, parent: str) -> None:
    """Record a span that ends now and began ``seconds`` ago, below a ``traceparent``."""
    if _tracer is not None:
        _tracer.waited(name, about, seconds, parent)


def headers() -> dict[str, str]:
    """Return the HTTP header that hands the current span on; none when nothing is traced."""
    return {} if _tracer is None else _tracer.headers()


def step_about(lease: Lease) -> dict[str, str | int | float | bool | None]:
    """Return what every span of a leased step says."""
    return {
        "concilium.task": lease.task_id,
        "concilium.step": lease.step,
        "concilium.attempt": lease.attempt,
        "concilium.agent": lease.agent,
        "concilium.skill": lease.skill,
    }


@contextmanager
def exporting(config: TracingConfig, service: str, node: str) -> Iterator[None]:
    """Trace what happens inside, if the configuration names a receiver.

    Args:
        config: where spans go, and what part of the traces is kept.
        service: the process, e.g. ``concilium-runner``.
        node: the machine's name in the mesh.
    """
    if not config.otlp_url:
        yield
        return
    # Ten megabytes and a third of a second that only a mesh which is traced pays for.
    from concilium.tracing.otel import OtelTracer  # noqa: PLC0415

    global _tracer  # noqa: PLW0603 - one a process, as its log
    _tracer = tracer = OtelTracer(config, service, node)
    try:
        yield
    finally:
        _tracer = None
        last = threading.Thread(target=tracer.close, name="last-spans", daemon=True)
        last.start()
        last.join(LAST_S)
