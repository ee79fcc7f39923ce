"""What answers say of canaries, brought to the ledger every second."""

import asyncio
import logging
from collections.abc import Callable

from concilium.adapters.canary.sequential import judge
from concilium.adapters.canary.share import gets_canary
from concilium.adapters.canary.watch import Seen, Watch
from concilium.adapters.registry.registry import Registry
from concilium.contracts.adapter_life import Counts, Line
from concilium.contracts.adapters import Verdict
from concilium.contracts.errors import NotFound, Unavailable

_log = logging.getLogger(__name__)
EVERY_S = 1.0


class Observer:
    """Counts answers and has canaries judged; used from one event loop."""

    def __init__(self, registry: Registry, rolled_back: Callable[[], None]) -> None:
        """Use a registry; ``rolled_back`` is called when a canary was a regression."""
        self._registry = registry
        self._rolled_back = rolled_back
        self._watches: dict[str, Watch] = {}

    def saw(self, line: Line | None, digest: str, answer: Seen) -> None:
        """Count an answer of a context that was given what its draw says: others would say nothing of chance.

        Args:
            line: of the answer's route.
            digest: of the version that answered.
            answer: how it went.
        """
        if line is None or line.canary is None:
            return
        if gets_canary(line, answer.context) == (digest == line.canary.digest):
            self._watches.setdefault(line.id, Watch()).saw(line, answer)

    async def run(self) -> None:
        """Bring counts to the ledger until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Bring what was counted to the ledger; what it cannot take now is kept for the next time."""
        for adapter, watch in list(self._watches.items()):
            generation, counts = watch.take()
            if counts == Counts():
                continue
            try:
                found = await self._registry.observe(adapter, generation, counts, judge)
            except Unavailable:
                watch.give_back(generation, counts)
                continue
            except NotFound:
                found = None
            if found is None:
                del self._watches[adapter]
            elif found.verdict is Verdict.FAIL:
                del self._watches[adapter]
                _log.warning("canary rolled back", extra={"adapter": adapter, "reason": found.reason})
                self._rolled_back()
