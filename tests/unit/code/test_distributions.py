"""Which installed files a pinned list means, from distributions made for the test."""

import base64
import hashlib
import json
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from concilium.workers.code.distributions import PackagesError, Python, Source, pinned, resolve, sources

PYTHON = Python("/usr/bin/python3", "cpython-311", "3.11.2")


def sha256(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def install(
    site: Path,
    name: str,
    files: dict[str, bytes],
    *,
    version: str = "1.0",
    tags: tuple[str, ...] = ("py3-none-any",),
    requires: tuple[str, ...] = (),
    python: str = "",
) -> None:
    """Put a distribution there as an installer does."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    lines += [f"Requires-Python: {python}"] if python else []
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "WHEEL").write_text("".join(f"Tag: {tag}\n" for tag in tags))
    rows = []
    for path, content in files.items():
        place = site / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        rows.append(f"{path},sha256={sha256(content)},{len(content)}")
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,"]) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lib" / "site"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_pins_are_names_with_one_version() -> None:
    assert pinned(["Py_Test==9.2.0", "ruff==0.17.5"]) == {"py-test": "9.2.0", "ruff": "0.17.5"}


@pytest.mark.parametrize(
    "pin", ["x", "x>=1", "x==1.*", "x==", "==1", "x==1; y", "x[extra]==1", "x @ file:///y", "../x==1"]
)
def test_anything_else_is_no_pin(pin: str) -> None:
    with pytest.raises(PackagesError, match="is no pin"):
        pinned([pin])


def test_dependencies_are_followed_where_their_markers_hold(site: Path) -> None:
    requires = (
        "made-b>=1",
        "made-windows; sys_platform == 'win32'",
        "made-old; python_version < '3.9'",
        "made-extra; extra == 'dev'",
    )
    install(site, "made-a", {"made_a.py": b""}, requires=requires)
    install(site, "made_b", {"made_b.py": b""}, requires=("made-a",))  # a circle
    found = resolve({"made-a": "1.0"}, PYTHON)
    assert [each.name for each in found] == ["made-a", "made_b"]


def test_a_missing_dependency_is_named(site: Path) -> None:
    install(site, "made-a", {}, requires=("made-nowhere",))
    with pytest.raises(PackagesError, match="made-nowhere is not installed; install it"):
        resolve({"made-a": "1.0"}, PYTHON)


def test_another_version_is_told_with_both(site: Path) -> None:
    install(site, "made-a", {}, version="1.1")
    with pytest.raises(PackagesError, match=r"installed as 1\.1, but settings\.packages pins 1\.0"):
        resolve({"made-a": "1.0"}, PYTHON)


@pytest.mark.parametrize("tag", ["cp311-cp311-linux_x86_64", "cp38-abi3-linux_x86_64", "py3-none-linux_x86_64"])
def test_what_the_sandboxs_python_can_load_fits(site: Path, tag: str) -> None:
    install(site, "made-a", {}, tags=(tag,))
    assert resolve({"made-a": "1.0"}, PYTHON)


@pytest.mark.parametrize(
    "tag", ["cp310-cp310-linux_x86_64", "cp313-cp313t-linux_x86_64", "pp310-pypy310_pp73-any", "py2-none-any"]
)
def test_what_is_built_for_another_python_is_refused(site: Path, tag: str) -> None:
    install(site, "made-a", {}, tags=(tag,))
    with pytest.raises(PackagesError, match=r"built for another Python, and the sandbox.s Python is 3\.11\.2"):
        resolve({"made-a": "1.0"}, PYTHON)


def test_what_needs_a_newer_python_is_refused(site: Path) -> None:
    install(site, "made-a", {}, python=">=3.12")
    with pytest.raises(PackagesError, match=r"needs Python >=3\.12"):
        resolve({"made-a": "1.0"}, PYTHON)


def test_an_editable_install_is_refused(site: Path) -> None:
    install(site, "made-a", {})
    link = {"url": "file:///somewhere", "dir_info": {"editable": True}}
    (site / "made_a-1.0.dist-info" / "direct_url.json").write_text(json.dumps(link))
    with pytest.raises(PackagesError, match="not installed from a wheel"):
        resolve({"made-a": "1.0"}, PYTHON)


def test_modules_data_and_programs_are_taken_and_nothing_else(site: Path) -> None:
    files = {
        "made_a/__init__.py": b"x = 1\n",
        "made_a/data.json": b"{}",
        "made_a/__pycache__/__init__.cpython-311.pyc": b"",
        "made_a.pth": b"import os",
        "../../bin/made": b"\x7fELF",
        "../../bin/starter": b"#!/agent/bin/python\n",
        "../../share/man/made.1": b"man",
    }
    install(site, "made-a", files)
    found = PathDistribution(site / "made_a-1.0.dist-info")
    targets = [source.target for source in sources(found)]
    assert targets == ["made_a/__init__.py", "made_a/data.json", "bin/made"]
    assert [source.read() for source in sources(found)] == [b"x = 1\n", b"{}", b"\x7fELF"]


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"evil")
    with pytest.raises(PackagesError, match="not as its wheel brought it"):
        Source(path, "a.py", sha256(b"good")).read()
    with pytest.raises(PackagesError, match="cannot be read"):
        Source(tmp_path / "none", "none", "").read()
