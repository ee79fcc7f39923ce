"""What both test models are made of: a tokenizer of their own, a chat template, a training loop, a report."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config

IMAGE, START, END, PAD = "<image>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CONTEXT = 32768
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IGNORED = -100
"""The label of a token that is not learnt."""


@dataclass(frozen=True)
class Stage:
    """A part of a training: steps, examples a step, and the highest rate."""

    name: str
    steps: int
    size: int
    rate: float


def make_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on the texts.

    Words are not kept apart: what is always said the same way (a system message) becomes a few long tokens, which
    makes the training many times faster; any other text is still written with shorter ones, down to bytes.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [PAD, START, END, IMAGE]
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=PAD, model_max_length=CONTEXT, chat_template=TEMPLATE
    )


def text_config(tokenizer: PreTrainedTokenizerFast, width: int, layers: int) -> Qwen3Config:
    """Return the shape of a small Qwen3."""
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.04,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
        bos_token_id=None,
    )


def generation(config: Qwen3Config) -> GenerationConfig:
    """Return how the model answers unless it is told otherwise."""
    return GenerationConfig(eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, do_sample=False)


def batched(rows: Sequence[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Return prompts and their answers as tensors; only the answers are learnt."""
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    rest = [longest - len(prompt) - len(answer) for prompt, answer in rows]
    labels = [[IGNORED] * len(prompt) + answer for prompt, answer in rows]
    return {
        "input_ids": torch.tensor([p + a + [pad] * n for (p, a), n in zip(rows, rest, strict=True)]),
        "attention_mask": torch.tensor([[1] * (longest - n) + [0] * n for n in rest]),
        "labels": torch.tensor([row + [IGNORED] * n for row, n in zip(labels, rest, strict=True)]),
    }


def descend(stage: Stage, weights: list[torch.nn.Parameter], loss_of: Callable[[int], torch.Tensor]) -> None:
    """Lower a loss through the steps of a stage; a progress line now and then."""
    # The matrices are small: a second thread, or bfloat16, costs more than it brings, and two trainings run at once.
    torch.set_num_threads(1)
    optimiser = torch.optim.AdamW(weights, lr=stage.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, stage.rate, total_steps=stage.steps, pct_start=0.15)
    began = time.monotonic()
    for step in range(1, stage.steps + 1):
        loss = loss_of(stage.size)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == stage.steps:
            spent = time.monotonic() - began
            print(f"  {stage.name}: step {step}/{stage.steps}, loss {loss.item():.3f}, {spent:.0f} s", flush=True)


def write_report(out: Path, **facts: Any) -> None:
    """Keep what was measured beside the model."""
    (out / "report.json").write_text(json.dumps(facts, indent=1) + "\n")
