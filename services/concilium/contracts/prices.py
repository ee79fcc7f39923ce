"""What nodes and engines cost: ``configs/prices.yaml`` as a model, and the arithmetic of a run's cost.

A run on a node costs ``price an hour x hours / slots``: a node that works on several runs at once shares its price
among them. A monthly price is shared likewise, by the hours of the month the run ended in; it is paid whether the node
works or not, so this share is told apart from the money a run causes.
"""

from calendar import monthrange
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

import yaml
from pydantic import Field, ValidationError

from concilium.contracts.base import JSON, Model
from concilium.contracts.errors import Invalid
from concilium.contracts.money import Currency, Money, divided, to_micros

EngineName = Literal["engine", "vision_engine", "speech_engine"]
"""A section of ``mesh.yaml`` that names an engine."""

TOKENS_MAX = 10**9
"""More than any one run can ask for; keeps every cost within 63 bits, whatever an agent says."""

_HOUR_MS = 3_600_000
_MILLION = 1_000_000


class EngineUse(Model):
    """What was asked of one engine: tokens in and out; for speech, characters in."""

    engine: EngineName
    input_tokens: int = Field(default=0, ge=0, le=TOKENS_MAX)
    output_tokens: int = Field(default=0, ge=0, le=TOKENS_MAX)
    uncounted: int = Field(default=0, ge=0, le=10**6)
    """Answers without the figures of OpenAI's ``usage``."""


class Spent(NamedTuple):
    """What something costs, in micro-units."""

    caused: int
    """Money that would not be owed without it."""
    share: int = 0
    """Its share of a monthly price that is owed anyway."""

    @property
    def total(self) -> int:
        return self.caused + self.share


class NodePrice(Model):
    """What a node costs; the kinds add up."""

    per_hour: Money = Decimal(0)
    """For each hour that it works."""
    per_month: Money = Decimal(0)
    """For each month, whether it works or not."""
    watts: int = Field(default=0, ge=0, le=1_000_000)
    """What it draws more while it works, priced by `Prices.electricity_per_kwh`."""
    slots: int = Field(default=1, ge=1, le=256)
    """How many runs it works on at once; each pays that part of the price."""


class EnginePrice(Model):
    """What a million tokens cost; for speech, a million characters of text (``input_per_million``)."""

    input_per_million: Money = Decimal(0)
    output_per_million: Money = Decimal(0)

    def cost(self, use: EngineUse) -> Spent:
        """Return what the tokens cost."""
        owed = (
            to_micros(self.input_per_million) * use.input_tokens
            + to_micros(self.output_per_million) * use.output_tokens
        )
        return Spent(divided(owed, _MILLION))


class Prices(Model):
    """Every price, in one currency."""

    currency: Currency = "USD"
    electricity_per_kwh: Money = Decimal(0)
    nodes: Mapping[str, NodePrice] = Field(default_factory=dict)
    engines: Mapping[EngineName, EnginePrice] = Field(default_factory=dict)

    def run(self, node: str, seconds: float, at: datetime, invited: NodePrice | None = None) -> Spent | None:
        """Return what a run on a node costs; None when the node has no price.

        Args:
            node: the node's name.
            seconds: how long it took; counted in whole milliseconds.
            at: when it ended, in UTC.
            invited: the price the node was invited at, which counts when this file does not name the node.
        """
        price = self.nodes.get(node, invited)
        if price is None:
            return None
        ms = round(seconds * 1000)
        hourly = 1000 * to_micros(price.per_hour) + price.watts * to_micros(self.electricity_per_kwh)
        month_ms = 24 * _HOUR_MS * monthrange(at.year, at.month)[1] * price.slots
        return Spent(
            caused=divided(hourly * ms, 1000 * _HOUR_MS * price.slots),
            share=divided(to_micros(price.per_month) * ms, month_ms),
        )

    def engine(self, use: EngineUse) -> Spent | None:
        """Return what an engine's tokens cost; None when it has no price."""
        price = self.engines.get(use.engine)
        return None if price is None else price.cost(use)

    @property
    def monthly(self) -> dict[str, int]:
        """The monthly price of each node that has one, in micro-units."""
        return {name: to_micros(node.per_month) for name, node in self.nodes.items() if node.per_month}


def parse_prices(text: str, name: str = "prices.yaml") -> Prices:
    """Return the prices of a YAML text.

    Raises:
        Invalid: the YAML is broken, a member is unknown, or a price is negative, not finite or too fine; all are named.
    """
    try:
        data: JSON = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Invalid(f"{name} is not YAML: {error}") from error
    try:
        return Prices.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()]
        raise Invalid(f"{name}: " + "; ".join(lines)) from error
