"""Durable events are few: at most two progress events a second for each attempt."""

import time
from collections.abc import Iterable

from concilium.contracts.runner import ProgressNote

EVERY_S = 0.5
_KNOWN_MAX = 4096


class Pace:
    """Lets the newest note of an attempt pass when its last one is `EVERY_S` old."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str, int], float] = {}

    def due(self, notes: Iterable[ProgressNote]) -> tuple[ProgressNote, ...]:
        """Return the notes to store: for each attempt its newest, or none while it is too early."""
        now = time.monotonic()
        if len(self._stored) > _KNOWN_MAX:
            self._stored = {key: at for key, at in self._stored.items() if now - at < EVERY_S}
        newest = {(note.held.task_id, note.held.step, note.held.attempt): note for note in notes}
        due = {key: note for key, note in newest.items() if now - self._stored.get(key, 0.0) >= EVERY_S}
        self._stored.update(dict.fromkeys(due, now))
        return tuple(due.values())
