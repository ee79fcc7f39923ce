"""Who waits for news of a task."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator


class Waiters:
    """Wakes coroutines of one event loop when a task they wait for has changed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @contextlib.contextmanager
    def listen(self, task_id: str) -> Iterator[asyncio.Event]:
        """Register before looking, so that no change slips between looking and waiting."""
        news = asyncio.Event()
        self._waiting.setdefault(task_id, set()).add(news)
        try:
            yield news
        finally:
            mine = self._waiting[task_id]
            mine.discard(news)
            if not mine:
                del self._waiting[task_id]

    def wake(self, task_ids: Iterable[str]) -> None:
        """Wake everyone who waits for one of the tasks."""
        for task_id in task_ids:
            for news in self._waiting.get(task_id, ()):
                news.set()

    def any(self) -> bool:
        """Whether anyone waits at all; may be asked from other threads."""
        return bool(self._waiting)
