"""What ``/metrics`` tells of an agent service."""

from collections.abc import Iterable

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, of use to nobody here
OUTCOMES = ("completed", "failed", "canceled", "abandoned")


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self, skills: Iterable[str], slots: int) -> None:
        """Prepare; what has not happened yet is there as 0, so that its first time is seen as a rise."""
        self._registry = CollectorRegistry()
        self.ready = Gauge("concilium_agent_ready", "1 once the agent is warm.", registry=self._registry)
        Gauge("concilium_agent_slots", "Runs it carries out side by side.", registry=self._registry).set(slots)
        self.ended = Counter(
            "concilium_agent_runs", "Runs ended, by skill and outcome.", ("skill", "outcome"), registry=self._registry
        )
        self.running = Gauge("concilium_agent_running", "Runs in a slot.", ("skill",), registry=self._registry)
        self.duration = Histogram(
            "concilium_agent_run_duration_seconds",
            "From the request to the outcome, waiting for a slot included.",
            ("skill",),
            buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900),
            registry=self._registry,
        )
        for skill in skills:
            self.running.labels(skill)
            self.duration.labels(skill)
            for outcome in OUTCOMES:
                self.ended.labels(skill, outcome)

    def render(self) -> bytes:
        """Return the Prometheus text format: of the agent, of what its skills count themselves, of the process."""
        return generate_latest(self._registry) + generate_latest(REGISTRY)
