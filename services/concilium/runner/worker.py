"""The Celery worker: hears the hints and hands them over."""

import os
import threading
import warnings
from typing import Any

import structlog
from celery import signals
from celery.platforms import SecurityWarning
from celery.worker import state

from concilium.home import Home
from concilium.queue import TASK_NAME, make_app, queue_name, queue_of
from concilium.runner.limits import DEAF_EXIT, STOP_GRACE_S
from concilium.runner.served import Served
from concilium.runner.service import Service

log = structlog.get_logger(__name__)

FORCE_S = 3 * STOP_GRACE_S
"""A consumer that cannot even hear that it is to end is ended after this long."""


def serve(home: Home, served: Served) -> int:
    """Serve the agents of a node until SIGTERM; return the exit code. Raises as `Service`."""
    service = Service(home, served, _end_deaf)
    app = make_app(home.queue_url)
    by_queue = {queue_name(agent): agent for agent in service.slots}
    app.conf.task_queues = [queue_of(agent) for agent in service.slots]

    def run(task: Any, step_id: str) -> None:
        agent = by_queue[task.request.delivery_info["routing_key"]]
        log.debug("hint", agent=agent, step_id=step_id)
        service.hint(agent)

    app.task(name=TASK_NAME, bind=True, ignore_result=True)(run)

    def on_stop(**_: Any) -> None:
        service.stop()

    def on_ready(**_: Any) -> None:
        log.info("runner ready", runner=service.runner, pid=os.getpid())

    signals.worker_shutting_down.connect(on_stop)
    signals.worker_ready.connect(on_ready)
    service.start()
    # Celery warns of root because of pickle, which is off here.
    warnings.simplefilter("ignore", SecurityWarning)
    # One thread beyond the slots: it drops hints while all slots work, so that the queue does not grow stale.
    worker = app.Worker(
        pool="threads",
        concurrency=sum(service.slots.values()) + 1,
        queues=list(by_queue),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    )
    worker.start()
    service.join()
    return int(worker.exitcode or 0)


def _end_deaf() -> None:
    """Ask the consumer to end; it looks at this between two waits. One that hangs is ended without asking."""
    state.should_stop = DEAF_EXIT
    timer = threading.Timer(FORCE_S, os._exit, (DEAF_EXIT,))
    timer.daemon = True
    timer.start()
