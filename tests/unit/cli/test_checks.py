"""What the doctor says of a home."""

from datetime import timedelta
from pathlib import Path

import pytest

from concilium.cli.checks import Grade, certificates, privacy
from concilium.home import Home
from concilium.nodes import authority


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_home_that_others_may_enter_is_reported_with_the_remedy(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    (finding,) = privacy(Home(tmp_path, {}))
    assert finding.grade is Grade.LIMITED
    assert finding.advice == f"chmod 700 {tmp_path}"


def test_a_home_of_its_owner_alone_is_fine(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert [finding.grade for finding in privacy(Home(tmp_path, {}))] == [Grade.OK]


def test_a_home_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    assert [finding.grade for finding in privacy(Home(tmp_path / "new", {}))] == [Grade.OK]


def test_certificates_of_links_are_reported_before_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, {})
    assert list(certificates(home)) == []
    monkeypatch.setattr(authority, "HOME_LIFE", timedelta(days=6))
    authority.Authority(home.keys).ensure()
    mesh, own = certificates(home)
    assert (mesh.grade, own.grade) == (Grade.OK, Grade.LIMITED)
    assert own.advice
