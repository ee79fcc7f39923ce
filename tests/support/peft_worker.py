"""Runs in the environment of the test models, with PEFT: makes base models and adapters, and computes logits.

Reads a list of jobs as JSON and prints the list of their results. Imports nothing of Concilium.
"""

import json
import sys
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from peft import LoraConfig, PeftModel, get_peft_model

IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3]])
SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def base(folder: str, experts: bool = False) -> None:
    """Make a base model with random weights."""
    torch.manual_seed(0)
    kinds = (
        (Qwen3MoeForCausalLM, Qwen3MoeConfig, SIZES | EXPERTS) if experts else (Qwen3ForCausalLM, Qwen3Config, SIZES)
    )
    kinds[0](kinds[1](**kinds[2])).save_pretrained(folder)


def adapter(base: str, folder: str, config: dict[str, Any], seed: int) -> None:
    """Make an adapter with random factors, as if it was trained."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    options = {"init_lora_weights": False, "task_type": "CAUSAL_LM"} | config
    get_peft_model(model, LoraConfig(**options)).save_pretrained(folder)


def logits(base: str, adapters: list[str]) -> list[Any]:
    """Return the logits with adapters, all of them at once, in float32."""
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    for place, folder in enumerate(adapters):
        if place == 0:
            model = PeftModel.from_pretrained(model, folder, adapter_name="0")
        else:
            model.load_adapter(folder, adapter_name=str(place))
    if len(adapters) > 1:
        model.base_model.set_adapter([str(place) for place in range(len(adapters))])
    with torch.no_grad():
        return list(model(IDS).logits[0].tolist())


def main() -> None:
    """Do the jobs."""
    known = {"base": base, "adapter": adapter, "logits": logits}
    results = [known[job.pop("do")](**job) for job in json.load(sys.stdin)]
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    main()
