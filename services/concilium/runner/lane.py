"""One agent's slots: what a hint leads to."""

import structlog

from concilium.contracts.errors import ConciliumError
from concilium.contracts.runner import ClaimRequest
from concilium.runner.clock import now
from concilium.runner.leases import HeldLease
from concilium.runner.limits import DEAF_S, IDLE_CLAIM_S
from concilium.runner.steps import Steps

log = structlog.get_logger(__name__)


class Lane:
    """The slots of one agent. All methods are called on the event loop, so nothing here is ever half done."""

    def __init__(self, agent: str, slots: int, steps: Steps) -> None:
        self.agent = agent
        self.slots = slots
        self.busy = 0
        self.stopping = False
        self._steps = steps
        self._again = False
        self._heard_at = now()
        self._missed_since: float | None = None
        self._alone = True

    async def hint(self) -> None:
        """Work until nothing is claimable, if a slot is free; else leave word for the slots that work.

        No wake-up is lost: a busy slot clears `_again` when it sends its next claim, not when that is answered. A hint
        that comes before the claim is sent is covered by the claim; one that comes after sets `_again`, and the slot
        claims once more before it goes idle. Between that look at `_again` and `busy` going down nothing is awaited.
        """
        self._heard_at = now()
        self._missed_since = None
        if self.stopping:
            return
        if self.busy >= self.slots:
            self._again = True
            return
        await self._work()

    async def look(self) -> bool:
        """Look for work without a hint; return whether the consumer must be deaf.

        It must be when work is found this way twice, `DEAF_S` apart, and no hint was heard since the first. Where other
        nodes serve the agent nothing follows from that: their runners hear hints of the same queue.
        """
        started = now()
        if self.stopping or self.busy >= self.slots or started - self._heard_at < IDLE_CLAIM_S:
            return False
        if not await self._work() or self._heard_at > started or not self._alone:
            return False
        log.warning("work found without a hint", agent=self.agent)
        if self._missed_since is None:
            self._missed_since = started
        return started - self._missed_since >= DEAF_S

    async def _work(self) -> int:
        """Fill one slot until nothing is claimable; return how many steps were carried out."""
        self.busy += 1
        try:
            return await self._until_dry()
        finally:
            self.busy -= 1

    async def _until_dry(self) -> int:
        count = 0
        self._again = True
        waiting: list[HeldLease] = []
        while waiting or (self._again and not self.stopping):
            if not waiting:
                waiting.extend(await self._claim())
                continue
            granted = await self._steps.carry_out(waiting.pop(0), self._wish)
            count += 1
            if granted is None:
                self._again = True
            else:
                waiting.extend(granted)
        return count

    async def _claim(self) -> tuple[HeldLease, ...]:
        """Ask for a step. Without an answer the hint is dropped: the ledger rings again."""
        asked_at = now()
        wish = self._wish()
        if wish is None:
            return ()
        try:
            leases = await self._steps.control.claim(wish)
        except ConciliumError as error:
            log.warning("claim not answered", agent=self.agent, error=error.type, detail=error.detail)
            return ()
        self._alone = all(lease.alone for lease in leases)
        return tuple(self._steps.keeper.hold(lease, asked_at) for lease in leases)

    def _wish(self) -> ClaimRequest | None:
        self._again = False
        if self.stopping:
            return None
        return ClaimRequest(agent=self.agent, node=self._steps.node, runner=self._steps.runner)
