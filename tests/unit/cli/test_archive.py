"""Archives that are damaged, changed or hostile are refused whole, and nothing of the home changes."""

import asyncio
import gzip
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from concilium.cli.app import run
from concilium.home import Home
from support.ledgers import hands

Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a ledger, a file, a key and an agent."""
    for name in [name for name in os.environ if name.startswith("CONCILIUM_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("CONCILIUM_HOME", str(folder))

    async def fill() -> None:
        async with hands(Home.find().ledger_url, folder / "blobs") as mesh:
            await mesh.ledger.put_blob(b"a file", key_id="key_1")
            await mesh.submit("a")

    asyncio.run(fill())
    for name, text in {"keys/admin.key": "ck_", "agents/мой агент/agent.yaml": "name: x", "mesh.yaml": "{}"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "agents" / "мой агент" / "run.sh").touch(mode=0o755)
    (folder / "agents" / "link").symlink_to("/etc/passwd")
    return folder


@pytest.fixture
def archive(home: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mesh.tar.gz"
    assert run(["backup", str(path)]) == 0
    return path


def members(archive: Path) -> list[Member]:
    with tarfile.open(archive) as tar:
        return [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]  # files alone


def write(archive: Path, content: list[Member]) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for info, data in content:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))


def sealed(content: list[Member], **changes: Any) -> list[Member]:
    """Write the manifest anew for what is there, as somebody would who knows the format."""
    *files, (info, data) = content
    manifest = json.loads(data)
    manifest["files"] = {
        one.name: {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)} for one, body in files if one.isreg()
    }
    return [*files, (info, json.dumps(manifest | changes).encode())]


def plus(name: str, **more: Any) -> Callable[[list[Member]], list[Member]]:
    def change(content: list[Member]) -> list[Member]:
        info = tarfile.TarInfo(name)
        for key, value in more.items():
            setattr(info, key, value)
        return sealed([*content[:-1], (info, b"" if more else b"evil"), content[-1]])

    return change


def replaced(name: str, data: bytes, *, seal: bool) -> Callable[[list[Member]], list[Member]]:
    def change(content: list[Member]) -> list[Member]:
        found = [(info, data if info.name.startswith(name) else body) for info, body in content]
        return sealed(found) if seal else found

    return change


def without(name: str) -> Callable[[list[Member]], list[Member]]:
    return lambda content: sealed([one for one in content if not one[0].name.startswith(name)])


HOSTILE: dict[str, Callable[[list[Member]], list[Member]]] = {
    "a path upwards": plus("keys/../../evil"),
    "an absolute path": plus("/etc/evil"),
    "a path that is not plain": plus("agents//evil"),
    "a backslash": plus("agents\\..\\evil"),
    "a name of nothing we know": plus("run/supervisor.pid"),
    "a file in the place of a folder": plus("agents"),
    "a symbolic link": plus("agents/evil", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": plus("agents/evil", type=tarfile.LNKTYPE, linkname="mesh.yaml"),
    "a device": plus("agents/evil", type=tarfile.CHRTYPE),
    "a folder": plus("agents/evil", type=tarfile.DIRTYPE),
    "a file twice": plus("mesh.yaml"),
    "a changed file": replaced("mesh.yaml", b"gateway: {host: 0.0.0.0}", seal=False),
    "a blob with another content": replaced("blobs/", b"another", seal=True),
    "no blob": without("blobs/"),
    "no ledger": without("ledger"),
    "no manifest": lambda content: content[:-1],
    "something after the manifest": lambda content: [*content, content[0]],
    "a manifest that is none": lambda content: [*content[:-1], (content[-1][0], b"{}")],
    "a format to come": lambda content: sealed(content, format=2),
    "another ledger than described": replaced("ledger", b"SQLite format 3\x00" + bytes(5000), seal=True),
    "a schema to come": lambda content: sealed(content, revision="9999"),
    "a ledger of PostgreSQL": lambda content: sealed(content, kind="postgresql"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_changed_archive_is_refused_and_the_home_stays(
    home: Path, archive: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(home.rglob("*"))
    write(archive, HOSTILE[what](members(archive)))
    assert run(["restore", str(archive), "--force"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert sorted(home.rglob("*")) == before
    assert not (home.parent / "evil").exists()
    if what == "a schema to come":
        assert "newer concilium" in said


def unpacked(data: bytes) -> bytes | None:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None


def test_a_cut_or_flipped_archive_is_refused_wherever_that_happened(home: Path, archive: Path) -> None:
    whole = archive.read_bytes()
    before = sorted(home.rglob("*"))
    for length in (0, 5, len(whole) // 3, len(whole) - 9, len(whole) - 1):
        archive.write_bytes(whole[:length])
        assert run(["restore", str(archive), "--force"]) == 1, length
    for place in range(12, len(whole), max(1, len(whole) // 25)):
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        if unpacked(flipped) == unpacked(whole):  # a copy of zeros from one place is as good as from another
            continue
        archive.write_bytes(flipped)
        assert run(["restore", str(archive), "--force"]) == 1, place
    archive.write_bytes(gzip.compress(b"not a tar at all"))
    assert run(["restore", str(archive), "--force"]) == 1
    assert run(["restore", str(archive.with_name("none"))]) == 1
    assert sorted(home.rglob("*")) == before


def test_what_the_owner_wrote_comes_back_as_it_was(
    home: Path, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [info.name for info, _ in members(archive)][-1] == "manifest.json"
    (home / "mesh.yaml").write_text("changed: after the backup")
    capsys.readouterr()
    assert run(["restore", str(archive), "--force", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["tasks"], answer["unfinished"], answer["blobs"], answer["missing"]) == (1, 1, 1, [])
    assert (home / "mesh.yaml").read_text() == "{}"
    assert (home / "agents" / "мой агент" / "agent.yaml").read_text() == "name: x"
    assert (home / "agents" / "мой агент" / "run.sh").stat().st_mode & 0o777 == 0o700
    assert not (home / "agents" / "link").is_symlink()
    assert (home / "keys" / "admin.key").stat().st_mode & 0o777 == 0o600
    assert (Path(answer["moved_aside"]) / "mesh.yaml").read_text() == "changed: after the backup"
    assert not list(home.glob(".restore-*"))
    with sqlite3.connect(home / "ledger.sqlite3") as conn:
        assert conn.execute("SELECT count(*) FROM tasks").fetchone() == (1,)
    conn.close()


def test_a_file_that_is_gone_or_damaged_is_named_and_the_rest_is_kept(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (blob,) = [path for path in (home / "blobs").rglob("*") if path.is_file()]
    blob.write_bytes(b"rotten")
    assert run(["backup", str(tmp_path / "a.tar.gz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == [blob.name]
    assert run(["restore", str(tmp_path / "a.tar.gz"), "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == [blob.name]


def test_a_backup_leaves_the_disk_its_reserve_and_no_half_archive(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "to").mkdir()
    monkeypatch.setenv("CONCILIUM_LEDGER__MIN_FREE_BYTES", str(1 << 60))
    assert run(["backup", str(tmp_path / "to" / "a.tar.gz")]) == 1
    assert "no room" in capsys.readouterr().err
    assert list((tmp_path / "to").iterdir()) == []
