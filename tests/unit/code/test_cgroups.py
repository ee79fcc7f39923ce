"""Where control groups may be made, read from folders laid out as the kernel's are."""

import os
from pathlib import Path

import pytest

from concilium.workers.code.sandbox import cgroups
from concilium.workers.code.sandbox.cgroups import Controls
from concilium.workers.code.sandbox.job import Limits, SandboxError


class Tree:
    """A machine's mounts and this process's place in them."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.mounts, self.own = root, "", ""
        self._patch = patch

    def mount(self, kind: str, name: str, options: str, path: str, shown_from: str = "/") -> Path:
        """Add a hierarchy, and this process's group in it; return the group's folder."""
        point = self.root / name
        folder = Path(os.path.normpath(point / os.path.relpath(path, shown_from)))
        folder.mkdir(parents=True)
        self.mounts += (
            f"30 20 0:{len(self.mounts)} {shown_from} {point} rw,nosuid shared:9 - {kind} {kind} rw,{options}\n"
        )
        self.own += f"{0 if kind == 'cgroup2' else 5}:{'' if kind == 'cgroup2' else options}:{path}\n"
        return folder

    def find(self) -> Controls:
        for name, text in (("_MOUNTS", self.mounts), ("_OWN", self.own)):
            (self.root / name).write_text(text)
            self._patch.setattr(cgroups, name, self.root / name)
        return cgroups.find()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def _unified(folder: Path, handed_down: str) -> None:
    (folder / "cgroup.procs").touch()
    (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    (folder / "cgroup.subtree_control").write_text(handed_down)


def test_a_machine_without_groups_leaves_all_to_the_supervisor(tree: Tree) -> None:
    controls = tree.find()
    assert controls == cgroups.NONE
    assert controls.label == ""


def test_the_group_above_is_taken_when_the_own_one_hands_nothing_down(tree: Tree) -> None:
    own = tree.mount("cgroup2", "unified", "nsdelegate", "/service/agent")
    (own / "cgroup.subtree_control").mkdir(parents=True)  # cannot be written: the group has processes
    (own / "cgroup.procs").touch()
    _unified(own.parent, "memory pids\n")
    controls = tree.find()
    assert (controls.memory, controls.processes, controls.cpu) == (own.parent,) * 3
    assert controls.label == "cgroup v2"


def test_version_1_is_used_controller_by_controller(tree: Tree) -> None:
    memory = tree.mount("cgroup", "memory", "memory", "/docker/x", shown_from="/docker/x")
    both = tree.mount("cgroup", "cpu,cpuacct", "cpu,cpuacct", "/a")
    controls = tree.find()
    assert (controls.memory, controls.cpu, controls.processes, controls.kill) == (memory, both, None, None)
    assert controls.label == "cgroup v1"


def test_groups_of_agents_that_have_ended_are_removed(tree: Tree) -> None:
    memory = tree.mount("cgroup", "memory", "memory", "/")
    dead, alive = memory / f"concilium-run-{1 << 30}-ab", memory / f"concilium-run-{os.getpid()}-ab"
    dead.mkdir()
    alive.mkdir()
    tree.find()
    assert not dead.exists()
    assert alive.exists()


def test_a_group_that_cannot_be_made_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SandboxError), cgroups.group(Controls(memory=tmp_path / "gone"), Limits()):
        pass
    assert list(tmp_path.iterdir()) == []
