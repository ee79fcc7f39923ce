"""A mesh as its owner has it: a home and the ``concilium`` command."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from concilium.cli import pidfile

CONCILIUM = str(Path(sys.executable).parent / "concilium")
COMMAND_S = 120


@dataclass
class Mesh:
    """A home and the way to its command."""

    home: Path
    environ: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [CONCILIUM, *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout_s: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def status(self) -> dict[str, dict[str, object]]:
        """Each process's status by name."""
        return {entry["name"]: entry for entry in json.loads(self.run("status", "--json").stdout)["processes"]}

    def kill_all(self) -> None:
        """Kill every process of the mesh and all they started, as a power loss would; wait until they are gone."""
        recorded = [pidfile.living(path) for path in (self.home / "run").glob("*.pid")]
        family = [one for process in recorded if process for one in (process, *pidfile.descendants(process.pid))]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()  # none sees another one end
        pidfile.signal_all(family, force=True)
        psutil.wait_procs(family, timeout=COMMAND_S)

    def kill(self, name: str) -> None:
        """Kill one of the mesh's processes, as a crash would."""
        os.kill(int((self.home / "run" / f"{name}.pid").read_text().split()[0]), signal.SIGKILL)
