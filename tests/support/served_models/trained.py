"""The trained models: found in the cache, or trained there.

A model is kept under a hash of all that makes it: the training's source files and the lessons, which hold the prompts
of the project's skills. When a skill's prompt changes, the model is trained again for it.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.served_models import code_lessons, environment, vision_lessons
from support.served_models.environment import CannotPrepare, digest, only_one, run, say

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """How a model is made."""

    name: str
    trainer: str
    """Module of the training, run in the models' environment."""
    sources: tuple[str, ...]
    """Files beside this one that the training depends on."""
    lessons: Callable[[], list[dict[str, Any]]]


VISION = Recipe("tiny-vision", "train_vision", ("train_vision.py", "tiny.py", "pictures.py"), vision_lessons.lessons)
CODE = Recipe("tiny-code", "train_code", ("train_code.py", "tiny.py"), code_lessons.lessons)


def model(recipe: Recipe) -> Path:
    """Return the model's folder, which has the recipe's name; it is trained when it is absent.

    Raises:
        CannotPrepare: the environment could not be made, or the model learnt too little.
    """
    python = environment.MODELS.python()
    lessons = json.dumps(recipe.lessons(), ensure_ascii=False, indent=1)
    place = environment.MODELS.folder / digest(lessons, *((HERE / name).read_bytes() for name in recipe.sources))
    found = place / recipe.name
    if found.is_dir():
        return found
    with only_one(place):
        if not found.is_dir():
            _train(recipe, python, lessons, place)
    return found


def _train(recipe: Recipe, python: Path, lessons: str, place: Path) -> None:
    began = time.monotonic()
    say(f"Training {recipe.name} in {place}")
    source, made = place / "lessons.json", place / "unfinished"
    source.write_text(lessons)
    shutil.rmtree(made, ignore_errors=True)
    command = [str(python), "-m", f"support.served_models.{recipe.trainer}", str(source), str(made)]
    status = run(command, check=False, loud=True, environ={"PYTHONPATH": str(HERE.parents[1]), **environment.QUIET})
    if status:
        shutil.rmtree(made, ignore_errors=True)
        raise CannotPrepare(f"training {recipe.name} ended with {status}; its output is above")
    made.rename(place / recipe.name)
    say(f"  made in {time.monotonic() - began:.0f} s")
