"""Keys and values of all rows: one slot of fixed length for each, allocated once, so that the server never grows.

A slot is a stretch of one large tensor per layer and a row's tokens stand in it from its beginning. The rows at work
hold the first slots, so that a step reads them as a view: nothing is gathered or copied. On a CPU, blocks gathered by a
table cost five times the attention itself (ADR 0008). A row that leaves swaps its slot with the last one's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Shape:
    """What a cache has room for."""

    layers: int
    heads: int
    """Of keys and values."""
    width: int
    """Of one head."""
    slots: int
    context: int
    """Tokens of one slot."""
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of memory it takes."""
        return 2 * self.layers * self.heads * self.width * self.slots * self.context * self.dtype.itemsize


class SlotCache:
    """Keys and values, ``[slot, head, position, width]`` for each layer."""

    def __init__(self, shape: Shape, device: str) -> None:
        self.shape = shape
        size = (shape.slots, shape.heads, shape.context, shape.width)
        # Zeros, because a masked position still counts as 0 x its value, and that must be a number.
        self.keys = [torch.zeros(size, dtype=shape.dtype, device=device) for _ in range(shape.layers)]
        self.values = [torch.zeros(size, dtype=shape.dtype, device=device) for _ in range(shape.layers)]

    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first positions of two slots."""
        for store in (*self.keys, *self.values):
            kept = store[one, :, :length].clone()
            store[one, :, :length] = store[other, :, :length]
            store[other, :, :length] = kept

    def copy(self, source: int, target: int, length: int) -> None:
        """Put the first positions of one slot into another."""
        for store in (*self.keys, *self.values):
            store[target, :, :length] = store[source, :, :length]

    def clear(self, slot: int, begin: int, end: int) -> None:
        """Forget the positions of a slot from one to before another."""
        for store in (*self.keys, *self.values):
            store[slot, :, begin:end] = 0


@dataclass
class Parked:
    """What is left in a slot: whose keys and values, and of which tokens."""

    key: str
    """Digest of the adapter; empty: the base model."""
    tokens: Sequence[int]
    dirty: int
    """Positions that may hold anything but zeros."""
    stamp: int
    """Higher: used later."""

    def common(self, key: str, prompt: Sequence[int]) -> int:
        """Return how many tokens of a prompt are here already; the last one is computed anyway."""
        if key != self.key or not prompt:
            return 0
        pairs = enumerate(zip(self.tokens, prompt[:-1], strict=False))
        most = min(len(self.tokens), len(prompt) - 1)
        return next((at for at, (kept, asked) in pairs if kept != asked), most)
