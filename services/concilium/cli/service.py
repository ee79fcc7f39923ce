"""The mesh as a systemd unit: written from the command that runs now, started again after a crash and after a reboot.

A user unit runs as you and needs no root; it starts at boot once lingering is on. A system unit runs as the owner of
the home. Both keep the supervisor in the foreground, which tells systemd when every process is ready (sd_notify(3)).
On a machine that has joined a mesh the unit keeps the node instead; its supervisor tells nothing.
"""

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from concilium.cli.errors import USAGE, CliError
from concilium.home import Home

UNIT = "concilium.service"
_UNIT = """\
# Written by `concilium service install`; run it again to change it.
[Unit]
Description=Concilium
Documentation=man:systemd.exec(5)
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
{kind}
{user}Environment={environment}
ExecStart={command} {what}
Restart=always
RestartSec=5
TimeoutStartSec=300
TimeoutStopSec=90
KillMode=mixed
# The code agent bounds scripts with control groups of its own; one that is killed for memory ends alone.
Delegate=yes
OOMPolicy=continue
UMask=0077
LimitNOFILE=65536
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
{more}
[Install]
WantedBy={target}
"""
_SYSTEM = """\
ProtectSystem=full
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectHostname=yes
PrivateTmp=yes
"""
"""No more: the sandbox of the code agent needs user namespaces, mounts in them, and /proc."""


@dataclass(frozen=True)
class Service:
    """A unit of one home."""

    home: Home
    system: bool

    @property
    def path(self) -> Path:
        """Where the unit's file is (systemd.unit(5))."""
        if self.system:
            return Path("/etc/systemd/system") / UNIT
        base = self.home.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(base) / "systemd" / "user" / UNIT

    def text(self) -> str:
        """Return the unit's file. Raises `Invalid` for a ``node.json`` that makes no sense."""
        settings = {"CONCILIUM_HOME": str(self.home.root), "PATH": os.environ.get("PATH", os.defpath)}
        settings |= {name: value for name, value in self.home.environ.items() if name.startswith("CONCILIUM_")}
        node = self.home.joined is not None
        return _UNIT.format(
            kind="Type=simple" if node else "Type=notify\nNotifyAccess=main",
            what="nodes join" if node else "up --foreground",
            user=f"User={_owner(self.home.root)}\n" if self.system else "",
            environment=" ".join(_quoted(f"{name}={value}") for name, value in sorted(settings.items())),
            command=" ".join(_quoted(part).replace("$", "$$") for part in (sys.executable, "-m", "concilium.cli")),
            more=_SYSTEM if self.system else "",
            target="multi-user.target" if self.system else "default.target",
        )

    def install(self) -> list[str]:
        """Write the unit, enable and start it; return the commands left for the owner to run.

        Raises:
            CliError: a system unit without root, or systemd refused.
        """
        self._check_root()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{UNIT}.new")
        new.write_text(self.text(), encoding="utf-8")
        new.chmod(0o600)
        new.replace(self.path)
        commands = [["daemon-reload"], ["enable", "--now", UNIT]]
        if not self.reachable():
            return [shlex.join(self._systemctl(*words)) for words in commands]
        for words in commands:
            self._run(*words)
        return [] if self.system else [f"loginctl enable-linger {_user()}"]

    def uninstall(self) -> bool:
        """Stop the unit and remove it; return whether there was one. Raises `CliError` as `install`."""
        self._check_root()
        if not self.path.exists():
            return False
        if self.reachable():
            self._run("disable", "--now", UNIT)
        self.path.unlink()
        if self.reachable():
            self._run("daemon-reload")
        return True

    def stop(self) -> None:
        """Stop the unit until the next boot or start. Raises `CliError` when systemd refuses."""
        self._run("stop", UNIT)

    def state(self) -> str:
        """Return what systemd says: ``active``, ``inactive``, ``failed`` …; ``unknown`` where it cannot be asked."""
        if not self.reachable():
            return "unknown"
        done = subprocess.run(self._systemctl("is-active", UNIT), capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.strip() or "unknown"

    def reachable(self) -> bool:
        """Whether a service manager for this kind of unit answers."""
        if shutil.which("systemctl") is None:
            return False
        done = subprocess.run(self._systemctl("show-environment"), capture_output=True, check=False)  # noqa: S603
        return done.returncode == 0

    def _systemctl(self, *words: str) -> list[str]:
        return ["systemctl", *([] if self.system else ["--user"]), *words]

    def _run(self, *words: str) -> None:
        command = self._systemctl(*words)
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise CliError(f"`{shlex.join(command)}` failed: {done.stderr.strip()[-500:]}")

    def _check_root(self) -> None:
        if self.system and os.geteuid() != 0:
            raise CliError("a system unit is written by root", "use sudo, or leave --system out", code=USAGE)


def _quoted(word: str) -> str:
    """Return a word as systemd reads it: quoted, ``%`` without a meaning (systemd.syntax(7))."""
    if any(ord(sign) < 32 for sign in word):
        raise CliError("a setting with a line break cannot be written into a unit", "put it into mesh.yaml", code=USAGE)
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain}"'


def stop_unit(home: Home) -> bool:
    """Stop the unit that runs this home, which would start the mesh again after any other stop; whether one did."""
    for service in (Service(home, system=False), Service(home, system=True)):
        mine = _quoted(f"CONCILIUM_HOME={home.root}")
        if service.path.is_file() and mine in service.path.read_text(encoding="utf-8") and service.state() == "active":
            service.stop()
            return True
    return False


def _owner(path: Path) -> str:
    place = next(one for one in (path, *path.parents) if one.exists())
    return pwd.getpwuid(place.stat().st_uid).pw_name


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
