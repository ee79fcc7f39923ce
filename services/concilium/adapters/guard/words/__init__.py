"""The guard's word lists: files of sections, each a heading in brackets and entries between blanks."""

from functools import cache
from importlib.resources import files

from concilium.adapters.guard.letters import fold


@cache
def sections(name: str) -> dict[str, tuple[str, ...]]:
    """Return the sections of a list, entries folded. ``#`` begins a line that is not read."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            current += fold(line).split()
    return {section: tuple(entries) for section, entries in found.items()}
