"""Makes the served test model, its adapters' shapes and what it says; runs in the environment `EMBEDDED`.

    python -m support.embedded.model <folder>

A tiny Qwen3 with random weights, and ``expected.json``: what transformers' own ``generate`` answers greedily, and the
log-probabilities it gives, for the base model and for one whose weights an adapter was merged into.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, Qwen3ForCausalLM

from support.embedded.words import ADAPTERS, GENERATED, PROMPTS, WORDS
from support.served_models.tiny import generation, make_tokenizer, text_config

WIDTH, LAYERS = 64, 3
TARGETS = ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")


def main(folder: Path) -> None:
    """Write the model, the adapters and the expected answers."""
    torch.manual_seed(7)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer(WORDS, 400)
    config = text_config(tokenizer, WIDTH, LAYERS)
    config.tie_word_embeddings = False  # a random model with tied ones repeats its last token
    config.head_dim = 32  # the least that vLLM's kernels for CPUs know
    model = Qwen3ForCausalLM(config).eval()
    _speak_up(model, tokenizer)
    model.generation_config = generation(config)
    model.save_pretrained(folder / "tiny")
    tokenizer.save_pretrained(folder / "tiny")
    for at, (name, settings) in enumerate(ADAPTERS.items()):
        _adapter(model, folder / name, settings, at)
    expected = {"": _answers(model, tokenizer)}
    for name, settings in ADAPTERS.items():
        expected[name] = _answers(_merged(folder, name, settings), tokenizer)
    (folder / "expected.json").write_text(json.dumps(expected))


def _speak_up(model: PreTrainedModel, tokenizer: Any) -> None:
    """Let the likeliest token stand out, and be text: half of a character is never the likeliest."""
    broken = [token for token in range(len(tokenizer)) if "\ufffd" in tokenizer.decode([token])]
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(10)
        model.lm_head.weight.mul_(10)
        model.lm_head.weight[[*broken, *range(4)]] = 0  # the special tokens come first


def _adapter(model: PreTrainedModel, folder: Path, settings: dict[str, Any], seed: int) -> None:
    """Write a random adapter in PEFT's layout."""
    chance = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in model.named_modules():
        if name.endswith(TARGETS):
            wide, deep, rank = module.out_features, module.in_features, settings["r"]
            tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(rank, deep, generator=chance) / deep**0.5
            tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(wide, rank, generator=chance) / wide**0.5
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    targets = sorted({target.rpartition(".")[2] for target in TARGETS})
    config = {"peft_type": "LORA", "target_modules": targets, "bias": "none", "task_type": "CAUSAL_LM", **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def _merged(folder: Path, name: str, settings: dict[str, Any]) -> PreTrainedModel:
    """Return the model with an adapter added to its weights."""
    model = Qwen3ForCausalLM.from_pretrained(folder / "tiny").eval()
    tensors = load_file(folder / name / "adapter_model.safetensors")
    scale = settings["lora_alpha"] / (settings["r"] ** 0.5 if settings.get("use_rslora") else settings["r"])
    for key in tensors:
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            weight = model.get_submodule(stem.removeprefix("base_model.model.")).weight
            with torch.no_grad():
                weight += scale * tensors[f"{stem}.lora_B.weight"] @ tensors[key]
    return model


def _answers(model: PreTrainedModel, tokenizer: Any) -> list[dict[str, Any]]:
    """Return the greedy answer to each prompt, and the log-probabilities of the prompt and the answer."""
    found = []
    for prompt in PROMPTS:
        tokens = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.inference_mode():
            out = model.generate(tokens, max_new_tokens=GENERATED, do_sample=False, eos_token_id=None)
            lines = model(out).logits[0].log_softmax(-1)
        logprobs = lines[:-1].gather(1, out[0, 1:, None])[:, 0].tolist()
        new = out[0, tokens.shape[1] :]
        text = tokenizer.decode(new)
        same = tokenizer(prompt + text).input_ids == out[0].tolist()
        found.append({"prompt": tokens[0].tolist(), "text": text, "same_tokens": same, "logprobs": logprobs})
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    print(json.dumps(sys.argv[1]))
