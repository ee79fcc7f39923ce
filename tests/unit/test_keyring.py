"""Secrets in files that are replaced while they are used."""

import stat
from pathlib import Path

import pytest

from concilium.contracts.errors import Unavailable
from concilium.keyring import KeyFile


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
