"""Progress notes of all runs, sent in batches at most every 250 ms; only the newest of each run counts."""

import asyncio

import structlog

from concilium.contracts.errors import ConciliumError
from concilium.contracts.limits import PROGRESS_EVERY_S
from concilium.contracts.runner import ProgressNote, ProgressRequest
from concilium.runner.control import ControlPlane
from concilium.runner.leases import HeldLease

log = structlog.get_logger(__name__)

BATCH_MAX = 256


class ProgressPost:
    """Collects notes and posts them. All methods are called on the event loop."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._notes: dict[HeldLease, ProgressNote] = {}
        self._noted = asyncio.Event()

    def note(self, held: HeldLease, fraction: float | None, message: str) -> None:
        """Take a note."""
        self._notes[held] = ProgressNote(held=held.held, fraction=fraction, message=message)
        self._noted.set()

    def forget(self, held: HeldLease) -> None:
        """Drop what was not sent of a run that is over."""
        self._notes.pop(held, None)

    async def run(self) -> None:
        """Post until cancelled. Notes that cannot be posted are dropped: newer ones follow."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            batch = [self._notes.pop(held) for held in list(self._notes)[:BATCH_MAX]]
            if self._notes:
                self._noted.set()
            if batch:
                try:
                    await self._control.progress(ProgressRequest(notes=tuple(batch)))
                except ConciliumError as error:
                    log.info("progress not posted", error=error.type, notes=len(batch))
                await asyncio.sleep(PROGRESS_EVERY_S)
