"""Hosts: made for one test run, gone after it, whatever happens to the run.

Everything carries the run's process id in its name, so what a killed run left is known by the next one, and removed.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from support.agents import ROOT

PREFIX = "chost"
_NAME = re.compile(rf"^{PREFIX}-(\d+)-\d+")
_NAMESPACES = Path("/run/netns")
_END_S = 10.0
_numbers = itertools.count(1)
"""Of the hosts of this process; an address holds 62."""


def why_not() -> str:
    """Return why hosts cannot be made here, empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces are made as root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    missing = [name for name in ("ip", "ss", "iptables", "setpriv") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=_END_S)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def _namespaces() -> dict[str, int]:
    """Return our namespaces by name, with the process that made each."""
    names = [path.name for path in _NAMESPACES.glob(f"{PREFIX}-*")]
    return {name: int(found[1]) for name in names if (found := _NAME.match(name))}


def _remove(name: str) -> None:
    """End what runs in a namespace, and the namespace."""
    running = [psutil.Process(int(pid)) for pid in _ip("netns", "pids", name).split() if psutil.pid_exists(int(pid))]
    for process in running:
        process.kill()
    psutil.wait_procs(running, timeout=_END_S)
    _ip("netns", "delete", name)


def remove_left_behind() -> None:
    """Remove the hosts of runs that are over."""
    for name, pid in _namespaces().items():
        if not psutil.pid_exists(pid):
            _remove(name)


@dataclass
class Host:
    """A machine with one wire to home, which is the namespace the tests run in."""

    name: str
    address: str
    """Of the host, as home reaches it."""
    home_address: str
    """Of home, as the host reaches it."""
    _wire: "subprocess.Popen[str]"
    _processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def wire(self, *, delay_s: float = 0.0, loss: float = 0.0, cut: bool = False) -> None:
        """Change how the wire treats packets from now on; return when it does."""
        assert self._wire.stdin is not None
        assert self._wire.stdout is not None
        self._wire.stdin.write(json.dumps({"delay_s": delay_s, "loss": loss, "cut": cut}) + "\n")
        self._wire.stdin.flush()
        assert self._wire.stdout.readline() == "done\n"

    def forget_connections(self) -> None:
        """Refuse what still comes on the connections that are open now, as a host does that was started again."""
        open_now = self.run("ss", "-Htn", "state", "established").stdout.splitlines()
        for line in open_now:
            here, there = (end.rpartition(":")[2] for end in line.split()[2:4])
            this = ("-p", "tcp", "--dport", here, "--sport", there)
            refuse = (*this, "-j", "REJECT", "--reject-with", "tcp-reset")
            done = self.run("iptables", "-A", "INPUT", *refuse)
            assert done.returncode == 0, done.stderr

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs a program on this host, and ends it with the test run."""
        return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.name, *arguments]

    def start(self, *arguments: str, environ: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a program on this host."""
        process = subprocess.Popen(self.command(*arguments), env=dict(environ), stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def run(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a program on this host to its end."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False, **options)

    def close(self) -> None:
        """End everything on it and its wire."""
        _remove(self.name)
        for process in self._processes:
            process.wait(timeout=_END_S)
        self._wire.communicate(timeout=_END_S)


class Hosts:
    """The hosts of one test run."""

    def __init__(self) -> None:
        remove_left_behind()
        self._made: list[Host] = []

    def make(self) -> Host:
        """Return a new host whose wire is fast and whole."""
        number, run = next(_numbers), os.getpid()
        name = f"{PREFIX}-{run}-{number}"
        here, there = f"ch{run % 10**7}h{number}", f"ch{run % 10**7}n{number}"
        home_address, address = f"10.213.{run % 250}.{4 * number + 1}", f"10.213.{run % 250}.{4 * number + 2}"
        _ip("netns", "add", name)
        wire = _wire(here, there, name)
        _ip("address", "add", f"{home_address}/30", "dev", here)
        _ip("link", "set", here, "up", "txqueuelen", "5000")
        _ip("-n", name, "address", "add", f"{address}/30", "dev", there)
        _ip("-n", name, "link", "set", there, "up", "txqueuelen", "5000")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "route", "add", "default", "dev", there)
        host = Host(name, address, home_address, wire)
        self._made.append(host)
        return host

    def close(self) -> None:
        """Remove every host of these; one that was not made to its end is removed by the next run."""
        for host in self._made:
            host.close()


def _wire(here: str, there: str, namespace: str) -> "subprocess.Popen[str]":
    wire = subprocess.Popen(
        [sys.executable, "-m", "support.hosts.wire", here, there, str(_NAMESPACES / namespace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    assert wire.stdout is not None
    assert wire.stdout.readline() == "ready\n", "the wire did not start"
    return wire
