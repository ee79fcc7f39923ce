"""Backup and restore with real processes: in the middle of work, after the loss of everything."""

import json
import os
import shutil
from pathlib import Path

import pytest

from support.bell import Bell, all_completed, bell_mesh, completed

BUSY = 30
"""Tasks that wait or are worked on while the backup is taken: more than two seconds of work."""
ROUNDS = int(os.environ.get("BACKUP_ROUNDS", "1"))
"""How often the mesh is lost; the nightly run asks for more."""


def ended_once(bell: Bell, task: str) -> bool:
    """Whether a task has one end, and its step one completion."""
    history = bell.history(task)
    ends = [
        body for body in history if body["kind"] == "state" and body["state"] in {"completed", "failed", "canceled"}
    ]
    steps = [body for body in history if body["kind"] == "step" and body["state"] == "completed"]
    return len(ends) == len(steps) == 1


def guest(number: int) -> str:
    return f"guest {number % 30}"


@pytest.mark.timeout(300 + 300 * ROUNDS)
def test_a_mesh_backed_up_in_mid_work_and_lost_ends_every_task_the_backup_knows_once(tmp_path: Path) -> None:
    with bell_mesh(tmp_path / "home") as bell:
        assert (up := bell.mesh.run("up")).returncode == 0, up.stderr
        for number in range(ROUNDS):
            lose_and_restore(bell, tmp_path / f"mesh-{number}.tar.gz", f"round-{number}")


def lose_and_restore(bell: Bell, archive: Path, name: str) -> None:
    """Back up while work is done, go on, lose the home, restore, and judge."""
    earlier = set(bell.tasks())
    before = {bell.submit(guest(number), f"{name}-{number}") for number in range(BUSY)}
    bell.until(lambda tasks: completed(tasks) >= len(earlier) + 4)
    backing = bell.mesh.start("backup", str(archive), "--json")
    meanwhile: list[str] = []
    while backing.poll() is None:  # however long it takes, there is always work under way
        tasks = bell.tasks()
        for _ in range(BUSY - (len(tasks) - completed(tasks))):
            meanwhile.append(bell.submit(guest(len(meanwhile)), f"{name}-late-{len(meanwhile)}"))
    out, err = backing.communicate()
    assert backing.returncode == 0, err
    taken = json.loads(out)
    assert len(earlier | before) <= taken["tasks"] <= len(earlier | before | set(meanwhile))
    assert taken["missing"] == []
    assert archive.stat().st_mode & 0o777 == 0o600
    bell.until(all_completed)
    bell.mesh.kill_all()
    shutil.rmtree(bell.home)

    restored = bell.mesh.run("restore", str(archive), "--sha256", taken["sha256"], "--json")
    assert restored.returncode == 0, restored.stderr
    facts = json.loads(restored.stdout)
    assert facts["tasks"] == taken["tasks"]
    assert facts["unfinished"] > 0, "the backup was to be taken in the middle of work"
    assert (up := bell.mesh.run("up")).returncode == 0, up.stderr
    tasks = bell.until(all_completed)
    assert earlier | before <= set(tasks) <= earlier | before | set(meanwhile)
    assert len(tasks) == taken["tasks"]
    assert all(ended_once(bell, task) for task in tasks)
    assert all(len(bell.sound(task)) > 20_000 for task in tasks)
    # A caller who asks again for what the backup does not know is served, and for what it knows gets that.
    again = [bell.submit(guest(number), f"{name}-late-{number}") for number in range(len(meanwhile))]
    assert set(bell.until(all_completed)) == set(tasks) | set(again)
    assert {task for task, late in zip(again, meanwhile, strict=True) if task == late} == set(tasks) & set(meanwhile)


def test_a_restore_refuses_what_it_must_and_moves_the_old_home_aside(tmp_path: Path) -> None:
    home, archive = tmp_path / "home", tmp_path / "mesh.tar.gz"
    with bell_mesh(home) as bell:
        assert bell.mesh.run("up").returncode == 0
        task = bell.submit("Anna")
        bell.until(all_completed)
        assert bell.mesh.run("backup", str(archive), "--without-keys").returncode == 0
        running = bell.mesh.run("restore", str(archive), "--force")
        assert running.returncode == 1
        assert "concilium down" in running.stderr
        assert bell.mesh.run("down").returncode == 0
        full = bell.mesh.run("restore", str(archive))
        assert full.returncode == 1
        assert "--force" in full.stderr
        wrong = bell.mesh.run("restore", str(archive), "--force", "--sha256", "0" * 64)
        assert wrong.returncode == 1
        assert "SHA-256" in wrong.stderr

        secret = (home / "keys" / "admin.key").read_text()
        done = bell.mesh.run("restore", str(archive), "--force", "--json")
        assert done.returncode == 0, done.stderr
        aside = Path(json.loads(done.stdout)["moved_aside"])
        assert (aside / "keys" / "admin.key").read_text() == secret
        assert (aside / "ledger.sqlite3").is_file()
        assert not (home / "keys").exists()
        assert bell.mesh.run("up").returncode == 0
        assert (home / "keys" / "admin.key").read_text() != secret
        assert bell.tasks() == {task: "completed"}
        assert b"ring the bell for Anna" in bell.sound(task)


def test_a_folder_keeps_as_many_backups_as_asked_and_a_start_refuses_a_home_half_restored(tmp_path: Path) -> None:
    with bell_mesh(tmp_path / "home") as bell:
        assert bell.mesh.run("backup").returncode == 1  # there is no ledger yet
        assert bell.mesh.run("up").returncode == 0
        assert bell.mesh.run("down").returncode == 0
        folder = bell.home / "backups"
        old = [folder / f"concilium-2020010{day}T000000Z.tar.gz" for day in (1, 2, 3)]
        other = folder / "holiday.tar.gz"
        for path in (*old, other):
            path.touch()
        kept = bell.mesh.run("backup", "--keep", "2", "--json")
        assert kept.returncode == 0, kept.stderr
        newest = Path(json.loads(kept.stdout)["file"])
        assert set(folder.glob("*.tar.gz")) == {old[2], newest, other}
        assert bell.mesh.run("backup", str(folder / "named.tar.gz"), "--keep", "2").returncode == 2
        half = [folder / "concilium-20200101T000000Z.tar.gz.part", folder / ".backup-killed"]
        half[0].touch()
        half[1].mkdir()
        assert bell.mesh.run("backup").returncode == 0
        assert not any(path.exists() for path in half)
        (bell.home / "restore-unfinished").write_text("somewhere")
        refused = bell.mesh.run("up")
        assert refused.returncode == 1
        assert "cut off" in refused.stderr
        assert bell.mesh.run("restore", str(newest), "--force").returncode == 0
        assert bell.mesh.run("up").returncode == 0
        assert newest.exists()
