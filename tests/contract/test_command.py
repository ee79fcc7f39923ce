"""``concilium agents new`` and ``test`` as a person types them."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.subjects import Subject
from support.ports import free_port

CONCILIUM = str(Path(sys.executable).parent / "concilium")


def concilium(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CONCILIUM_")}
    environ = {**plain, "CONCILIUM_HOME": str(home)}
    return subprocess.run(
        [CONCILIUM, *arguments], env=environ, capture_output=True, text=True, timeout=110, check=False
    )


def cases_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {case["title"]: case for case in json.loads(done.stdout)["cases"]}


def test_the_self_test_of_a_running_agent_passes(subject: Subject) -> None:
    done = concilium(subject.home.root, "agents", "test", subject.manifest.name, "--url", subject.url, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = cases_of(done)
    assert len(found) == len(subject.manifest.self_test)
    assert {case["result"] for case in found.values()} <= {"passed", "skipped"}
    assert f"{len(found)}/{len(found)}" in done.stderr, "progress is told on standard error"


@pytest.mark.parametrize("name", ["Words", "1st", "a b", "../up", "", "x" * 32, "wörter", "code", "runner", "class"])
def test_a_bad_or_taken_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    done = concilium(tmp_path, "agents", "new", name)
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_new_agent_is_its_owners_alone_and_is_not_written_twice(tmp_path: Path) -> None:
    first = concilium(tmp_path, "agents", "new", "mine")
    assert first.returncode == 0, first.stderr
    assert "concilium agents test mine" in first.stderr
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "agents" / "mine").iterdir()} == {0o600}
    (tmp_path / "agents" / "mine" / "skills.py").write_text("mine\n")
    again = concilium(tmp_path, "agents", "new", "mine")
    assert again.returncode == 2
    assert (tmp_path / "agents" / "mine" / "skills.py").read_text() == "mine\n"


def test_a_failing_case_is_told_and_ends_with_code_1(tmp_path: Path) -> None:
    concilium(tmp_path, "agents", "new", "mine")
    path = tmp_path / "agents" / "mine" / "agent.yaml"
    path.write_text(path.read_text().replace("words: {const: 3}", "words: {const: 4}"))
    done = concilium(tmp_path, "agents", "test", "mine", "--json")
    assert done.returncode == 1, done.stderr
    failed = cases_of(done)["counts words"]
    assert failed["result"] == "failed"
    assert "4 was expected" in failed["detail"]


def test_an_agent_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    concilium(tmp_path, "agents", "new", "mine")
    (tmp_path / "agents" / "mine" / "skills.py").write_text("skills = {}\n")
    done = concilium(tmp_path, "agents", "test", "mine")
    assert done.returncode == 1
    assert "has no 'mine.count'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_whose_code_everybody_can_write_is_not_started(tmp_path: Path) -> None:
    concilium(tmp_path, "agents", "new", "mine")
    (tmp_path / "agents" / "mine" / "skills.py").chmod(0o666)
    done = concilium(tmp_path, "agents", "test", "mine")
    assert done.returncode == 1
    assert "can be written by everybody" in done.stderr


def test_a_service_that_is_not_there_fails_every_case(tmp_path: Path) -> None:
    concilium(tmp_path, "agents", "new", "mine")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "mesh.key").write_text("k\n")
    url = f"http://127.0.0.1:{free_port()}"
    done = concilium(tmp_path, "agents", "test", "mine", "--url", url, "--json")
    assert done.returncode == 1
    assert all("was not reached" in case["detail"] for case in cases_of(done).values())
