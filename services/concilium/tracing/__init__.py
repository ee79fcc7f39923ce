"""Traces by OpenTelemetry, for a receiver of OTLP over HTTP that the configuration names.

Without one nothing of OpenTelemetry is even imported, and `span` hands out one object that does nothing. What goes out
is ids, names, states, durations and sizes; never a text, a file's name, an address or an error's message.
"""

from concilium.tracing.spans import About, Span, exporting, headers, span, step_about, waited

__all__ = ["About", "Span", "exporting", "headers", "span", "step_about", "waited"]
