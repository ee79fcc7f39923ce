"""The model and the adapters that vLLM serves in the tests: those of the embedded engine, so that both say the same."""

import shutil
import tempfile
from pathlib import Path

from support.embedded.server import make_models
from support.served_models.environment import digest, only_one
from support.vllm.environment import ENVIRONMENT

SUPPORT = Path(__file__).resolve().parents[1]
_SOURCES = ("embedded/model.py", "embedded/words.py", "served_models/tiny.py")
NAME = "tiny"
"""The model's folder, and how it is served."""


def made() -> Path:
    """Return the folder with the model and its adapters, made when it is absent. Raises `CannotPrepare`."""
    sources = [(SUPPORT / name).read_bytes() for name in _SOURCES]
    place = ENVIRONMENT.folder / f"models-{digest(*sources)}"
    if place.is_dir():
        return place
    with only_one(ENVIRONMENT.folder):
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=ENVIRONMENT.folder) as work:
                shutil.move(make_models(Path(work) / "models"), place)
    return place
