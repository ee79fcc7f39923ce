"""What each container of a mesh in Docker Compose is given."""

import json
import os
import stat
from pathlib import Path

import pytest

from concilium.cli.hand_out import hand_out
from concilium.home import Home

RECEIVERS = ("control", "runner", "agents", "database", "n8n", "prometheus", "grafana")
MESH = "http://control:8400"


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    for name in RECEIVERS:
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", {})


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_receiver_gets_what_it_needs_and_nothing_else(home: Home, given: Path) -> None:
    hand_out(home, given, MESH)
    assert _names(given / "runner") == {"runner.key", "mesh.key"}
    assert _names(given / "agents") == _names(given / "prometheus") == {"mesh.key"}
    assert _names(given / "database") == _names(given / "grafana") == {"password"}
    assert _names(given / "n8n") == {"n8n-encryption.key", "credential.json", "workflows"}
    password = (given / "database" / "password").read_text().strip()
    assert (given / "control" / "database.pgpass").read_text() == f"database:5432:concilium:concilium:{password}\n"
    assert (given / "runner" / "runner.key").read_text() == (home.keys / "runner.key").read_text()


def test_files_are_readable_by_the_group_of_their_folder_alone(home: Home, given: Path) -> None:
    if os.geteuid() == 0:
        os.chown(given / "runner", -1, 10002)
    hand_out(home, given, MESH)
    for path in given.rglob("*"):
        if path.is_file():
            wanted = 0o600 if path.parent.name == "control" else 0o440
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path
            assert path.stat().st_gid == path.parent.stat().st_gid


def test_n8n_gets_workflows_that_call_the_control_plane(home: Home, given: Path) -> None:
    hand_out(home, given, MESH)
    ask = json.loads((given / "n8n" / "workflows" / "ask.json").read_text())
    assert MESH in json.dumps(ask)
    (credential,) = json.loads((given / "n8n" / "credential.json").read_text())
    assert credential["data"]["value"] == "Bearer " + (home.keys / "n8n.key").read_text().strip()
    assert not (given / "n8n" / "n8n-encryption.key").read_text().endswith("\n")


def test_again_it_keeps_what_is_good_mends_what_is_not_and_hands_out_what_was_rotated(home: Home, given: Path) -> None:
    hand_out(home, given, MESH)
    password = given / "database" / "password"
    before, inode = password.read_text(), password.stat().st_ino
    (given / "agents" / "mesh.key").chmod(0o644)
    (given / "n8n" / "workflows" / "gone.json").write_text("{}")
    home.key_file("mesh").replace("rotated", 3600)
    hand_out(home, given, MESH)
    assert (password.read_text(), password.stat().st_ino) == (before, inode)
    assert (given / "agents" / "mesh.key").read_text() == "rotated\n"
    assert stat.S_IMODE((given / "agents" / "mesh.key").stat().st_mode) == 0o440
    assert "mesh.previous.key" in _names(given / "runner")
    assert "gone.json" not in _names(given / "n8n" / "workflows")
    (home.keys / "mesh.previous.key").unlink()
    hand_out(home, given, MESH)
    assert "mesh.previous.key" not in _names(given / "runner")


def test_a_folder_that_is_missing_is_an_error(home: Home, given: Path) -> None:
    (given / "agents").rmdir()
    with pytest.raises(FileNotFoundError):
        hand_out(home, given, MESH)


def test_the_agents_take_a_rotated_key_before_the_runner_shows_it(
    home: Home, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_out(home, given, MESH)
    old = (home.keys / "mesh.key").read_text()
    (home.keys / "mesh.previous.key").write_text(old)
    (home.keys / "mesh.key").write_text("new\n")
    real_replace = Path.replace

    def replace(path: Path, target: Path) -> Path:
        done = real_replace(path, target)
        taken = {file.read_text() for file in (given / "agents").glob("mesh.*key")}
        assert (given / "runner" / "mesh.key").read_text() in taken
        assert old in taken
        return done

    monkeypatch.setattr(Path, "replace", replace)
    hand_out(home, given, MESH)
    assert (given / "runner" / "mesh.key").read_text() == "new\n"
