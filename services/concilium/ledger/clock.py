"""The ledger's clock: wall time, the database's when it is shared, and a watch for jumps."""

import time

JUMP_S = 2.0
"""Wall and monotonic clock may drift apart by this much between two looks before it counts as a jump."""


class Clock:
    """Reads wall time plus an offset to the database's clock."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._wall, self._steady = self._read()

    @staticmethod
    def _read() -> tuple[float, float]:
        return time.time(), time.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time() + self._offset_s

    def follow(self, database_now: float) -> None:
        """Adopt the clock of a database that several processes share."""
        self._offset_s = database_now - time.time()

    def jumped(self) -> bool:
        """Whether wall and monotonic time disagree since the last call: a set clock or a suspended machine."""
        wall, steady = self._read()
        drift = (wall - self._wall) - (steady - self._steady)
        self._wall, self._steady = wall, steady
        return abs(drift) > JUMP_S
