"""The model: loaded from a folder, given our attention and linear layers, called for one packed step."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from concilium.engine.embedded.attention import NAME, Step, stretch
from concilium.engine.embedded.cache import Shape, SlotCache
from concilium.engine.embedded.lora import Mix, Share, wrap
from concilium.engine.embedded.refusal import Unserved

_CHECKED = 24
"""Tokens that both attentions are compared with."""


class Model:
    """A causal language model whose rows live in slots. Used by one thread at a time."""

    def __init__(self, net: Any, device: str) -> None:
        self._net = net
        self.device = device
        self.dtype: torch.dtype = net.dtype
        self.config = net.config
        self._mix = Mix()
        plain = self._logits_of(_sample(net.config.vocab_size))
        net.set_attn_implementation(NAME)
        self.modules = wrap(net, self._mix)
        self._check(plain)

    def shape(self, slots: int, context: int) -> Shape:
        """Return the shape of a cache for so many rows of so many tokens."""
        heads = self.config.num_attention_heads
        width = getattr(self.config, "head_dim", None) or self.config.hidden_size // heads
        kept = getattr(self.config, "num_key_value_heads", None) or heads
        return Shape(self.config.num_hidden_layers, kept, width, slots, context, self.dtype)

    def ends(self) -> list[int]:
        """Return the tokens that end an answer, as the model's generation settings name them."""
        found = self._net.generation_config.eos_token_id
        return [] if found is None else [found] if isinstance(found, int) else list(found)

    def forward(self, tokens: list[int], step: Step, shares: tuple[Share, ...], keep: list[int]) -> torch.Tensor:
        """Return the logits of the tokens at ``keep``, ``[kept, vocabulary]``.

        Args:
            tokens: of all rows, behind each other.
            step: where they stand in the cache.
            shares: which adapters answer for which of them; the others are the base model's.
            keep: positions among the tokens.
        """
        with torch.inference_mode(), self._mix.of(len(tokens), shares):
            out = self._net(
                input_ids=torch.tensor([tokens], device=self.device),
                position_ids=step.positions[None],
                use_cache=False,
                logits_to_keep=torch.tensor(keep, dtype=torch.long, device=self.device),
                step=step,
            )
        return out.logits[0]

    def _logits_of(self, tokens: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            return self._net(input_ids=torch.tensor([tokens], device=self.device), use_cache=False).logits[0]

    def _check(self, plain: torch.Tensor) -> None:
        """Compare with the model as transformers computes it: what differs has an attention that is not served here."""
        tokens = _sample(self.config.vocab_size)
        cache = SlotCache(self.shape(1, len(tokens)), self.device)
        at = torch.arange(len(tokens), device=self.device)
        step = Step(cache, torch.zeros_like(at), at, None, (stretch(0, len(tokens), 0, 0, self.device),))
        ours = self.forward(tokens, step, (), list(range(len(tokens))))
        error = (ours - plain).abs().max().item()
        allowed = 1e-3 if self.dtype == torch.float32 else 0.1
        if not error <= allowed * max(1.0, plain.abs().max().item()):
            raise Unserved(f"{self.config.model_type}: our attention differs from the model's own by {error:.3g}")


def _sample(vocabulary: int) -> list[int]:
    maker = torch.Generator().manual_seed(0)
    return torch.randint(vocabulary, (_CHECKED,), generator=maker).tolist()


def load_model(folder: Path, device: str, dtype: str, told: Callable[[float], None]) -> Model:
    """Return the model in a folder.

    Args:
        folder: as ``save_pretrained`` writes it, in safetensors.
        device: of PyTorch.
        dtype: of PyTorch, or ``auto``: float32 on a CPU, else what the weights are in.
        told: called with the share of the weights that is loaded, from 0 to 1.

    Raises:
        Unserved: there is no such model, or its attention is not served.
    """
    if not (folder / "config.json").is_file():
        raise Unserved(f"{folder} holds no model: there is no config.json")
    wanted = (torch.float32 if device == "cpu" else "auto") if dtype == "auto" else getattr(torch, dtype)
    before = transformers_logging.set_tqdm_hook(lambda _, args, kwargs: _Progress(told, *args, **kwargs))
    try:
        net = AutoModelForCausalLM.from_pretrained(
            folder, dtype=wanted, attn_implementation="sdpa", local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise Unserved(f"{folder}: {error}") from error
    finally:
        transformers_logging.set_tqdm_hook(before)
    config = net.config
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        raise Unserved(f"{config.model_type}: sliding windows and linear attention are not served")
    return Model(net.to(device).eval().requires_grad_(requires_grad=False), device)


class _Progress:
    """Stands where transformers would show a progress bar."""

    def __init__(self, told: Callable[[float], None], items: Any = None, *_: Any, **settings: Any) -> None:
        self._told = told
        self._items = items
        self._total = settings.get("total") or (len(items) if hasattr(items, "__len__") else math.inf)
        self.n = 0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Any:
        for item in self._items:
            yield item
            self.update()

    def update(self, count: int = 1) -> None:
        """Count what was loaded."""
        self.n += count
        self._told(min(1.0, self.n / self._total))

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None
