"""The shape of a decoder-only transformer, as its ``config.json`` states it (Qwen3, Qwen3-MoE and their like).

Per layer there are grouped-query attention without biases (projections q, k, v, o, and a norm for each of q and k
heads), a gated feed-forward network of three matrices or as many as there are experts of those, and two norms; with
experts also the router ``mlp.gate``. Around the layers are an embedding, an output head (the same matrix when tied) and
a last norm.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from concilium.contracts.errors import Invalid

_Size = Field(gt=0, le=10**9)


class ModelShape(BaseModel):
    """The members of ``config.json`` that decide how large a model is; all others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hidden_size: int = _Size
    num_hidden_layers: int = _Size
    num_attention_heads: int = _Size
    num_key_value_heads: int = _Size
    head_dim: int = _Size
    vocab_size: int = _Size
    intermediate_size: int = Field(default=0, ge=0, le=10**9)
    """Width of the feed-forward network of a model without experts."""
    moe_intermediate_size: int = Field(default=0, ge=0, le=10**9)
    """Width of one expert."""
    num_experts: int = Field(default=0, ge=0, le=10**6)
    num_experts_per_tok: int = Field(default=0, ge=0, le=10**6)
    tie_word_embeddings: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "ModelShape":
        if self.num_experts and not (self.moe_intermediate_size and self.num_experts_per_tok):
            raise ValueError("a model with experts needs moe_intermediate_size and num_experts_per_tok")
        if not self.num_experts and not self.intermediate_size:
            raise ValueError("intermediate_size or num_experts is needed")
        if self.num_experts_per_tok > self.num_experts:
            raise ValueError("num_experts_per_tok is more than num_experts")
        return self

    @property
    def _attention(self) -> int:
        """Parameters of one layer's projections q, k, v and o."""
        return sum(rows * columns for rows, columns in self.attention_matrices)

    @property
    def attention_matrices(self) -> tuple[tuple[int, int], ...]:
        """Input and output width of one layer's q, k, v and o."""
        hidden, queries = self.hidden_size, self.num_attention_heads * self.head_dim
        keys = self.num_key_value_heads * self.head_dim
        return ((hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden))

    @property
    def expert_matrices(self) -> tuple[tuple[int, int], ...]:
        """Input and output width of one expert's gate, up and down; without experts of the one network."""
        hidden, width = self.hidden_size, self.moe_intermediate_size if self.num_experts else self.intermediate_size
        return ((hidden, width), (hidden, width), (width, hidden))

    @property
    def expert(self) -> int:
        """Parameters of one expert in one layer."""
        return sum(rows * columns for rows, columns in self.expert_matrices)

    @property
    def embedding(self) -> int:
        """Parameters of the embedding matrix."""
        return self.vocab_size * self.hidden_size

    @property
    def embeddings(self) -> int:
        """Parameters of embedding and output head; one matrix when tied."""
        return self.embedding * (1 if self.tie_word_embeddings else 2)

    @property
    def small(self) -> int:
        """Parameters of norms and routers, which are not quantised: of all layers, and the last norm."""
        norms = 2 * self.hidden_size + 2 * self.head_dim
        return self.num_hidden_layers * (norms + self.hidden_size * self.num_experts) + self.hidden_size

    @property
    def parameters(self) -> int:
        """All parameters: ``embeddings + small + layers x (attention + experts x expert)``."""
        return self.active(self.num_experts)

    def active(self, experts: int | None = None) -> int:
        """Return the parameters that one token passes through.

        ``embeddings + small + layers x (attention + k x expert)``: only the k chosen experts compute, although all of
        them are loaded.

        Args:
            experts: k; the configuration's own when absent. Of no meaning without experts.
        """
        chosen = (self.num_experts_per_tok if experts is None else experts) if self.num_experts else 1
        return self.embeddings + self.small + self.num_hidden_layers * (self._attention + chosen * self.expert)


QWEN3_30B_A3B = ModelShape(
    hidden_size=2048,
    num_hidden_layers=48,
    num_attention_heads=32,
    num_key_value_heads=4,
    head_dim=128,
    vocab_size=151_936,
    moe_intermediate_size=768,
    num_experts=128,
    num_experts_per_tok=8,
)
"""From the model's published ``config.json``."""


def read_shape(path: Path) -> ModelShape:
    """Return the shape in a ``config.json``. Raises `Invalid` naming what is missing or wrong."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not JSON: {error}") from error
    try:
        return ModelShape.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()]
        raise Invalid(f"{path}: " + "; ".join(lines)) from error
