"""Numbers for Prometheus: what passes is counted as it passes, what stands in the ledger is read when scraped."""

from collections.abc import Iterable, Sequence

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric

from concilium import __version__
from concilium.contracts.money import from_micros
from concilium.contracts.skill import Catalog
from concilium.contracts.states import StepState, TaskState
from concilium.gateway.figures import Figures, families
from concilium.ledger.tx import Charge, Move, StepMove, TaskMove

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, of use to nobody here
REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WORK_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
BRAIN = "brain"
"""Who asks an engine when no agent does."""


class Metrics:
    """What one control plane tells. `moved` is called in database threads, the rest on the event loop."""

    def __init__(self, catalog: Catalog, currency: str) -> None:
        """Prepare.

        Args:
            catalog: its agents have their counters from the start, so that the first failure is seen as a rise.
            currency: that of the prices.
        """
        self._registry = CollectorRegistry()
        self._currency = currency
        self._figures: Figures | None = None
        self._registry.register(self)
        Gauge("concilium_build_info", "1, by version.", ("version",), registry=self._registry).labels(__version__).set(
            1
        )
        self._requests = self._counter("http_requests", "Requests answered.", "method", "route", "status")
        self._latency = self._histogram("http_request_duration_seconds", "Until the answer began.", REQUEST_S, "route")
        self._tasks = self._counter("task_transitions", "Tasks that came to a state.", "state")
        self._task_s = self._histogram(
            "task_duration_seconds", "From submission to the end of a task.", WORK_S, "state"
        )
        self._steps = self._counter("step_transitions", "Attempts that came to a state.", "agent", "skill", "state")
        self._step_s = self._histogram(
            "step_duration_seconds", "What the runs of steps took.", WORK_S, "agent", "skill"
        )
        self._wait_s = self._histogram("step_wait_seconds", "Until a step that could be was leased.", WORK_S, "agent")
        self._node_steps = self._counter("node_steps", "Attempts that ended on a node.", "node", "state")
        self._node_s = self._counter("node_busy_seconds", "What the runs on a node took, together.", "node")
        self._retries = self._counter("step_retries", "Attempts beyond the first.", "agent", "skill")
        self._lost = self._counter("leases_taken_back", "Leases that ran out, the step was ready again.", "agent")
        self._cost = self._counter("cost", "Costs caused by work, shares of monthly prices too.", "agent", "currency")
        self._tokens = self._counter("engine_tokens", "Tokens, or characters spoken.", "engine", "agent", "direction")
        self._begin(catalog)

    def _begin(self, catalog: Catalog) -> None:
        for state in TaskState:
            self._tasks.labels(state.value)
        for name, agent in catalog.agents.items():
            self._lost.labels(name)
            for skill in agent.skills:
                self._retries.labels(name, skill.name)
                for step_state in (StepState.COMPLETED, StepState.FAILED):
                    self._steps.labels(name, skill.name, step_state.value)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what `collect` yields depends on the ledger."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield what was read of the ledger."""
        return () if self._figures is None else families(self._figures)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is a path template, so that ids make no new series."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def moved(self, moves: Sequence[Move]) -> None:
        """Count what a transaction changed."""
        for move in moves:
            if isinstance(move, TaskMove):
                self._task(move)
            elif isinstance(move, StepMove):
                self._step(move)
            else:
                self._charge(move)

    def render(self, figures: Figures) -> bytes:
        """Return the exposition text: these figures, what was counted, and this process itself."""
        self._figures = figures
        return generate_latest(self._registry) + generate_latest(REGISTRY)

    def _task(self, move: TaskMove) -> None:
        self._tasks.labels(move.state).inc()
        if TaskState(move.state).terminal:
            self._task_s.labels(move.state).observe(move.age_s)

    def _step(self, move: StepMove) -> None:
        self._steps.labels(move.agent, move.skill, move.state).inc()
        if not move.before and move.attempt > 1:
            self._retries.labels(move.agent, move.skill).inc()
        if move.state == StepState.WORKING:
            self._wait_s.labels(move.agent).observe(move.waited_s)
        if move.before == StepState.WORKING:
            self._left(move)

    def _left(self, move: StepMove) -> None:
        """Count an attempt that its node works on no more."""
        if move.state == StepState.READY:
            self._lost.labels(move.agent).inc()
            return
        self._node_steps.labels(move.node, move.state).inc()
        if move.duration_s is not None:
            self._step_s.labels(move.agent, move.skill).observe(move.duration_s)
            self._node_s.labels(move.node).inc(move.duration_s)

    def _charge(self, charge: Charge) -> None:
        agent = charge.agent or BRAIN
        self._cost.labels(agent, self._currency).inc(float(from_micros(charge.spent.total)))
        if charge.kind == "engine":
            self._tokens.labels(charge.name, agent, "in").inc(charge.input_tokens)
            self._tokens.labels(charge.name, agent, "out").inc(charge.output_tokens)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"concilium_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"concilium_{name}", text, labels, buckets=buckets, registry=self._registry)
