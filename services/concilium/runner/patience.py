"""How long is waited for an agent or a control plane that is away, and between two tries."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from concilium.contracts.errors import Unavailable
from concilium.runner.clock import now
from concilium.runner.leases import AtAgent
from concilium.runner.limits import RETRY_BASE_S, RETRY_MAX_S

log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass
class Away:
    """How long an agent has been away, counted from when it was last heard: a long run may be cut off late."""

    patience_s: float
    tries: int = 0
    _since: float = 0.0
    _heard: int = 0

    def too_long(self, there: AtAgent | None) -> bool:
        """Count a try that failed; return whether the patience is at its end."""
        heard = there.heard if there is not None else 0
        if not self.tries or heard > self._heard:
            self._since, self._heard, self.tries = now(), heard, 0
        self.tries += 1
        return now() >= self._since + self.patience_s


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call the control plane until it answers; the lease's end cancels this."""
    tries = 0
    while True:
        try:
            return await call()
        except Unavailable as error:
            tries += 1
            log.info("control plane away", detail=error.detail)
            await asyncio.sleep(pause(tries))


def pause(tries: int) -> float:
    """Return seconds to wait before the next try, with jitter so that runners do not come back all at once."""
    return float(min(RETRY_BASE_S * 2**tries, RETRY_MAX_S) * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
