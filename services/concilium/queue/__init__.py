"""The queue: Celery over Redis, one queue an agent, ids only. A doorbell; the ledger is the truth."""

from concilium.queue.app import TASK_NAME, make_app, queue_name, queue_of
from concilium.queue.doorbell import Doorbell
from concilium.queue.notices import RECALLED, Notices, hear

__all__ = ["RECALLED", "TASK_NAME", "Doorbell", "Notices", "hear", "make_app", "queue_name", "queue_of"]
