"""The systemd unit: what is written, what systemd itself says of it, and what is asked of systemctl."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from concilium.cli.app import run
from concilium.cli.service import Service
from concilium.contracts.base import utc_now
from concilium.contracts.nodes import Dial, Joined
from concilium.home import Home

ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with what makes quoting hard in its name, units in a folder of the test's own, and no systemd."""
    folder = tmp_path / 'a "home" of 100%'
    for name in [name for name in os.environ if name.startswith("CONCILIUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CONCILIUM_HOME", str(folder))
    monkeypatch.setenv("CONCILIUM_RUNNER__NODE", "attic")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return folder


def put_systemctl(tmp_path: Path, answers: str) -> Path:
    """Put a program of that name on the path; return the file in which it writes down how it was called."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n{answers}\n')
    program.chmod(0o755)
    return calls


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here: apt-get install systemd")
@pytest.mark.parametrize("system", [False, True])
def test_systemd_finds_no_fault_with_the_unit(home: Path, tmp_path: Path, system: bool) -> None:
    unit = tmp_path / "concilium.service"
    unit.write_text(Service(Home.find(), system).text())
    assert ANALYZE is not None
    # Its own units may be missing on a machine that was not booted by it; faults of ours are named with our file.
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert "concilium.service:" not in done.stderr, done.stderr


def test_without_systemd_the_unit_is_written_and_the_commands_are_named(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["service", "status"]) == 1
    assert run(["service", "install"]) == 0
    unit = tmp_path / "config" / "systemd" / "user" / "concilium.service"
    text = unit.read_text()
    assert stat.S_IMODE(unit.stat().st_mode) == 0o600
    assert "Restart=always" in text
    assert f'ExecStart="{sys.executable}" "-m" "concilium.cli" up --foreground' in text
    assert 'a \\"home\\" of 100%%"' in text
    assert '"CONCILIUM_RUNNER__NODE=attic"' in text
    assert "systemctl --user enable --now concilium.service" in capsys.readouterr().err
    assert run(["service", "uninstall"]) == 0
    assert not unit.exists()
    assert run(["service", "uninstall"]) == 0


def test_on_a_machine_that_has_joined_the_unit_keeps_the_node(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joined = Joined(
        name="vps-1",
        invitation="inv_1",
        until=utc_now(),
        dial=Dial.NODE,
        address="home.example.org:8443",
        listen="",
        agents=("code",),
    )
    home.mkdir()
    (home / "node.json").write_text(joined.model_dump_json())
    assert run(["service", "install", "--show"]) == 0
    text = capsys.readouterr().out
    assert f'ExecStart="{sys.executable}" "-m" "concilium.cli" nodes join\n' in text
    assert "Type=simple\n" in text
    assert "notify" not in text.lower()


def test_with_systemd_the_unit_is_enabled_started_and_taken_away(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = put_systemctl(tmp_path, 'case "$*" in *is-active*) echo active;; esac')
    assert run(["service", "install"]) == 0
    assert "loginctl enable-linger" in capsys.readouterr().err
    assert run(["service", "status", "--json"]) == 0
    assert '"current": true' in capsys.readouterr().out
    # A mesh that its unit would start again is stopped by its unit.
    assert run(["down"]) == 0
    assert run(["service", "uninstall"]) == 0
    made = [line.removeprefix("--user ") for line in calls.read_text().splitlines()]
    asked = [line for line in made if not line.startswith(("show-environment", "is-active"))]
    unit = "concilium.service"
    assert asked == ["daemon-reload", f"enable --now {unit}", f"stop {unit}", f"disable --now {unit}", "daemon-reload"]


def test_what_systemd_refuses_is_said(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_systemctl(tmp_path, 'case "$*" in *enable*) echo "masked by somebody" >&2; exit 1;; esac')
    assert run(["service", "install"]) == 1
    assert "masked by somebody" in capsys.readouterr().err
