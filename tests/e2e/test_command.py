"""The command against a real mesh: started, asked, hurt, and stopped."""

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.command import COMMAND_S, Mesh
from support.ports import free_ports


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    home = tmp_path_factory.mktemp("mesh")
    first = free_ports(2)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CONCILIUM_")}
    settings = {"HOME": home, "GATEWAY__PORT": first, "AGENTS__BASE_PORT": first + 1, "AGENTS__START": "[code]"}
    mesh = Mesh(home, plain | {f"CONCILIUM_{name}": str(value) for name, value in settings.items()})
    started = mesh.run("up")
    assert started.returncode == 0, started.stderr
    try:
        yield mesh
    finally:
        pids = [int(path.read_text().split()[0]) for path in (home / "run").glob("*.pid")]
        assert mesh.run("down").returncode == 0
        assert not [pid for pid in pids if psutil.pid_exists(pid)]
        assert not list((home / "run").glob("*.pid"))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "sum.py"
    path.write_text("print('the sum is', 19 + 23)\n")
    return path


def test_up_writes_keys_only_their_owner_can_read(mesh: Mesh) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (mesh.home / "keys").iterdir()}
    assert {"admin.key", "runner.key", "mesh.key", "webhook.key"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_a_second_up_does_nothing_and_says_where_the_mesh_runs(mesh: Mesh) -> None:
    before = {name: entry["pid"] for name, entry in mesh.status().items()}
    again = mesh.run("up")
    assert again.returncode == 0
    assert "runs already" in again.stderr
    assert "http://127.0.0.1:" in again.stdout
    assert {name: entry["pid"] for name, entry in mesh.status().items()} == before


def test_a_request_is_followed_and_its_answer_and_files_are_saved(mesh: Mesh, script: Path, tmp_path: Path) -> None:
    asked = mesh.run("ask", "Run this script", "--file", str(script), "--out", str(tmp_path / "out"))
    assert asked.returncode == 0, asked.stderr
    assert "the sum is 42" in asked.stdout
    assert "code.run completed on home in" in asked.stderr
    assert "the sum is 42" in (tmp_path / "out" / "answer.txt").read_text()


def test_a_request_without_waiting_gives_an_id_that_can_be_watched_and_replayed(mesh: Mesh, script: Path) -> None:
    task = mesh.run("ask", "Run this script", "--file", str(script), "--no-wait").stdout.strip()
    watched = mesh.run("tasks", "watch", task)
    assert watched.returncode == 0, watched.stderr
    shown = json.loads(mesh.run("tasks", "show", task, "--json").stdout)
    assert shown["state"] == "completed"
    again = json.loads(mesh.run("tasks", "replay", task, "--json").stdout)
    assert again["replay_of"] == task
    assert mesh.run("tasks", "watch", again["id"]).returncode == 0
    listed = mesh.run("tasks", "list", "--state", "completed").stdout
    assert task in listed
    assert again["id"] in listed


def test_an_unclear_request_asks_back_and_a_reply_carries_on(mesh: Mesh) -> None:
    asked = mesh.run("ask", "Hmm", "--json")
    assert asked.returncode == 3, asked.stderr
    task = json.loads(asked.stdout)
    assert task["question"]
    answered = mesh.run("tasks", "reply", task["id"], "Run this Python script:\n```python\nprint(6 * 7)\n```")
    assert answered.returncode == 0, answered.stderr
    assert "42" in answered.stdout


def test_a_running_task_can_be_canceled_and_not_twice(mesh: Mesh, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(50)\n")
    task = mesh.run("ask", "Run this script", "--file", str(slow), "--no-wait").stdout.strip()
    assert "canceled" in mesh.run("tasks", "cancel", task).stdout
    assert mesh.run("tasks", "watch", task).returncode == 1
    twice = mesh.run("tasks", "cancel", task)
    assert twice.returncode == 1
    assert "HTTP 409" in twice.stderr


def test_a_task_is_followed_through_a_crash_of_the_control_plane(mesh: Mesh, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(6)\nprint('still here')\n")
    asking = mesh.start("ask", "Run this script", "--file", str(slow))
    assert asking.stderr is not None
    for line in asking.stderr:
        if "code.run working" in line:
            break
    mesh.kill("control")
    out, err = asking.communicate(timeout=COMMAND_S)
    assert asking.returncode == 0, err
    assert "still here" in out
    assert int(str(mesh.status()["control"]["restarts"])) >= 1


def test_an_interrupt_leaves_the_task_and_names_the_command_that_cancels_it(mesh: Mesh, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(50)\n")
    # A background job of a shell ignores SIGINT and hands that on to its children; a person's terminal does not.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asking = mesh.start("ask", "Run this script", "--file", str(slow))
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert asking.stderr is not None
    for line in asking.stderr:
        if "code.run working" in line:
            break
    asking.send_signal(signal.SIGINT)
    _, err = asking.communicate(timeout=COMMAND_S)
    assert asking.returncode == 130
    command = next(line for line in err.splitlines() if line.startswith("Cancel it: ")).split()
    assert "canceled" in mesh.run(*command[3:]).stdout


def test_a_key_works_until_it_is_revoked_and_sees_only_its_own_tasks(mesh: Mesh, tmp_path: Path) -> None:
    made = json.loads(mesh.run("keys", "create", "reader", "--scope", "tasks:read", "--days", "1", "--json").stdout)
    file = tmp_path / "reader.key"
    file.write_text(made["secret"])
    assert mesh.run("--key-file", str(file), "tasks", "list").stdout == ""
    refused = mesh.run("--key-file", str(file), "ask", "hello")
    assert refused.returncode == 1
    assert "tasks:write" in refused.stderr
    listed = mesh.run("keys", "list").stdout
    assert "reader" in listed
    assert made["secret"] not in listed
    assert mesh.run("keys", "revoke", made["key"]["id"]).returncode == 0
    gone = mesh.run("--key-file", str(file), "tasks", "list")
    assert gone.returncode == 1
    assert "revoked" in gone.stderr


def test_agents_gc_config_and_version_answer_in_words_and_in_json(mesh: Mesh) -> None:
    assert "code.run" in mesh.run("agents").stdout
    assert {agent["name"] for agent in json.loads(mesh.run("agents", "--json").stdout)["agents"]} >= {"code"}
    assert json.loads(mesh.run("gc", "--json").stdout)["tasks"] == 0
    assert json.loads(mesh.run("config", "show", "--json").stdout)["agents"]["start"] == ["code"]
    assert mesh.run("version").stdout.startswith("concilium ")


def test_the_doctor_says_what_it_found(mesh: Mesh) -> None:
    report = json.loads(mesh.run("doctor", "--json").stdout)
    assert {"python", "config", "redis", "sandbox", "code", "ports", "disk", "home", "keys"} <= {
        finding["check"] for finding in report["findings"]
    }
    for finding in report["findings"]:
        assert finding["grade"] in {"ok", "limited", "missing"}


def test_a_process_that_is_killed_comes_back_and_its_log_stays(mesh: Mesh) -> None:
    before = mesh.status()["code"]["pid"]
    mesh.kill("code")
    until = time.monotonic() + 60
    while (now := mesh.status()["code"])["state"] != "running" or now["pid"] == before:
        assert time.monotonic() < until, now
    assert now["restarts"] == 1
    assert "code ended" in mesh.run("logs", "supervisor").stdout


def test_a_killed_supervisor_is_replaced_together_with_what_it_left(mesh: Mesh) -> None:
    before = {name: entry["pid"] for name, entry in mesh.status().items()}
    mesh.kill("supervisor")
    started = mesh.run("up")
    assert started.returncode == 0, started.stderr
    after = mesh.status()
    assert not set(before.values()) & {entry["pid"] for entry in after.values()}
    assert {entry["state"] for entry in after.values()} == {"running"}


def test_a_taken_port_is_named_with_its_owner_and_the_setting(mesh: Mesh, tmp_path: Path) -> None:
    other = Mesh(tmp_path, mesh.environ | {"CONCILIUM_HOME": str(tmp_path)})
    refused = other.run("up")
    assert refused.returncode == 1
    assert f"port {mesh.environ['CONCILIUM_GATEWAY__PORT']}" in refused.stderr
    assert "CONCILIUM_GATEWAY__PORT" in refused.stderr
    assert not list((tmp_path / "run").glob("*.pid"))


def test_without_a_mesh_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    environ = {**os.environ, "CONCILIUM_HOME": str(tmp_path), "CONCILIUM_GATEWAY__PORT": str(free_ports(1))}
    absent = Mesh(tmp_path, environ)
    asked = absent.run("ask", "hello")
    assert asked.returncode == 1
    assert "concilium up" in asked.stderr
    assert "No mesh" in absent.run("down").stdout
    assert absent.run("status").returncode == 1
    assert absent.run("ask").returncode == 2
    assert absent.run("logs", "nobody").returncode == 2


def test_an_unknown_setting_is_refused_by_its_name(tmp_path: Path) -> None:
    wrong = Mesh(tmp_path, {**os.environ, "CONCILIUM_HOME": str(tmp_path), "CONCILIUM_GATEWAY__PROT": "1"})
    refused = wrong.run("up")
    assert refused.returncode == 2
    assert "CONCILIUM_GATEWAY__PROT" in refused.stderr
