"""Spans by the OpenTelemetry SDK, handed in batches to a receiver of OTLP over HTTP."""

import hashlib
import logging
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Final

import requests
import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from concilium import __version__
from concilium.contracts.config import TracingConfig
from concilium.tracing.spans import About, Kind, Span

SEND_S: Final = 5.0
"""One export may take so long."""
EVERY_S: Final = 1.0
WAITING_MAX: Final = 8192
"""Spans kept for a receiver that is slow; beyond it the oldest are dropped."""
TEXT_CHARS: Final = 256
"""Longest value of an attribute."""

log = structlog.get_logger("concilium.tracing")
_unique: ContextVar[str] = ContextVar("unique", default="")
_PROPAGATOR = TraceContextTextMapPropagator()


class OtelTracer:
    """Makes spans and sends them; see `spans` for its methods."""

    def __init__(self, config: TracingConfig, service: str, node: str) -> None:
        # The library says the same again with every batch; `_Quiet` says it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        session = requests.Session()
        session.trust_env = False
        exporter = OTLPSpanExporter(endpoint=config.otlp_url, timeout=SEND_S, session=session)
        about = {"service.name": service, "service.version": __version__, "concilium.node": node}
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.sample)),
            resource=Resource.create(about),
            id_generator=_Ids(),
            span_limits=SpanLimits(max_attribute_length=TEXT_CHARS),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(_Quiet(exporter), max_queue_size=WAITING_MAX, schedule_delay_millis=EVERY_S * 1000)
        )
        self._tracer = self._provider.get_tracer("concilium", __version__)

    def span(self, name: str, about: About, kind: Kind, parent: str, unique: str) -> AbstractContextManager[Span]:
        return self._span(name, about, kind, parent, unique)

    @contextmanager
    def _span(self, name: str, about: About, kind: Kind, parent: str, unique: str) -> Generator[Span]:
        token = _unique.set(unique)
        try:
            inner = self._tracer.start_span(name, _context(parent), trace.SpanKind[kind.upper()])
        finally:
            _unique.reset(token)
        live = _Live(inner)
        live.set(about)
        try:
            with trace.use_span(inner, record_exception=False, set_status_on_exception=False):
                yield live
        except BaseException as error:
            live.fail(type(error).__name__)  # its message may quote what nobody else shall read
            raise
        finally:
            if not live.dropped:
                inner.end()

    def waited(self, name: str, about: About, seconds: float, parent: str) -> None:
        end = time.time_ns()
        inner = self._tracer.start_span(name, _context(parent), start_time=end - round(seconds * 1e9))
        _Live(inner).set(about)
        inner.end(end)

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        _PROPAGATOR.inject(found)
        return found

    def close(self) -> None:
        """Send what is left; blocks as long as the receiver takes."""
        self._provider.shutdown()


class _Live(Span):
    """A span that goes out."""

    def __init__(self, inner: trace.Span) -> None:
        self._inner = inner
        self.dropped = False
        context = inner.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, about: About) -> None:
        for name, value in about.items():
            if value is not None:
                self._inner.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._inner.update_name(name)

    def fail(self, kind: str) -> None:
        self._inner.set_attribute("error.type", kind)
        self._inner.set_status(trace.StatusCode.ERROR)

    def drop(self) -> None:
        self.dropped = True


class _Ids(RandomIdGenerator):
    """Random ids, but for spans that several processes may stand for.

    The run an agent began for a runner that died has the attempt's span as its parent. That runner never ends it; the
    one that takes the attempt over ends a span of the same id, and the trace stays in one piece.
    """

    def generate_span_id(self) -> int:
        unique = _unique.get()
        if not unique:
            return super().generate_span_id()
        return int.from_bytes(hashlib.sha256(unique.encode()).digest()[:8]) or 1


class _Quiet(SpanExporter):
    """Says once that the receiver is away, and once that it is back."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            log.warning("traces are not taken; tasks go on without", spans=len(spans))
        elif self._away and not away:
            log.info("traces are taken again")
        self._away = away
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _context(traceparent: str) -> Context | None:
    """Return the context of a ``traceparent``; None for an empty one: the current context is meant."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, Context()) if traceparent else None
