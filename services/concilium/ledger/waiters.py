"""Who waits for news of a task."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(eq=False)
class News:
    """What a waiter was told last."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    seq: int = 0
    """The newest event's number, as far as this process knows."""


class Waiters:
    """Wakes coroutines of one event loop when a task they wait for has changed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[News]] = {}

    @contextlib.contextmanager
    def listen(self, task_id: str) -> Iterator[News]:
        """Register before looking, so that no change slips between looking and waiting."""
        news = News()
        self._waiting.setdefault(task_id, set()).add(news)
        try:
            yield news
        finally:
            mine = self._waiting[task_id]
            mine.discard(news)
            if not mine:
                del self._waiting[task_id]

    def wake(self, touched: Mapping[str, int]) -> None:
        """Wake everyone who waits for one of the tasks; each comes with the number of its newest event."""
        for task_id, seq in touched.items():
            for news in self._waiting.get(task_id, ()):
                news.seq = max(news.seq, seq)
                news.changed.set()

    def any(self) -> bool:
        """Whether anyone waits at all; may be asked from other threads."""
        return bool(self._waiting)
