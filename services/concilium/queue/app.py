"""The Celery application: a doorbell over Redis that carries step ids and nothing else."""

from functools import cache
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

TASK_NAME = "concilium.run"
"""Body: the JSON list ``[step_id]`` with ``step_id = "<task>.<step>.<attempt>"``."""

CONNECT_TIMEOUT_S = 2.0
SOCKET_TIMEOUT_S = 5.0
"""Longer than the second a consumer's blocking pop takes."""


def queue_name(agent: str) -> str:
    """Return the name of an agent's queue, which is also the Redis list that holds its messages."""
    return f"agent.{agent}"


@cache
def queue_of(agent: str) -> Queue:
    """Return an agent's queue.

    It is reached through the default exchange: a named one would keep its bindings in Redis, and a Redis that lost its
    data could route nothing until every consumer had declared them again.
    """
    default = Exchange("")  # type: ignore[no-untyped-call]  # kombu's entities are untyped
    return Queue(queue_name(agent), default, queue_name(agent))  # type: ignore[no-untyped-call]  # as above


def make_app(url: str) -> Celery:
    """Return the application for a broker at ``redis://…`` or ``redis+socket://…``.

    Messages are JSON and acknowledged before they are worked on; there are no results, no remote control, no time
    limits, no events and no retries. A lost message is rung again by the ledger's reconciler.
    """
    app = Celery("concilium", broker=url, set_as_current=False)
    app.conf.update(_SETTINGS)
    return app


_SETTINGS: dict[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "task_ignore_result": True,
    "task_acks_late": False,
    "task_create_missing_queues": False,
    "task_send_sent_event": False,
    "worker_send_task_events": False,
    "worker_enable_remote_control": False,
    "worker_prefetch_multiplier": 1,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_keepalive": True,
    },
    "enable_utc": True,
}
