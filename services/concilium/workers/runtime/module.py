"""An agent's Python module: an import path, or a file in the owner's folder of the agent."""

import importlib
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

from concilium.contracts.errors import Invalid
from concilium.contracts.skill import AgentManifest

_PACKAGE = "concilium_agent_"
"""What an agent's folder is called as a package: no installed module can have a file of the folder in its place."""


def load_module(manifest: AgentManifest, folder: Path) -> ModuleType:
    """Import the module that a manifest names.

    ``skills.py`` is that file in ``folder``; it may import its neighbours with ``from . import …``. Everything else is
    an import path.

    Raises:
        Invalid: the manifest names none, the file is not there, or somebody else could have written it.
    """
    name = manifest.module
    if not name:
        raise Invalid(f"agent '{manifest.name}' has no module: it runs elsewhere")
    if not name.endswith(".py"):
        return importlib.import_module(name)
    if not name.removesuffix(".py").isidentifier():
        raise Invalid(f"module '{name}' of agent '{manifest.name}' is not a file name of a Python module")
    folder = folder.resolve()
    if not (folder / name).is_file():
        raise Invalid(f"agent '{manifest.name}' has no file {folder / name}")
    for path in (folder.parent, folder, *folder.rglob("*")):
        if path.is_dir() or path.suffix in {".py", ".pyc", ".so"}:
            _check_private(path)
    return _import(_PACKAGE + manifest.name.replace("-", "_"), folder, name.removesuffix(".py"))


def _import(package: str, folder: Path, name: str) -> ModuleType:
    holder = ModuleType(package)
    holder.__path__ = [str(folder)]
    sys.modules[package] = holder
    # Another agent's folder may have been this package before, in a test.
    for loaded in [module for module in sys.modules if module.startswith(package + ".")]:
        del sys.modules[loaded]
    return importlib.import_module(f"{package}.{name}")


def _check_private(path: Path) -> None:
    """Raise `Invalid` when an account other than this one and root could have written what is about to be run."""
    found = path.stat()
    if found.st_mode & stat.S_IWOTH:
        raise Invalid(f"{path} can be written by everybody: its code is not run; chmod o-w {path}")
    if found.st_uid not in {0, os.geteuid()}:
        raise Invalid(f"{path} belongs to another account: its code is not run")
