"""Where pulled weights lie: one folder for each repository, complete when its receipt is in it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from concilium.contracts.base import Model

RECEIPT = ".pulled.json"


class Receipt(Model):
    """What a folder was filled with; written last."""

    source: str
    commit: str = ""
    files: Mapping[str, str]
    """SHA-256 by name."""


def folder(home: Path, repository: str) -> Path:
    """Return the folder of a repository below ``models/`` of a home, whether it is there or not."""
    return home / "models" / repository.replace("/", "--")


def receipt(place: Path) -> Receipt | None:
    """Return the receipt of a folder; None when it was never filled to the end."""
    try:
        return Receipt.model_validate_json((place / RECEIPT).read_bytes())
    except (OSError, ValidationError):
        return None


def pulled(home: Path, repository: str) -> Path | None:
    """Return the folder of a repository that was pulled whole; None when it was not."""
    place = folder(home, repository)
    return place if receipt(place) else None
