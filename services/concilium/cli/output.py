"""What the command prints: tables and colour on a terminal, plain lines in a pipe, JSON when asked."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from concilium.contracts.base import JSON, utc_now

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)

_CONTROLS = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)], "\ufffd")
STATE_STYLE = {
    "completed": "green",
    "running": "green",
    "failed": "red",
    "stopped": "red",
    "rejected": "red",
    "canceled": "yellow",
    "input-required": "magenta",
    "working": "cyan",
    "starting": "cyan",
    "restarting": "yellow",
}


def print_json(value: JSON) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def plain(text: str) -> str:
    """Return text of strangers with controls shown as �: a terminal would obey them. Line ends and tabs stay."""
    return text.translate(_CONTROLS)


def line(text: str = "", style: str | None = None) -> None:
    """Print a line of plain text (never markup) to standard output."""
    stdout.print(escape(plain(text)), style=style)


def note(text: str, style: str | None = None) -> None:
    """Print a line of plain text to standard error, where it stays out of a pipe."""
    stderr.print(escape(plain(text)), style=style)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Print rows as a table; in a pipe, as lines with tabs between the fields and no header."""
    found = [tuple(map(plain, row)) for row in rows]
    if not stdout.is_terminal:
        for row in found:
            sys.stdout.write("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row) + "\n")
        return
    if not found:
        note(empty)
        return
    grid = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in found:
        grid.add_row(*(f"[{STATE_STYLE[cell]}]{cell}[/]" if cell in STATE_STYLE else escape(cell) for cell in row))
    stdout.print(grid, soft_wrap=False)


def duration(seconds: float | None) -> str:
    """Return a duration for people: ``0.4 s``, ``2 min 5 s``, ``3 h 2 min``; empty for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: float | None) -> str:
    """Return bytes for people, in binary units; empty for None."""
    if count is None:
        return ""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def ago(moment: datetime) -> str:
    """Return how long ago a moment was."""
    return f"{duration(max(0.0, (utc_now() - moment).total_seconds()))} ago"


def first_line(text: str, width: int = 60) -> str:
    """Return the first line of a text, cut to a width."""
    head = text.strip().splitlines()[0] if text.strip() else "(no text)"
    return head if len(head) <= width else head[: width - 1] + "…"
