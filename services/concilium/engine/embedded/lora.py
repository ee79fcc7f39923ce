"""LoRA adapters as an argument of the step: which stretch of its tokens each one answers for.

A forward call is made inside `Mix.of`, which names the stretches and forgets them however the call ends. Linear layers
add the product of the named adapters' matrices to those tokens alone; nothing else of an adapter is ever in the model.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.functional import linear


@dataclass(frozen=True)
class Pair:
    """The two matrices of one module, ready to be multiplied."""

    down: torch.Tensor
    """``lora_A`` transposed: ``[in, rank]``."""
    up: torch.Tensor
    """``lora_B`` transposed and scaled: ``[rank, out]``."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """A loaded adapter; it never changes, and is freed when the last row that uses it has left."""

    name: str
    root: str
    """Folder it was read from."""
    digest: str
    """SHA-256 of its files: what keys and values made with it are known by."""
    pairs: Mapping[str, Pair]
    """By module name."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory it takes."""
        return sum(pair.down.nbytes + pair.up.nbytes for pair in self.pairs.values())


@dataclass(frozen=True)
class Share:
    """The tokens of a step, from ``begin`` to before ``end``, that an adapter answers for."""

    begin: int
    end: int
    adapter: Adapter


class Mix:
    """Which adapters the forward call that is running uses."""

    def __init__(self) -> None:
        self.tokens = 0
        self.shares: tuple[Share, ...] = ()

    @contextmanager
    def of(self, tokens: int, shares: tuple[Share, ...]) -> Iterator[None]:
        """Use these adapters until the block ends, by an exception or not."""
        self.tokens, self.shares = tokens, shares
        try:
            yield
        finally:
            self.tokens, self.shares = 0, ()


class MixedLinear(torch.nn.Module):
    """A linear layer to which adapters may add."""

    def __init__(self, base: torch.nn.Linear, name: str, mix: Mix) -> None:
        super().__init__()
        self.weight = base.weight
        self.bias = base.bias
        self.name = name
        self.mix = mix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for all tokens of the step."""
        y = linear(x, self.weight, self.bias)
        if self.mix.shares:
            asked, answered = x.reshape(-1, x.shape[-1]), y.view(-1, y.shape[-1])
            if asked.shape[0] != self.mix.tokens:
                raise RuntimeError(f"{self.name} got {asked.shape[0]} tokens of {self.mix.tokens}")
            for share in self.mix.shares:
                pair = share.adapter.pairs.get(self.name)
                if pair is not None:
                    answered[share.begin : share.end].addmm_(asked[share.begin : share.end] @ pair.down, pair.up)
        return y


def wrap(model: torch.nn.Module, mix: Mix) -> dict[str, tuple[int, int]]:
    """Let adapters reach the linear layers inside the model's blocks; return each one's (out, in) by name.

    Linear layers of separate experts are left out: they see a choice of the tokens, in another order.
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers." in f".{name}" and ".experts." not in name
    }
    for name, module in found.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, MixedLinear(module, name, mix))
    return {name: (module.out_features, module.in_features) for name, module in found.items()}
