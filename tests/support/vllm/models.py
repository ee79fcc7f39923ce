"""The model and the adapters that vLLM serves in the tests: those of the embedded engine, so that both say the same."""

import shutil
import tempfile
from pathlib import Path

from support.embedded.server import run_in_environment
from support.served_models.environment import digest, only_one
from support.vllm.environment import ENVIRONMENT

NAME = "tiny"
"""The model's folder, and how it is served."""
_SUPPORT = Path(__file__).resolve().parents[1]
_SOURCES = ("embedded/model.py", "embedded/words.py", "served_models/tiny.py")


def made() -> Path:
    """Return the folder with the model and its adapters, made when it is absent. Raises `CannotPrepare`."""
    place = ENVIRONMENT.folder / f"models-{digest(*((_SUPPORT / name).read_bytes() for name in _SOURCES))}"
    if place.is_dir():
        return place
    with only_one(ENVIRONMENT.folder):
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=ENVIRONMENT.folder) as work:
                shutil.move(run_in_environment("support.embedded.model", f"{work}/models"), place)
    return place
