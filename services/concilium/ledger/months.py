"""Months as the ledger counts money by them: calendar months in UTC, written ``2026-11``."""

from datetime import UTC, datetime

from concilium.ledger.codec import at


def month_of(seconds: float) -> str:
    """Return the month of a stored time."""
    return at(seconds).strftime("%Y-%m")


def first_of(month: str) -> datetime:
    """Return the beginning of a month. Raises `ValueError` when the text names none."""
    return datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)


def after(month: str) -> datetime:
    """Return the beginning of the month that follows."""
    first = first_of(month)
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
