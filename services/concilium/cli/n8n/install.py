"""n8n from its lock file: packages checked by hash, install scripts off but for the few that compile what n8n needs."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from concilium.cli.errors import CliError
from concilium.cli.n8n.cache import cache_folder, made_once, run_watched
from concilium.cli.n8n.node import Node, node_for
from concilium.home import shipped


@dataclass(frozen=True)
class Installed:
    """An n8n that can be started."""

    version: str
    node: str
    """Path of the Node.js that runs it."""
    program: str
    """Path of n8n's own start script."""

    @property
    def whole(self) -> bool:
        """Whether both are still there: a cache may be emptied at any time."""
        return Path(self.node).is_file() and Path(self.program).is_file()

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def versions() -> dict[str, Path]:
    """Return the supported versions, the oldest first, each with the folder of its lock file."""
    folders = [path.parent for path in (shipped("infra") / "n8n").glob("*/package-lock.json")]
    return {path.name: path for path in sorted(folders, key=lambda path: [int(n) for n in path.name.split(".")])}


def install(version: str) -> Installed:
    """Return n8n of a supported version, installed when it is not yet (minutes, and 2 GB of disk).

    Raises:
        CliError: the version is not supported, there is no fitting Node.js, or npm failed.
    """
    known = versions()
    if version not in known:
        raise CliError(f"n8n {version} is not supported", f"n8n.version may be {' or '.join(known)}", code=2)
    source = known[version]
    wish = json.loads((source / "package.json").read_bytes())["concilium"]
    node = node_for(wish["node"])
    lock = (source / "package-lock.json").read_bytes()
    place = cache_folder(f"n8n-{version}", (source / "package.json").read_bytes(), lock, node.abi.encode())
    with made_once(place) as absent:
        if absent:
            _make(place, source, node, wish["build"])
    program = place / "node_modules" / "n8n" / "bin" / "n8n"
    return Installed(version, str(node.program), str(program))


def _make(place: Path, source: Path, node: Node, build: list[str]) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(source / name, place / name)
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    log = place / "log"
    # Peer dependencies of n8n's language-model packages contradict each other; the lock says what is taken.
    get = (*node.npm, "ci", "--legacy-peer-deps", "--ignore-scripts", *quiet)
    run_watched(get, log, f"installing n8n {source.name} for Node {node.version}", node.environ, cwd=place)
    compile_them = (*node.npm, "rebuild", *quiet, *build)
    run_watched(compile_them, log, f"building {' and '.join(build)} for n8n {source.name}", node.environ, cwd=place)
