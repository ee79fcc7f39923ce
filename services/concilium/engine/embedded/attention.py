"""Attention over the slots of the cache, as a function that transformers' models call.

All tokens of a step stand behind each other in one sequence. The keyword argument ``step`` of the model's ``forward``
reaches every attention layer: it says in which slot and at which position each token stands. Rows that bring one token
are computed together; those that bring more (a prompt) one by one.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from concilium.engine.embedded.cache import SlotCache
from concilium.engine.embedded.refusal import Unserved

NAME = "concilium_slots"
_UNSERVED = ("sliding_window", "softcap", "s_aux")
"""What models tell their attention beside the tokens and would change its result."""


@dataclass(frozen=True)
class Singles:
    """Rows with one token."""

    at: torch.Tensor
    """Where their tokens stand in the sequence, in the order of their slots."""
    slots: torch.Tensor
    span: int
    """Slots that are read: the highest and one."""
    length: int
    """Positions that are read."""
    mask: torch.Tensor
    """``[span, 1, 1, length]``: which positions a slot's token sees."""


@dataclass(frozen=True)
class Stretch:
    """A row with several tokens."""

    begin: int
    end: int
    """In the sequence."""
    slot: int
    length: int
    """Positions of the slot after this step."""
    mask: torch.Tensor | None
    """``[tokens, length]``; None: the row begins here, each token sees those before it."""


@dataclass(frozen=True)
class Step:
    """Where the tokens of one step stand."""

    cache: SlotCache
    slots: torch.Tensor
    positions: torch.Tensor
    singles: Singles | None
    stretches: tuple[Stretch, ...]


def singles(at: list[int], slots: list[int], lengths: list[int], device: str) -> Singles:
    """Return rows with one token, given by slot in rising order; lengths count that token."""
    span, length = slots[-1] + 1, max(lengths)
    # A slot in between whose row brings several tokens is read and thrown away: it must see something.
    seen = torch.ones(span, dtype=torch.long)
    seen[slots] = torch.tensor(lengths)
    mask = (torch.arange(length) < seen[:, None])[:, None, None, :]
    return Singles(torch.tensor(at, device=device), torch.tensor(slots, device=device), span, length, mask.to(device))


def stretch(begin: int, count: int, slot: int, done: int, device: str) -> Stretch:
    """Return a row that brings ``count`` tokens after ``done`` that are in the cache."""
    mask = None
    if done:
        mask = torch.ones(count, done + count, dtype=torch.bool, device=device).tril(done)
    return Stretch(begin, begin + count, slot, done + count, mask)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    *,
    step: Step,
    scaling: float,
    **told: Any,
) -> tuple[torch.Tensor, None]:
    """Store the tokens' keys and values and return what each token attends to, ``[1, tokens, heads, width]``.

    Raises:
        Unserved: the model wants more than full causal attention.
    """
    for name in _UNSERVED:
        if told.get(name) is not None:
            raise Unserved(f"attention with {name} is not served")
    keys, values = step.cache.keys[module.layer_idx], step.cache.values[module.layer_idx]
    keys[step.slots, :, step.positions] = key[0].transpose(0, 1)
    values[step.slots, :, step.positions] = value[0].transpose(0, 1)
    out = query.new_empty(query.shape[2], query.shape[1], query.shape[3])
    if step.singles is not None:
        out[step.singles.at] = _attend_singles(query[0], keys, values, step.singles, scaling)
    for row in step.stretches:
        found = scaled_dot_product_attention(
            query[:, :, row.begin : row.end],
            keys[row.slot : row.slot + 1, :, : row.length],
            values[row.slot : row.slot + 1, :, : row.length],
            attn_mask=row.mask,
            is_causal=row.mask is None,
            scale=scaling,
            enable_gqa=True,
        )
        out[row.begin : row.end] = found[0].transpose(0, 1)
    return out[None], None


def _attend_singles(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, rows: Singles, scaling: float
) -> torch.Tensor:
    """Return ``[rows, heads, width]``: heads that share keys are taken as so many queries, so no key is copied."""
    heads, _, width = query.shape
    asked = query[:, rows.at].transpose(0, 1)
    holes = rows.span != len(rows.slots)
    if holes:
        spread = asked.new_zeros(rows.span, heads, width)
        spread[rows.slots] = asked
        asked = spread
    found = scaled_dot_product_attention(
        asked.reshape(rows.span, keys.shape[1], -1, width),
        keys[: rows.span, :, : rows.length],
        values[: rows.span, :, : rows.length],
        attn_mask=rows.mask,
        scale=scaling,
    ).reshape(rows.span, heads, width)
    return found[rows.slots] if holes else found


AttentionInterface.register(NAME, attend)
