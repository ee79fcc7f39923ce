"""Writes a new agent: its manifest, its skills and its test."""

import keyword
import re
from importlib import resources
from pathlib import Path

from concilium.cli.errors import USAGE, CliError
from concilium.home import Home

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_RESERVED = frozenset({"control", "runner", "redis", "supervisor", "concilium"})
"""Names of the mesh's own processes: an agent's log and pid file are called as it is."""


def write_agent(home: Home, name: str) -> list[Path]:
    """Write ``agents/<name>/`` into the home and return its files.

    Raises:
        CliError: the name is not one, or is taken.
    """
    _check(home, name)
    folder = home.agents / name
    home.agents.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    module = name.replace("-", "_")
    files = {"agent.yaml": "agent.yaml", "skills.py": "skills.py.txt", f"test_{module}.py": "test.py.txt"}
    return [_write(folder / target, source, name, module) for target, source in files.items()]


def _check(home: Home, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise CliError(
            f"'{name}' is no name for an agent",
            "a letter, then letters, digits and dashes, all lower case, at most 31: word-count",
            code=USAGE,
        )
    if name in _RESERVED or keyword.iskeyword(name):
        raise CliError(f"the name '{name}' is taken by the mesh itself", "choose another name", code=USAGE)
    if name in home.catalog.agents:
        raise CliError(
            f"there is an agent '{name}' already, in {home.agent_folder(name)}", "choose another name", code=USAGE
        )
    if (home.agents / name).exists():
        raise CliError(f"{home.agents / name} exists already", "choose another name, or remove it", code=USAGE)


def _write(path: Path, source: str, name: str, module: str) -> Path:
    template = resources.files("concilium.cli").joinpath("templates", "agent", source).read_text(encoding="utf-8")
    path.write_text(template.replace("NAME", name).replace("MODULE", module), encoding="utf-8")
    path.chmod(0o600)
    return path
