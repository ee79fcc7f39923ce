"""Page selections as people write them: ``1-20, 25, 30-``."""

import re

from concilium.workers.document import limits
from concilium.workers.document.found import Unreadable

_RANGE = re.compile(r"\s*(\d{1,7})?\s*([-–—])?\s*(\d{1,7})?\s*", re.ASCII)


def selected(wanted: str, count: int) -> list[int]:
    """Return the page numbers of a selection, rising, from 1; all of them when it is empty.

    Args:
        wanted: numbers and ranges with commas between them; a range may lack its start or its end.
        count: how many pages there are.

    Raises:
        Unreadable: ``invalid-pages`` (cannot be understood) or ``no-such-pages`` (none of them is there).
    """
    if not wanted.strip():
        return list(range(1, count + 1))
    numbers: set[int] = set()
    for item in wanted.split(","):
        first, last = _bounds(item, count)
        numbers.update(range(max(1, first), min(count, last) + 1))
    if not numbers:
        raise Unreadable("no-such-pages", f"the document has {count} pages; '{wanted[:100]}' names none of them")
    return sorted(numbers)


def chosen(wanted: str, count: int) -> tuple[list[int], list[str]]:
    """Return the pages that one run reads, and a note naming those it leaves for the next. Raises as `selected`."""
    numbers = selected(wanted, count)
    if len(numbers) <= limits.PAGES:
        return numbers, []
    rest = written(numbers[limits.PAGES :])
    return numbers[: limits.PAGES], [f"one run reads {limits.PAGES} pages; ask for the others with pages={rest}"]


def written(numbers: list[int]) -> str:
    """Return rising page numbers as a selection: ``1-3,7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _bounds(item: str, count: int) -> tuple[int, int]:
    match = _RANGE.fullmatch(item)
    if match is None or not (match[1] or match[3]):
        raise Unreadable("invalid-pages", f"'{item.strip()[:100]}' is no page range; write pages as in 1-20,25")
    first = int(match[1]) if match[1] else 1
    if match[2] is None:
        return first, first
    last = int(match[3]) if match[3] else count
    if first > last and match[3]:
        raise Unreadable("invalid-pages", f"'{item.strip()[:100]}' ends before it begins")
    return first, last
