"""The language planner's prompts, one Markdown file each."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


@cache
def prompt(name: str) -> str:
    """Return the prompt of that name."""
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
