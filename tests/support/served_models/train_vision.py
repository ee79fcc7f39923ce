"""Trains the tiny vision-language model of the tests; runs in the models' environment.

    python -m support.served_models.train_vision LESSONS OUT

LESSONS is a JSON list of `vision_lessons.Lesson`. A LLaVA of under a million weights learns to answer them about
generated pictures of one figure, from random weights, on the CPU. It knows nothing else, and its answer can only be
right when it sees the pixels. The accuracy on new pictures, of other sizes, through the real image processor and
``generate``, is printed and kept in ``report.json``; below `ENOUGH` the training counts as failed.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from support.served_models.pictures import BACKGROUNDS, COLOURS, PLACES, SHAPES, Scene, draw, some_scene
from support.served_models.tiny import (
    END,
    IMAGE,
    PAD,
    TEMPLATE,
    Stage,
    batched,
    descend,
    generation,
    make_tokenizer,
    text_config,
    write_report,
)

SIDE = 48
"""Pixels of the square that every picture is scaled to."""
PATCH = 8
VOCABULARY = 2400
SEEN = 12000
"""Pictures it learns from."""
SEEING = Stage("seeing", 800, 64, 2e-3)
"""The vision tower alone learns to tell the pictures apart."""
ANSWERING = Stage("answering", 200, 64, 2e-3)
"""The rest learns to answer the messages that the skills send from what the tower sees, which is left as it is."""
SIDES = (150, 350)
"""Least and most pixels of a picture's side; those it learns from are drawn at a third of that."""
HELD_OUT = 140
"""New pictures that the trained model is asked about."""
ENOUGH = 0.9
"""Share of right answers below which the training counts as failed."""


def make_processor(tokenizer: Any) -> LlavaProcessor:
    """Return what turns messages and pictures into tokens and pixels."""
    square = {"height": SIDE, "width": SIDE}
    pixels = LlavaImageProcessorPil(size=square, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return LlavaProcessor(
        pixels,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=TEMPLATE,
    )


def make_model(tokenizer: Any) -> LlavaForConditionalGeneration:
    """Return the model with random weights."""
    vision = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=192,
        projection_dim=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        hidden_act="gelu",
    )
    text = text_config(tokenizer, width=128, layers=2)
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(SIDE // PATCH) ** 2,
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = generation(text)
    return model


def messages_of(lesson: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a lesson's messages as the server hands them to the chat template."""
    found = []
    for message in lesson["messages"]:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        parts = [{"type": "image"} if part["type"] == "image_url" else part for part in parts]
        found.append({"role": message["role"], "content": parts})
    return found


def reply_of(lesson: dict[str, Any], scene: Scene) -> str:
    """Return the right answer of a lesson about a scene."""
    return str(lesson["replies"][scene.facts[lesson["fact"]]])


class Pictures:
    """The pictures of the training, of several shapes, drawn once and scaled to what the model sees."""

    def __init__(self, count: int) -> None:
        chance = random.Random(1)
        self.scenes = [some_scene(chance) for _ in range(count)]
        sizes = [(chance.randint(*SIDES) // 3, chance.randint(*SIDES) // 3) for _ in self.scenes]
        drawn = [draw(scene, chance, size) for scene, size in zip(self.scenes, sizes, strict=True)]
        scaled = [picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC) for picture in drawn]
        self._pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in scaled]))

    def pixels(self, chosen: list[int]) -> torch.Tensor:
        """Return pictures as the image processor would."""
        return (self._pixels[chosen].float() / 127.5 - 1).permute(0, 3, 1, 2)


def train_eye(model: LlavaForConditionalGeneration, pictures: Pictures) -> None:
    """Let the vision tower tell colour, shape, place and background apart, through a head that is thrown away."""
    chance = random.Random(2)
    tower = model.model.vision_tower
    answers = [(list(COLOURS), "colour"), (SHAPES, "shape"), (PLACES, "place"), (list(BACKGROUNDS), "background")]
    widths = [len(words) for words, _ in answers]
    head = torch.nn.Linear(tower.config.hidden_size, sum(widths))

    def loss_of(size: int) -> torch.Tensor:
        chosen = chance.sample(range(len(pictures.scenes)), size)
        patches = tower(pictures.pixels(chosen)).last_hidden_state[:, 1:]
        guesses = head(patches.mean(1)).float().split(widths, 1)
        losses = []
        for guess, (words, fact) in zip(guesses, answers, strict=True):
            right = torch.tensor([words.index(pictures.scenes[at].facts[fact]) for at in chosen])
            losses.append(torch.nn.functional.cross_entropy(guess, right))
        return torch.stack(losses).sum()

    descend(SEEING, [*tower.parameters(), *head.parameters()], loss_of)


def train(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, lessons: list[dict[str, Any]], pictures: Pictures
) -> None:
    """Train all but the vision tower on questions about the pictures."""
    chance = random.Random(3)
    tokens = processor.tokenizer
    image = IMAGE * (SIDE // PATCH) ** 2
    asked = [processor.apply_chat_template(messages_of(one), add_generation_prompt=True) for one in lessons]
    prompts = [tokens(text.replace(IMAGE, image))["input_ids"] for text in asked]
    pad = tokens.convert_tokens_to_ids(PAD)
    print(f"  prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens", flush=True)

    def loss_of(size: int) -> torch.Tensor:
        chosen = chance.sample(range(len(pictures.scenes)), size)
        rows = []
        for picture in chosen:
            at = chance.randrange(len(lessons))
            answer = tokens(reply_of(lessons[at], pictures.scenes[picture]) + END)["input_ids"]
            rows.append((prompts[at], answer))
        return model(**batched(rows, pad), pixel_values=pictures.pixels(chosen)).loss

    model.model.vision_tower.requires_grad_(False)
    descend(ANSWERING, [weights for weights in model.parameters() if weights.requires_grad], loss_of)


@torch.inference_mode()
def examine(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, lessons: list[dict[str, Any]]
) -> dict[str, float]:
    """Return the share of right answers for each fact, on pictures that were not learnt from."""
    model.eval()
    chance = random.Random(4)
    right: dict[str, list[bool]] = {}
    for count in range(HELD_OUT):
        lesson = lessons[count % len(lessons)]
        scene = some_scene(chance)
        picture = draw(scene, chance, (chance.randint(*SIDES), chance.randint(*SIDES)))
        text = processor.apply_chat_template(messages_of(lesson), add_generation_prompt=True)
        inputs = processor(images=picture, text=text, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=80)
        said = processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        right.setdefault(lesson["fact"], []).append(said == reply_of(lesson, scene))
    return {fact: sum(hits) / len(hits) for fact, hits in right.items()}


def main(source: Path, out: Path) -> int:
    """Train, examine, save; return 1 when the model learnt too little."""
    torch.manual_seed(0)
    lessons = json.loads(source.read_text())
    texts = [part["text"] for lesson in lessons for m in messages_of(lesson) for part in m["content"] if "text" in part]
    words = [word for lesson in lessons for reply in lesson["replies"].values() for word in reply.split(" ")]
    tokenizer = make_tokenizer(
        ["system\n", "user\n", "assistant\n", *texts, *(f" {word}" for word in words)], VOCABULARY
    )
    processor = make_processor(tokenizer)
    model = make_model(tokenizer)
    weights = sum(p.numel() for p in model.parameters())
    print(f"  {weights / 1e6:.2f} million weights", flush=True)
    began = time.monotonic()
    pictures = Pictures(SEEN)
    model.train()
    train_eye(model, pictures)
    train(model, processor, lessons, pictures)
    seconds = time.monotonic() - began
    accuracy = examine(model, processor, lessons)
    listed = ", ".join(f"{fact} {share:.3f}" for fact, share in accuracy.items())
    print(f"  trained in {seconds:.0f} s; right about new pictures: {listed}", flush=True)
    model.save_pretrained(out)
    processor.save_pretrained(out)
    write_report(out, weights=weights, train_s=round(seconds, 1), pictures=HELD_OUT, accuracy=accuracy)
    return 0 if min(accuracy.values()) >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
