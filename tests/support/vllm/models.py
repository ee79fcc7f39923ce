"""The model and the adapters that vLLM serves in the tests: those of the embedded engine, so that both say the same."""

import shutil
import tempfile
from pathlib import Path

from support.embedded import model, words
from support.embedded.server import make_models
from support.served_models import tiny
from support.served_models.environment import digest, only_one
from support.vllm.environment import ENVIRONMENT

NAME = "tiny"
"""The model's folder, and how it is served."""


def made() -> Path:
    """Return the folder with the model and its adapters, made when it is absent. Raises `CannotPrepare`."""
    sources = (Path(str(it.__file__)).read_bytes() for it in (model, words, tiny))
    place = ENVIRONMENT.folder / f"models-{digest(*sources)}"
    if place.is_dir():
        return place
    with only_one(ENVIRONMENT.folder):
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=ENVIRONMENT.folder) as work:
                shutil.move(make_models(Path(work) / "models"), place)
    return place
