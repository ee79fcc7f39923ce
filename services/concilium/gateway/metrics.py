"""Numbers for Prometheus: requests as they pass, the ledger's counts when scraped."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from concilium.contracts.costs import CostReport
from concilium.ledger import Stats

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry per control plane."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "concilium_http_requests", "Answered requests", ("method", "route", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "concilium_http_request_seconds",
            "Seconds until the answer began",
            ("route",),
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._tasks = self._gauge("concilium_tasks", "Tasks by state", "state")
        self._ready = self._gauge("concilium_ready_steps", "Steps that may be claimed, by agent", "agent")
        self._outbox = self._gauge("concilium_outbox", "Callbacks by state", "state")
        self._leases = Gauge("concilium_leases", "Leases held by runners", registry=self.registry)
        self._thinking = Gauge("concilium_thinking_turns", "Turns that wait for an engine", registry=self.registry)
        self._commits = Gauge("concilium_ledger_commits", "Write transactions since the start", registry=self.registry)

        self._money = Gauge(
            "concilium_cost_month",
            "Owed this month, by node or engine",
            ("kind", "name", "currency"),
            registry=self.registry,
        )
        self._budget = Gauge(
            "concilium_budget_used_ratio",
            "Part of a budget used this month (1 is its limit)",
            ("budget",),
            registry=self.registry,
        )

    def _gauge(self, name: str, text: str, label: str) -> Gauge:
        return Gauge(name, text, (label,), registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is a path template, so that ids make no new series."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def render(self, stats: Stats, costs: CostReport) -> bytes:
        """Return the exposition text with the ledger's counts of now and the month's costs by node."""
        for gauge, counts in ((self._tasks, stats.tasks), (self._ready, stats.ready), (self._outbox, stats.outbox)):
            gauge.clear()
            for name, count in counts.items():
                gauge.labels(name).set(count)
        self._money.clear()
        for row in costs.rows:
            self._money.labels(row.label, row.name, costs.currency).set(float(row.total))
        self._budget.clear()
        for budget in costs.budgets:
            self._budget.labels(budget.budget).set(budget.used)
        self._leases.set(stats.leases)
        self._thinking.set(stats.thinking)
        self._commits.set(stats.commits)
        return generate_latest(self.registry)
