"""Secrets in files that are replaced while they are used."""

import os
import stat
from pathlib import Path

import pytest

from concilium.contracts.errors import Unavailable
from concilium.keyring import KeyFile, check_files


def test_an_old_secret_is_taken_until_its_time_is_over_by_whoever_had_the_file_open(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        KeyFile(tmp_path, "mesh").accepted()
    (tmp_path / "mesh.key").write_text("first\n")
    reader = KeyFile(tmp_path, "mesh")
    assert (reader.current, reader.accepted()) == ("first", ("first",))
    KeyFile(tmp_path, "mesh").replace("second", 60)
    assert (reader.current, set(reader.accepted())) == ("second", {"second", "first"})
    assert reader.matches("first")
    assert not reader.matches("")
    assert not reader.matches("third")
    KeyFile(tmp_path, "mesh").replace("third", 60)
    assert set(reader.accepted()) == {"third", "second", "first"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.previous.key")} == {0o600}
    previous = tmp_path / "mesh.previous.key"
    previous.write_text("1 first\n1 second\nnonsense\n")
    assert reader.accepted() == ("third",)
    KeyFile(tmp_path, "mesh").replace("fourth", 60)
    KeyFile(tmp_path, "mesh").replace("fifth", 0)
    assert reader.accepted() == ("fifth",)
    assert not previous.exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "mesh.key"]


def test_secrets_that_everybody_may_read_keep_a_process_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mesh.key").write_text("secret\n")
    (tmp_path / "mesh.key").chmod(0o640)
    check_files(tmp_path)
    (tmp_path / "mesh.key").chmod(0o644)
    check_files(tmp_path)  # nobody may enter the folders above
    monkeypatch.setattr("concilium.keyring._anybody_enters", lambda _: True)
    with pytest.raises(Unavailable, match=r"mesh\.key \(owner \d+:\d+, mode 0644\)"):
        check_files(tmp_path)


def test_secrets_that_the_process_may_not_read_keep_it_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mesh.key").write_text("secret\n")
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).suffix != ".key" and may(path, mode))
    with pytest.raises(Unavailable, match=r"may not read .*mesh\.key"):
        check_files(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(Unavailable, match="may not enter"):
        check_files(tmp_path)
    check_files(tmp_path / "none")
