"""The sandbox's code at a place of its own, for a Python that has nothing else of ours."""

import shutil
from pathlib import Path

from concilium.workers import code, runtime

RUNTIME = Path("concilium/workers/runtime")


def copy_sandbox(folder: Path) -> None:
    """Copy the sandbox, importable as ``sandbox``, and what it takes from the runtime into a folder."""
    own = Path(code.__file__).parent / "sandbox"
    shutil.copytree(own, folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / RUNTIME).mkdir(parents=True)
    shutil.copy(Path(runtime.__file__).parent / "process.py", folder / RUNTIME)
