"""What scripts find beside the standard library: the pinned list of agent.yaml, on every rung, and nothing else."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from concilium.workers import code
from concilium.workers.code import packages
from concilium.workers.code.packages import prepare
from integration.code.conftest import Sandboxed
from support.code_agent import FOLDER, MANIFEST, CodeAgent

PYTHON = "/usr/bin/python3"


@pytest.fixture
def own(packages_folder: Path) -> Iterator[Path]:
    """A folder of the test's own, where packages may be."""
    with tempfile.TemporaryDirectory(dir=packages_folder) as folder:
        yield Path(folder)


async def test_pytest_of_the_pinned_version_is_there(box: Sandboxed) -> None:
    output, _ = await box.run("import pytest; print(pytest.__version__)")
    assert output["stdout"].strip() == version("pytest")
    pins = MANIFEST.settings["packages"]
    assert set(pins) < set(output["sandbox"]["packages"]), "dependencies are told too"


async def test_the_record_names_the_python_that_ran(box: Sandboxed) -> None:
    output, _ = await box.run("import sys; print('.'.join(map(str, sys.version_info[:3])))")
    assert output["sandbox"]["python"] == output["stdout"].strip()
    own = ".".join(map(str, __import__("sys").version_info[:3]))
    assert bool(output["sandbox"]["notes"]) == (output["sandbox"]["python"] != own)


async def test_a_shell_script_can_run_pytest(box: Sandboxed) -> None:
    files = {"test_x.py": b"def test_x(): assert 1 + 1 == 2\n"}
    output, _ = await box.run("python3 -m pytest -q -p no:cacheprovider test_x.py", files, language="shell")
    assert "1 passed" in output["stdout"], output


async def test_a_module_beside_the_script_can_be_imported(box: Sandboxed) -> None:
    output, _ = await box.run("import helper; print(helper.x)", {"helper.py": b"x = 42\n"})
    assert output["stdout"] == "42\n", output


async def test_nothing_else_the_machine_has_installed_can_be_imported(box: Sandboxed) -> None:
    source = """
import importlib.util, sys
print([n for n in ("psutil", "pydantic", "yaml", "pip", "structlog", "concilium") if importlib.util.find_spec(n)])
print([p for p in sys.path if "site-packages" in p or "dist-packages" in p])
"""
    assert await box.says(source) == "[]\n[]"


async def test_a_script_cannot_change_the_packages(box: Sandboxed) -> None:
    source = """
import os, pytest
folder = os.path.dirname(os.path.dirname(pytest.__file__))
for act in (lambda: open(folder + "/new.py", "w"), lambda: open(pytest.__file__, "a"), lambda: os.chmod(folder, 0o777),
            lambda: os.rename(folder + "/pytest", folder + "/other")):
    try:
        act()
        print("changed")
    except OSError:
        pass
"""
    assert await box.says(source) == ""


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        (["pytest==0.0.1"], "pip install 'pytest==0.0.1'"),
        (["no-such-thing-here==1"], "no-such-thing-here==1 is not installed"),
        (["pytest"], "'pytest' is no pin"),
        (["pytest>=1"], "is no pin"),
        (["pytest==9.*"], "is no pin"),
        (["../evil==1"], "is no pin"),
        (["ruff==0.17.5", "Ruff==0.17.4"], "twice"),
    ],
)
async def test_a_pin_that_is_not_met_is_told_with_what_to_do(agent: CodeAgent, pins: list[str], said: str) -> None:
    broken = agent.with_settings(packages=pins)
    problem = await broken.fails("code.run", {"source": "print(1)"})
    assert (problem.type, problem.retryable) == ("packages-missing", False)
    assert said in problem.detail
    await code.warm_up(broken.settings)  # says so in the log, and leaves the agent up


async def test_an_empty_list_leaves_the_standard_library(agent: CodeAgent) -> None:
    bare = agent.with_settings(packages=[])
    output = await bare.run(
        "code.run", {"source": "import json\ntry: import pytest\nexcept ImportError: print('none')"}
    )
    assert (output["stdout"], output["sandbox"]["packages"]) == ("none\n", [])
    problem = await bare.fails("code.test", {"tests": "def test(): pass"})
    assert problem.type == "no-pytest"
    checked = await bare.run("code.check", {"source": "import os"})
    assert "ruff is not in settings.packages" in checked["notes"][0]


async def test_a_folder_that_others_can_write_to_is_refused(agent: CodeAgent, own: Path) -> None:
    settings = {"packages": ["iniconfig==" + version("iniconfig")], "packages_folder": str(own / "p")}
    found = await asyncio.to_thread(prepare, settings, PYTHON)
    found.folder.chmod(0o777)
    with pytest.raises(packages.PackagesError, match="another account"):
        await asyncio.to_thread(prepare, settings, PYTHON)


async def test_two_processes_at_once_make_one_folder(own: Path) -> None:
    settings = {"packages": ["iniconfig==" + version("iniconfig")], "packages_folder": str(own / "p")}
    found = await asyncio.gather(*(asyncio.to_thread(prepare, settings, PYTHON) for _ in range(4)))
    assert len({each.folder for each in found}) == 1
    assert [path.name for path in (own / "p").iterdir()] == [found[0].folder.name]
    assert (found[0].folder / "iniconfig" / "__init__.py").is_file()
    assert list((found[0].folder / "iniconfig" / "__pycache__").glob("*.pyc")), "compiled once, not at each run"


@pytest.mark.parametrize("folder", ["/tmp/packages", "packages", "/proc/packages"])
async def test_a_place_that_scripts_cannot_be_shown_is_refused(agent: CodeAgent, folder: str) -> None:
    problem = await agent.with_settings(packages_folder=folder).fails("code.run", {"source": "print(1)"})
    assert problem.type == "packages-missing"
    assert "packages_folder" in problem.detail


async def test_an_interpreter_of_another_version_gets_a_folder_of_its_own(own: Path) -> None:
    settings = {"packages": ["iniconfig==" + version("iniconfig")], "packages_folder": str(own / "p")}
    found = await asyncio.to_thread(prepare, settings, PYTHON)
    other = replace(found.python, tag="cpython-399")
    assert packages._digest(other, []) != packages._digest(found.python, [])


async def test_a_place_without_room_is_told(own: Path) -> None:
    (own / "file").write_text("")
    settings = {"packages": ["iniconfig==" + version("iniconfig")], "packages_folder": str(own / "file" / "p")}
    with pytest.raises(packages.PackagesError, match="packages_folder"):
        await asyncio.to_thread(prepare, settings, PYTHON)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an agent.yaml of its owner's for the code agent."""
    monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "home"


def test_the_doctor_is_told_what_scripts_find_and_writes_nothing(home: Path) -> None:
    (found,) = code.describe_engines()
    assert (found.available, found.advice) == (True, "")
    assert f"pytest=={version('pytest')}" in found.found
    assert not home.exists()


def test_the_doctor_is_told_what_is_missing(home: Path) -> None:
    (home / "agents" / "code").mkdir(parents=True)
    shipped_one = (FOLDER / "agent.yaml").read_text()
    pins = f"packages: [pytest=={version('pytest')}"
    assert pins in shipped_one
    (home / "agents" / "code" / "agent.yaml").write_text(shipped_one.replace(pins, "packages: [pytest==1.0.0"))
    (found,) = code.describe_engines()
    assert found.available is False
    assert "pip install 'pytest==1.0.0'" in found.advice
