"""The ledger: the durable record of tasks, steps, events, leases and callbacks. The only truth."""

from concilium.ledger.adapter_life import Deed
from concilium.ledger.keys import hash_of
from concilium.ledger.ledger import Ledger
from concilium.ledger.models import (
    Advanced,
    ApiKey,
    Completed,
    Delivery,
    DeliveryState,
    GcReport,
    History,
    Revoked,
    Ring,
    Stats,
    StepRecord,
    Submitted,
    Swept,
    Thought,
)
from concilium.ledger.reports import Asked

__all__ = [
    "Advanced",
    "ApiKey",
    "Asked",
    "Completed",
    "Deed",
    "Delivery",
    "DeliveryState",
    "GcReport",
    "History",
    "Ledger",
    "Revoked",
    "Ring",
    "Stats",
    "StepRecord",
    "Submitted",
    "Swept",
    "Thought",
    "hash_of",
]
