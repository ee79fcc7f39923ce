"""PEFT beside PyTorch and transformers: the same environment as the served test models', and one package more.

It lies in a folder of its own in that environment's, made once and then found; a process of that environment reaches it
through ``PYTHONPATH``.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.served_models import environment

REQUIREMENTS = environment.ROOT / "requirements-peft.txt"
WORKER = Path(__file__).with_name("peft_worker.py")


def packages() -> Path:
    """Return the folder that holds PEFT, made when it is absent.

    Raises:
        CannotPrepare: a package could not be installed.
    """
    environment.MODELS.python()
    place = environment.MODELS.folder / f"peft-{environment.digest(REQUIREMENTS.read_bytes())}"
    if place.is_dir():
        return place
    with environment.only_one(environment.MODELS.folder):
        if not place.is_dir():
            environment.say(f"Installing PEFT in {place}")
            made = place.with_suffix(".new")
            shutil.rmtree(made, ignore_errors=True)
            uv = Path(sys.executable).parent / "uv"
            options = ["--quiet", "--no-deps", "--require-hashes", "--python", str(environment.MODELS.python())]
            environment.run([str(uv), "pip", "install", *options, "--target", str(made), "-r", str(REQUIREMENTS)])
            made.rename(place)
    return place


def work(folder: Path, *jobs: dict[str, Any]) -> list[Any]:
    """Have PEFT do jobs in a folder, in a process of its own, and return what came of each.

    Args:
        folder: where it works.
        jobs: for functions of ``peft_worker.py``: the name in ``do``, its arguments beside it.
    """
    environ = {**os.environ, **environment.QUIET, "PYTHONPATH": str(packages()), "HF_HOME": str(folder / "hf")}
    # -P: the worker's own folder has modules named like libraries.
    command = [str(environment.MODELS.python()), "-P", str(WORKER)]
    done = subprocess.run(
        command, cwd=folder, env=environ, input=json.dumps(jobs), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found
