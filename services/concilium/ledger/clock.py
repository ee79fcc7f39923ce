"""The ledger's clock: wall time, the database's when it is shared, and a watch for jumps."""

import time

JUMP_S = 2.0
"""Wall and monotonic clock may drift apart by this much between two looks before it counts as a jump."""
UNSURE_S = 0.25
"""A reading of the database's clock that took longer says too little: the process or the database stood still."""


class Clock:
    """Reads wall time plus an offset to the database's clock."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._following = False
        self._wall, self._steady = self._read()

    @staticmethod
    def _read() -> tuple[float, float]:
        return time.time(), time.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time() + self._offset_s

    def follow(self, asked: float, database_now: float, answered: float) -> None:
        """Adopt the clock of a database that several processes share.

        The database read its clock between ``asked`` and ``answered`` (this process's wall clock), so the offset is
        taken to the middle and is wrong by at most half the time between (F. Cristian, Probabilistic clock
        synchronization, 1989). Beside a reading that took long the offset known before is the better one.
        """
        if self._following and not 0.0 <= answered - asked <= UNSURE_S:
            return
        self._offset_s = database_now - (asked + answered) / 2
        self._following = True

    def jumped(self) -> bool:
        """Whether wall and monotonic time disagree since the last call: a set clock or a suspended machine."""
        wall, steady = self._read()
        drift = (wall - self._wall) - (steady - self._steady)
        self._wall, self._steady = wall, steady
        return abs(drift) > JUMP_S
