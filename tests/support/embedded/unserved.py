"""Tries to serve models that cannot be served; prints which word of each reason was found. Runs in `EMBEDDED`.

python -m support.embedded.unserved <model> <empty folder>
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from concilium.engine.embedded.refusal import Unserved
from concilium.engine.embedded.serving import build
from concilium.engine.embedded.settings import read_settings


def _no_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()


def _only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _sliding(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"layer_types": ["sliding_attention"] * 3, "use_sliding_window": True, "sliding_window": 8}
    (folder / "config.json").write_text(json.dumps(config))


CASES: dict[str, tuple[Callable[[Path], object], tuple[str, ...], str]] = {
    "no configuration": (_no_configuration, (), "config.json"),
    "only a pickle": (_only_a_pickle, (), "model.safetensors"),
    "sliding windows": (_sliding, (), "sliding windows"),
    "too long a context": (bool, ("--context", "100000"), "lower --context"),
    "too little memory": (bool, ("--slots", "100000", "--context", "32768"), "lower --slots or --context"),
    "no CUDA": (bool, ("--device", "cuda"), "no CUDA device"),
}


def main(model: Path, home: Path) -> None:
    """Try each and print what was found."""
    found = {}
    for at, (name, (spoil, options, word)) in enumerate(CASES.items()):
        folder = home / str(at)
        shutil.copytree(model, folder)
        spoil(folder)
        needed = ["--model", str(folder), "--port", "1", "--secret-file", "x.key", "--threads", "1"]
        try:
            build(read_settings([*needed, *options]), lambda _: None, lambda _: None)
            found[name] = "served"
        except Unserved as error:
            found[name] = word if word in str(error) else str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
