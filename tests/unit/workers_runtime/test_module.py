"""How an agent's module is found in its owner's folder, and when its code is not run."""

import json
import os
from pathlib import Path

import pytest

from concilium.contracts.errors import Invalid
from concilium.contracts.skill import AgentManifest
from concilium.workers.runtime.module import load_module


def agent(root: Path, name: str, text: str = "skills = {}\n", module: str = "skills.py") -> tuple[AgentManifest, Path]:
    folder = root / "agents" / name
    folder.mkdir(parents=True)
    (folder / "skills.py").write_text(text)
    return AgentManifest(name=name, description="x", module=module, skills=()), folder


def test_two_agents_may_have_files_of_one_name(tmp_path: Path) -> None:
    one = load_module(*agent(tmp_path, "one", "skills = {'a': 1}\n"))
    two = load_module(*agent(tmp_path, "two", "skills = {'b': 2}\n"))
    assert (one.skills, two.skills) == ({"a": 1}, {"b": 2})


def test_a_file_named_like_an_installed_module_hides_nothing(tmp_path: Path) -> None:
    manifest, folder = agent(tmp_path, "clash", "import json\nskills = {'dumps': json.dumps}\n")
    (folder / "json.py").write_text("raise RuntimeError('the wrong json')\n")
    assert load_module(manifest, folder).skills["dumps"] is json.dumps


def test_a_module_may_import_its_neighbours(tmp_path: Path) -> None:
    manifest, folder = agent(tmp_path, "with-dash", "from .words import skills\n")
    (folder / "words.py").write_text("skills = {'n': 1}\n")
    assert load_module(manifest, folder).skills == {"n": 1}


@pytest.mark.parametrize("target", ["", "skills.py", "helper.py", "sub", ".."])
def test_code_that_everybody_could_have_written_is_not_run(tmp_path: Path, target: str) -> None:
    manifest, folder = agent(tmp_path, "open", "raise RuntimeError('it was run')\n")
    (folder / "helper.py").write_text("")
    (folder / "sub").mkdir()
    path = (folder / target).resolve()
    path.chmod(path.stat().st_mode | 0o002)
    with pytest.raises(Invalid, match="can be written by everybody"):
        load_module(manifest, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_code_of_another_account_is_not_run(tmp_path: Path) -> None:
    manifest, folder = agent(tmp_path, "given", "raise RuntimeError('it was run')\n")
    os.chown(folder / "skills.py", 65534, 65534)
    with pytest.raises(Invalid, match="another account"):
        load_module(manifest, folder)


@pytest.mark.parametrize("module", ["../skills.py", "sub/skills.py", "no-module.py", ".py"])
def test_a_module_is_a_file_of_the_agents_own_folder(tmp_path: Path, module: str) -> None:
    manifest, folder = agent(tmp_path, "path", module=module)
    with pytest.raises(Invalid, match="not a file name"):
        load_module(manifest, folder)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    manifest, folder = agent(tmp_path, "lost", module="other.py")
    with pytest.raises(Invalid, match=r"no file .*other\.py"):
        load_module(manifest, folder)
