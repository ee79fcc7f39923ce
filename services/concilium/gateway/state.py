"""What the routes share: the parts of one running control plane."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from concilium import tracing
from concilium.brain.loop import Wake
from concilium.contracts.errors import NotFound, Unavailable
from concilium.contracts.placement import Placement
from concilium.contracts.task import Submission, TaskView
from concilium.engine.loading import Watch
from concilium.gateway.auth import Authenticator, Caller
from concilium.gateway.callbacks import Sender
from concilium.gateway.figures import Reader
from concilium.gateway.metrics import Metrics
from concilium.gateway.ssrf import Guard
from concilium.home import Home
from concilium.keyring import KeyFile
from concilium.ledger import Ledger, Ring, Submitted
from concilium.ledger.tx import AdvanceFn
from concilium.queue import Doorbell, Notices


@dataclass
class Parts:
    """What exists while the control plane runs."""

    ledger: Ledger
    doorbell: Doorbell
    recalls: Notices
    """Tells runners which tasks they need not work on any more."""
    auth: Authenticator
    sender: Sender
    mesh_key: KeyFile
    """By it the agents of the mesh know each other."""
    session_key: bytes
    """Signs the cookies of browser sessions."""


@dataclass
class Placed:
    """The rules and the nodes as they are now, asked by the brain and by every claim."""

    current: Placement

    def __call__(self) -> Placement:
        return self.current


@dataclass
class Gateway:
    """The control plane's shared state; `app.state.gateway`."""

    home: Home
    advance: AdvanceFn
    """The brain's fold, handed to the ledger."""
    placed: Placed
    guard: Guard
    wake: Wake | None = None
    """Set when an engine is configured to think with."""
    engine_watch: Watch = field(init=False)
    metrics: Metrics = field(init=False)
    figures: Reader = field(default_factory=Reader)
    depths: Mapping[str, int | None] = field(default_factory=dict)
    """Agent to hints in its queue, as the reconciler saw it last; None: the queue did not answer."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is asked to stop: open streams end, waits return."""
    parts: Parts | None = None

    def __post_init__(self) -> None:
        self.engine_watch = Watch(self.home.config.engine, self.home.engine_progress)
        self.metrics = Metrics(self.home.catalog, self.home.prices.currency)

    @property
    def running(self) -> Parts:
        """The open parts. Raises `Unavailable` before the start and after the stop."""
        if self.parts is None:
            raise Unavailable("the control plane is starting or stopping; try again")
        return self.parts

    @property
    def ledger(self) -> Ledger:
        return self.running.ledger

    @property
    def auth(self) -> Authenticator:
        return self.running.auth

    async def submit(self, submission: Submission) -> Submitted:
        """Accept a task and ring for its first steps. Raises as `Ledger.submit`."""
        with tracing.span("submit", {"n8n.execution.id": submission.execution_id}) as span:
            submitted = await self.ledger.submit(submission)
            span.set({"concilium.task": submitted.task.id, "concilium.replayed": submitted.replayed})
            span.set({"concilium.files": len(submission.request.files)})
        self.ring(submitted.rings)
        return submitted

    def ring(self, rings: Iterable[Ring]) -> None:
        """Ring doorbells; returns at once. One that stays silent is left to the reconciler."""
        for ring in rings:
            self.running.doorbell.ring(ring.agent, ring.step_id)

    async def cancel(self, task_id: str, reason: str) -> TaskView:
        """Cancel a task, tell its caller and its runners. Raises as `Ledger.cancel`."""
        view = await self.ledger.cancel(task_id, reason)
        self.running.recalls.publish({task_id})
        self.running.sender.kick()
        return view

    async def visible_task(self, task_id: str, caller: Caller) -> TaskView:
        """Return a task the caller may see. Raises `NotFound`, the same for a foreign task as for none."""
        task = await self.ledger.get(task_id)
        if not caller.owns(task.key_id):
            raise NotFound(f"no task {task_id}")
        return task

    async def wait(self, task_id: str, after: int, timeout_s: float) -> bool:
        """Return True when a task has something newer than ``after``; False after the time or when closing."""
        news = asyncio.ensure_future(self.ledger.wait(task_id, after, timeout_s))
        stop = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait((news, stop), return_when=asyncio.FIRST_COMPLETED)
            return news.done() and news.result()
        finally:
            news.cancel()
            stop.cancel()


def gateway_of(request: HTTPConnection) -> Gateway:
    """Return the control plane that serves a request."""
    gateway: Gateway = request.app.state.gateway
    return gateway
