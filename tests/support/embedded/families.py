"""Serves tiny random models of several families; prints what became of each. Runs in the environment `EMBEDDED`."""

import json
from typing import Any

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from concilium.engine.embedded.model import Model
from concilium.engine.embedded.refusal import Unserved

SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "attn_implementation": "eager",
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


def main() -> None:
    """Try each; print the linear layers that adapters may change in the first block, or why it is not served."""
    torch.manual_seed(0)
    nets = {
        "llama": LlamaForCausalLM(LlamaConfig(**SHAPE)),
        "qwen2": Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
        "qwen3_moe": Qwen3MoeForCausalLM(Qwen3MoeConfig(**SHAPE, **EXPERTS)),
        "gemma2": Gemma2ForCausalLM(Gemma2Config(**SHAPE, attn_logit_softcapping=0.01)),
    }
    found: dict[str, Any] = {}
    for name, net in nets.items():
        try:
            modules = Model(net.eval().requires_grad_(requires_grad=False), "cpu").modules
            found[name] = sorted(module.rpartition(".")[2] for module in modules if ".layers.0." in module)
        except Unserved:
            found[name] = "not served"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
