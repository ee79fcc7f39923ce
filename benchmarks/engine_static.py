"""The part of `benchmarks.engine_embedded` that runs in the environment of the embedded engine.

    python -m benchmarks.engine_static model <folder>
    python -m benchmarks.engine_static generate <model> <threads> <tokens> <streams> [<streams> …]

The first makes a model and four adapters; the second prints tokens/s of transformers' ``generate`` for one batch of so
many prompts, as JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, Qwen3ForCausalLM

from support.served_models.tiny import make_tokenizer, text_config

WIDTH, LAYERS, RANK = 384, 8, 16
ROUNDS = 3
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make(folder: Path) -> None:
    """Write a small Qwen3 that never ends by itself, and four adapters for all its linear layers."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(["the quick brown fox jumps over the lazy dog"], 2048)
    config = text_config(tokenizer, WIDTH, LAYERS)
    model = Qwen3ForCausalLM(config)
    tokenizer.eos_token = None
    config.eos_token_id = None
    model.generation_config = GenerationConfig(pad_token_id=config.pad_token_id, do_sample=False)
    model.save_pretrained(folder / "bench")
    tokenizer.save_pretrained(folder / "bench")
    for at in range(4):
        _adapter(model, folder / f"adapter-{at}")
    print(json.dumps({"weights": sum(each.numel() for each in model.parameters())}))


def _adapter(model: Any, folder: Path) -> None:
    tensors = {}
    for name, module in model.named_modules():
        if name.endswith(TARGETS):
            wide, deep = module.weight.shape
            tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(RANK, deep) * 0.02
            tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(wide, RANK) * 0.02
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": list(TARGETS), "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def generate(folder: Path, threads: int, tokens: int, streams: list[int]) -> None:
    """Print the best tokens/s of some rounds for each number of prompts."""
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = {}
    for count in streams:
        chats = [[{"role": "user", "content": prompt_of(at)}] for at in range(count)]
        texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
        best = 0.0
        for _ in range(ROUNDS + 1):  # the first warms up
            began = time.perf_counter()
            with torch.inference_mode():
                out = model.generate(**batch, max_new_tokens=tokens, do_sample=False)
            spent = time.perf_counter() - began
            assert out.shape[1] == batch.input_ids.shape[1] + tokens
            best = max(best, count * tokens / spent)
        found[count] = best
    print(json.dumps(found))


def prompt_of(at: int) -> str:
    """Return the text of a stream's prompt."""
    return f"stream {at}: the quick brown fox jumps over the lazy dog"


if __name__ == "__main__":
    if sys.argv[1] == "model":
        make(Path(sys.argv[2]))
    else:
        generate(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), [int(each) for each in sys.argv[5:]])
