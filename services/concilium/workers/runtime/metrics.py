"""What ``/metrics`` tells of an agent service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.ended = Counter(
            "concilium_agent_runs", "Runs ended, by skill and outcome.", ("skill", "outcome"), registry=self._registry
        )
        self.running = Gauge("concilium_agent_running", "Runs in a slot.", ("skill",), registry=self._registry)
        self.duration = Histogram(
            "concilium_agent_run_seconds",
            "From the request to the outcome, waiting for a slot included.",
            ("skill",),
            buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900),
            registry=self._registry,
        )

    def render(self) -> bytes:
        """Return the Prometheus text format."""
        return generate_latest(self._registry)
