"""The agents under contract, as started processes. What differs between them is their own ``agent.yaml``."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from concilium.contracts.skill import AgentManifest, SelfTestCase, Skill
from concilium.home import Home, shipped
from concilium.runner.endpoints import credentials
from support.agents import ROOT
from support.ports import free_port

FOREIGN = ROOT / "tests" / "support" / "foreign_agent"
NEW = "made-here"
"""The agent that ``concilium agents new`` writes."""
START_S = 120.0


def folders() -> dict[str, Path | None]:
    """Return every agent under contract with its folder; None for the one that is yet to be written."""
    shipped_ones = {path.parent.name: path.parent for path in sorted(shipped("agents").glob("*/agent.yaml"))}
    return {**shipped_ones, "caesar": FOREIGN, NEW: None}


@dataclass
class Subject:
    """A running agent service."""

    manifest: AgentManifest
    folder: Path
    home: Home
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home.root / "log").read_text(errors="replace")

    @property
    def shown(self) -> dict[str, str]:
        return credentials(self.home, self.manifest)

    @property
    def quick(self) -> SelfTestCase:
        """A case that completes at once."""
        return self._case("that completes", lambda c: not (c.slow or c.fails or c.engine))

    @property
    def slow(self) -> SelfTestCase:
        """A case that takes long enough to be canceled."""
        return self._case("that is slow", lambda c: c.slow)

    def _case(self, what: str, fits: Callable[[SelfTestCase], bool]) -> SelfTestCase:
        found = next((case for case in self.manifest.self_test if fits(case)), None)
        assert found is not None, f"the self_test of {self.manifest.name} has no case {what}"
        return found

    def skill(self, case: SelfTestCase) -> Skill:
        return next(s for s in self.manifest.skills if s.name == case.skill)

    def start(self) -> None:
        """Start the service; return when it is ready."""
        # An agent that is not made with the runtime brings its own server.
        command = (
            [str(self.folder / "server.py"), "--key-file", str(self.home.keys / f"agent-{self.manifest.name}.key")]
            if self.manifest.foreign
            else ["-m", "concilium.workers", self.manifest.name]
        )
        environ = {key: value for key, value in os.environ.items() if not key.startswith("CONCILIUM_")}
        with (self.home.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--port", str(self.port)],
                env={**environ, "CONCILIUM_HOME": str(self.home.root), "PYTHONPATH": str(ROOT / "services")},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while not self._ready():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=20)

    def children(self) -> list[psutil.Process]:
        """Return every process below the service."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def rss(self) -> int:
        """Return the resident bytes of the service and everything below it."""
        assert self.process is not None
        total = 0
        for process in (psutil.Process(self.process.pid), *self.children()):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        return False


def make_subject(name: str, root: Path) -> Subject:
    """Return an agent in a home of its own, not yet started."""
    keys = root / "keys"
    keys.mkdir(parents=True)
    folder = folders()[name]
    for key in ("mesh", *([f"agent-{name}"] if folder == FOREIGN else [])):
        (keys / f"{key}.key").write_text(f"{key}-of-the-contract\n")
    if folder is None:
        _write_new(name, root)
    elif folder == FOREIGN:
        shutil.copytree(folder, root / "agents" / name)
    home = Home(root, {})
    return Subject(home.catalog.agent(name), home.agent_folder(name), home)


def _write_new(name: str, root: Path) -> None:
    command = [str(Path(sys.executable).parent / "concilium"), "agents", "new", name]
    subprocess.run(command, env={**os.environ, "CONCILIUM_HOME": str(root)}, check=True, capture_output=True)
