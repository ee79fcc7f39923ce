"""``costs estimate``: what a model needs and what offers by the hour cost a month, computed from figures alone."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from concilium import capacity
from concilium.cli.errors import USAGE, CliError
from concilium.cli.output import note, print_json, table
from concilium.cli.session import AsJson

_COMPARED = (10, 16)
"""Numbers of experts a token shown beside a model's own, where it has that many."""


def estimate(
    *,
    config: Annotated[Path | None, typer.Option(help="A model's config.json; absent: Qwen3-30B-A3B.")] = None,
    tokens: Annotated[int, typer.Option(min=1, max=10**9, help="Tokens of context.")] = 90_000,
    experts: Annotated[list[int] | None, typer.Option(min=1, help="Experts a token; repeatable.")] = None,
    rank: Annotated[int, typer.Option(min=1, max=65_536, help="Rank of a LoRA.")] = 16,
    bandwidth: Annotated[float, typer.Option(min=1, help="The card's memory bandwidth, GB/s.")] = 1792.0,
    pages: Annotated[int, typer.Option(min=1, max=10**9, help="Pages of an archive with vectors.")] = 1_000_000,
    per_hour: Annotated[list[str] | None, typer.Option(help="A price an hour, for its month; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute what a model needs and what offers by the hour cost a month. Nothing is loaded or asked."""
    shape = capacity.QWEN3_30B_A3B if config is None else capacity.read_shape(config)
    chosen = _experts(shape, experts or [])
    found = capacity.estimate(shape, tokens=tokens, experts=chosen, rank=rank, bandwidth_gbs=bandwidth)
    months = {price: capacity.month_cost(_price(price)) for price in per_hour or ()}
    archive = capacity.archive_bytes(pages)
    if as_json:
        offers = {price: str(cost) for price, cost in months.items()}
        print_json(found.model_dump(mode="json") | {"pages": pages, "archive": archive, "month": offers})
        return
    rows = [*_model(found), (f"archive of {pages:,} pages, with vectors", _gb(archive))]
    rows += [(f"{price} an hour, {capacity.HOURS_A_MONTH} h", f"{cost:.0f} a month") for price, cost in months.items()]
    table(("figure", ""), rows, empty="")
    note("Computed, not measured; docs/costs.md has the formulae.")


def _experts(shape: capacity.ModelShape, wanted: list[int]) -> tuple[int, ...]:
    """Return the numbers of experts a token to show. Raises `CliError` for more than the model has."""
    if not shape.num_experts:
        return (1,)
    if wanted and max(wanted) > shape.num_experts:
        raise CliError(f"the model has {shape.num_experts} experts, not {max(wanted)}", code=USAGE)
    usual = (shape.num_experts_per_tok, *(count for count in _COMPARED if count <= shape.num_experts))
    return tuple(dict.fromkeys(wanted or usual))


def _price(text: str) -> Decimal:
    try:
        price = Decimal(text)
    except ArithmeticError as error:
        raise CliError(f"'{text}' is not a price", code=USAGE) from error
    if not (price.is_finite() and price >= 0):
        raise CliError(f"'{text}' is not a price", "prices are finite and not negative", code=USAGE)
    return price


def _model(found: capacity.Estimate) -> Iterator[tuple[str, str]]:
    yield "parameters", f"{found.parameters / 1e9:.2f} billion"
    yield "weights in bf16", _gb(found.bf16)
    yield "weights in int8", _gb(found.int8)
    yield "weights in int4", _gb(found.int4)
    yield "KV cache a token", f"{found.kv_a_token / 1024:g} KiB"
    yield f"KV cache of {found.tokens:,} tokens", _gb(found.kv)
    for count, active in found.active.items():
        most = f"at most {found.decode_ceiling[count]:.0f} tokens/s a stream in bf16"
        yield f"active at {count} experts a token", f"{active / 1e9:.2f} billion, {most}"
    yield f"LoRA r={found.lora_rank} on attention", f"{found.lora_attention / 1e6:.0f} MB"
    yield f"LoRA r={found.lora_rank} on all experts", _gb(found.lora_experts)


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
