"""Money: decimals on the wire and in files, whole micro-units of one currency inside.

A micro-unit is a millionth of the currency's unit, so that the price of one token or of one second is exact and sums
never drift. ISO 4217 names the currencies.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from concilium.contracts.base import JSON

UNIT = 1_000_000
"""Micro-units in one unit of the currency."""


def _number(value: JSON) -> JSON:
    """Refuse true and false, which are whole numbers to Python."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic takes ValueError
    return value


Money = Annotated[Decimal, BeforeValidator(_number), Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)]
"""An amount or a price: not negative, finite, at most nine digits before the point and six after it."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""A currency's code by ISO 4217."""


def to_micros(amount: Decimal) -> int:
    """Return an amount in micro-units; exact for every `Money`."""
    return int((amount * UNIT).to_integral_exact())


def from_micros(micros: int) -> Decimal:
    """Return micro-units as an amount with six decimals."""
    return Decimal(micros).scaleb(-6)


def divided(dividend: int, divisor: int) -> int:
    """Return the nearest whole number to a quotient of two non-negative ones; a half goes up."""
    return (2 * dividend + divisor) // (2 * divisor)
