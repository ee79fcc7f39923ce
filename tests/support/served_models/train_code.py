"""Trains the tiny text model of the tests; runs in the models' environment.

    python -m support.served_models.train_code LESSONS OUT

LESSONS is a JSON list of `code_lessons.Lesson`. A Qwen3 of about a million weights learns them by heart, from random
weights, on the CPU: it is a real model behind a real server, and it can do nothing else. How many answers are right,
by ``generate`` at temperature 0 on the lessons held back from the training, is printed and kept in ``report.json``;
below `ENOUGH` the training counts as failed.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3ForCausalLM

from support.served_models.tiny import (
    END,
    PAD,
    Stage,
    batched,
    descend,
    generation,
    make_tokenizer,
    text_config,
    write_report,
)

VOCABULARY = 1600
BY_HEART = Stage("learning by heart", 300, 8, 2e-3)
LONG, LONG_SHARE = 250, 0.2
"""Tokens of a long lesson, and how many batches are of those."""
ENOUGH = 0.9
"""Share of right answers below which the training counts as failed."""


def prompt_of(tokenizer: Any, lesson: dict[str, Any]) -> list[int]:
    """Return a conversation up to the answer, as the server makes it."""
    text = tokenizer.apply_chat_template(lesson["messages"], add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text)["input_ids"])


def train(model: Qwen3ForCausalLM, tokenizer: Any, lessons: list[dict[str, Any]]) -> None:
    """Train the model on the answers."""
    chance = random.Random(1)
    rows = [(prompt_of(tokenizer, one), tokenizer(one["reply"] + END)["input_ids"]) for one in lessons]
    kinds: dict[str, list[int]] = {}
    for at, lesson in enumerate(lessons):
        kinds.setdefault(lesson["kind"], []).append(at)
    pad = tokenizer.convert_tokens_to_ids(PAD)
    lengths = {kind: max(len(rows[at][0]) + len(rows[at][1]) for at in found) for kind, found in kinds.items()}
    print(f"  {len(rows)} lessons of up to {max(lengths.values())} tokens", flush=True)
    short = [kind for kind, length in lengths.items() if length < LONG]
    long = [kind for kind, length in lengths.items() if length >= LONG]

    def loss_of(size: int) -> torch.Tensor:
        # Each kind as often as the others, however many ways of asking it has; short ones and long ones apart, because
        # all of a batch are made as long as its longest.
        among = long if long and chance.random() < LONG_SHARE else short
        chosen = [chance.choice(kinds[chance.choice(among)]) for _ in range(size)]
        return model(**batched([rows[at] for at in chosen], pad)).loss

    descend(BY_HEART, list(model.parameters()), loss_of)


@torch.inference_mode()
def examine(model: Qwen3ForCausalLM, tokenizer: Any, lessons: list[dict[str, Any]]) -> float:
    """Return the share of right answers."""
    model.eval()
    right = 0
    for lesson in lessons:
        prompt = torch.tensor([prompt_of(tokenizer, lesson)])
        output = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=600)
        said = tokenizer.decode(output[0, prompt.shape[1] :], skip_special_tokens=True)
        right += said == lesson["reply"]
        if said != lesson["reply"]:
            print(f"  wrong about {lesson['kind']}: {said[:200]!r}", flush=True)
    return right / len(lessons)


def main(source: Path, out: Path) -> int:
    """Train, examine, save; return 1 when the model learnt too little."""
    torch.manual_seed(0)
    lessons = json.loads(source.read_text())
    learnt = [lesson for lesson in lessons if not lesson["held_out"]]
    texts = {m["content"] for lesson in learnt for m in lesson["messages"]} | {lesson["reply"] for lesson in learnt}
    tokenizer = make_tokenizer(["system\n", "user\n", "assistant\n", *sorted(texts)], VOCABULARY)
    config = text_config(tokenizer, width=128, layers=3)
    model = Qwen3ForCausalLM(config)
    model.generation_config = generation(config)
    weights = sum(p.numel() for p in model.parameters())
    print(f"  {weights / 1e6:.2f} million weights", flush=True)
    began = time.monotonic()
    model.train()
    train(model, tokenizer, learnt)
    seconds = time.monotonic() - began
    held = [lesson for lesson in lessons if lesson["held_out"]]
    accuracy = examine(model, tokenizer, held)
    print(f"  trained in {seconds:.0f} s; right answers to {len(held)} new wordings: {accuracy:.3f}", flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_report(out, weights=weights, train_s=round(seconds, 1), held_out=len(held), accuracy=accuracy)
    return 0 if accuracy >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
