"""Control groups for runs: where they may be made, one run's group, and its end.

The kernel's interfaces: Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1/{memory,pids,cpuacct}.rst. A machine may
have version 2, version 1, or both, with each controller in one of them. What a machine does not let this process make
is left to the warden's supervisor.
"""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .job import Limits, SandboxError

_PREFIX = "concilium-run-"
_EMPTY_WITHIN_S = 2.0
_MOUNTS, _OWN = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Controls:
    """Folders in which a run's groups may be made, by what they hold; None where there is none for this process."""

    memory: Path | None = None
    processes: Path | None = None
    cpu: Path | None = None
    kill: Path | None = None
    unified: Path | None = None
    """The one of version 2, when there is one."""

    @property
    def folders(self) -> set[Path]:
        """Every folder that gets a group for a run."""
        return {folder for folder in (self.memory, self.processes, self.cpu, self.kill) if folder}

    @property
    def label(self) -> str:
        """What to call it; empty when nothing is held by a group."""
        versions = {"2" if folder == self.unified else "1" for folder in self.folders}
        return f"cgroup v{' and v'.join(sorted(versions))}" if versions else ""


NONE = Controls()


def find() -> Controls:
    """Look, by making and removing an empty group, where groups may be made. Removes groups that dead agents left."""
    legacy, unified = _folders()
    two = _usable_unified(unified)
    active = _words(two / "cgroup.subtree_control") if two else set()
    memory = two if "memory" in active else _usable(legacy.get("memory"))
    processes = two if "pids" in active else _usable(legacy.get("pids"))
    cpu = two or _usable(legacy.get("cpuacct"))
    controls = Controls(memory, processes, cpu, two if two and _kills(two) else None, two)
    for folder in controls.folders:
        _sweep(folder)
    return controls


def _folders() -> tuple[dict[str, Path], Path | None]:
    """Return this process's own folder for each controller of version 1, and the one of version 2."""
    legacy: dict[str, Path] = {}
    unified = None
    with contextlib.suppress(OSError):
        own = dict(line.split(":", 2)[1:] for line in _OWN.read_text(encoding="utf-8").splitlines())
        for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
            head, _, tail = line.partition(" - ")
            _, _, _, root, point, *_ = head.split()
            kind, _, options = tail.split(" ", 2)
            if kind == "cgroup2" and "" in own:
                unified = _beneath(point, root, own[""])
            elif kind == "cgroup":
                for names, path in own.items():
                    if names and set(names.split(",")) <= set(options.split(",")):
                        legacy.update(dict.fromkeys(names.split(","), _beneath(point, root, path)))
    return legacy, unified


def _beneath(point: str, root: str, path: str) -> Path:
    """Return where a group's path lies under a mount that shows the hierarchy from ``root`` on."""
    return Path(os.path.normpath(os.path.join(point, os.path.relpath(path, root))))  # noqa: PTH118 - pure text


def _usable_unified(own: Path | None) -> Path | None:
    """Return the own group or the one above it, whichever lets groups be made, best with its controllers on.

    A group with processes cannot hand controllers down (but for the root), so a service that was given a subtree keeps
    its processes in a group below it.
    """
    candidates = [folder for folder in (own, own.parent if own else None) if folder]
    usable = [folder for folder in candidates if (folder / "cgroup.procs").exists() and _usable(folder)]
    for folder in usable:
        for name in ("memory", "pids"):
            if name in _words(folder / "cgroup.controllers") - _words(folder / "cgroup.subtree_control"):
                with contextlib.suppress(OSError):
                    (folder / "cgroup.subtree_control").write_text(f"+{name}", encoding="ascii")
    return max(
        usable, key=lambda folder: len(_words(folder / "cgroup.subtree_control") & {"memory", "pids"}), default=None
    )


def _words(path: Path) -> set[str]:
    try:
        return set(path.read_text(encoding="ascii").split())
    except OSError:
        return set()


def _usable(folder: Path | None) -> Path | None:
    """Return the folder when this process may make and remove groups in it."""
    if folder is None:
        return None
    trial = folder / _name()
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError:
        return None
    return folder


def _kills(folder: Path) -> bool:
    """Whether groups below have ``cgroup.kill`` (Linux 5.14)."""
    trial = folder / _name()
    try:
        trial.mkdir()
        found = (trial / "cgroup.kill").exists()
        trial.rmdir()
    except OSError:
        return False
    return found


def _name() -> str:
    return f"{_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"


def _sweep(folder: Path) -> None:
    """Remove empty groups whose agent has ended; one with processes refuses to be removed."""
    for group in folder.glob(f"{_PREFIX}*"):
        pid = group.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            with contextlib.suppress(OSError):
                group.rmdir()


@dataclass
class Group:
    """One run's groups, and the descriptors through which the warden, who cannot see them, reads and ends them."""

    controls: Controls
    folders: dict[Path, Path] = field(default_factory=dict)
    """Group by the folder it was made in."""
    descriptors: list[int] = field(default_factory=list)
    spec: dict[str, Any] | None = None
    """What the warden is told; see ``warden/group.py``."""

    def _open(self, path: Path, flags: int = os.O_RDONLY) -> int:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        self.descriptors.append(descriptor)
        return descriptor

    def _reading(self, path: Path, *keys: str, scale: float = 1) -> list[Any] | None:
        return [self._open(path), keys, scale] if path.exists() else None

    def fill(self, limits: Limits) -> None:
        """Make the groups and write their limits. Raises `OSError`."""
        controls = self.controls
        name = _name()
        for parent in controls.folders:
            group = parent / name
            group.mkdir()
            self.folders[parent] = group
        values: dict[str, list[Any] | None] = {}
        if controls.memory:
            values |= self._memory(self.folders[controls.memory], limits, two=controls.memory == controls.unified)
        if controls.processes:
            group = self.folders[controls.processes]
            (group / "pids.max").write_text(str(limits.processes), encoding="ascii")
            values["processes"] = self._reading(group / "pids.current")
            values["processes_refused"] = self._reading(group / "pids.events", "max")
        if controls.cpu:
            group = self.folders[controls.cpu]
            values["cpu_s"] = (
                self._reading(group / "cpu.stat", "usage_usec", scale=1e-6)
                if controls.cpu == controls.unified
                else self._reading(group / "cpuacct.usage", scale=1e-9)
            )
        kill = self._open(self.folders[controls.kill] / "cgroup.kill", os.O_WRONLY) if controls.kill else None
        enter = [self._open(group / "cgroup.procs", os.O_WRONLY) for group in self.folders.values()]
        self.spec = {"enter": enter, "kill": kill, "values": {name: value for name, value in values.items() if value}}

    def _memory(self, group: Path, limits: Limits, *, two: bool) -> dict[str, list[Any] | None]:
        """Bound memory of every kind, swap included, and kill the whole group where the kernel can."""
        limit = str(limits.memory_bytes)
        if two:
            files = {"memory.max": limit, "memory.swap.max": "0", "memory.oom.group": "1"}
        else:
            files = {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes": limit}
        for name, text in files.items():
            if name in ("memory.max", "memory.limit_in_bytes") or (group / name).exists():  # no swap, no such file
                (group / name).write_text(text, encoding="ascii")
        events = group / ("memory.events" if two else "memory.oom_control")
        return {
            "memory": self._reading(group / "memory.stat", "anon" if two else "rss", "shmem"),
            "memory_refused": self._reading(events, "oom_kill"),
        }

    def _members(self) -> set[int]:
        found: set[int] = set()
        for group in self.folders.values():
            with contextlib.suppress(OSError):
                found |= {int(word) for word in (group / "cgroup.procs").read_text(encoding="ascii").split()}
        return found

    def kill(self) -> None:
        """Kill everything in the groups that is there now."""
        if self.controls.kill in self.folders:
            with contextlib.suppress(OSError):
                (self.folders[self.controls.kill] / "cgroup.kill").write_text("1", encoding="ascii")
        for pid in self._members():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill what is left in the groups and remove them. Normally nothing is left, and this takes no time."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()
        deadline = time.monotonic() + _EMPTY_WITHIN_S
        while self._members() and time.monotonic() < deadline:
            self.kill()
            time.sleep(0.002)
        for group in self.folders.values():
            with contextlib.suppress(OSError):  # the next agent's sweep removes it
                group.rmdir()


@contextlib.contextmanager
def group(controls: Controls, limits: Limits) -> Iterator[Group]:
    """Hold a run's groups; without controls there is nothing to hold, and ``spec`` stays None.

    Raises:
        SandboxError: the groups could not be made, though they could when it was tried.
    """
    made = Group(controls)
    try:
        if controls.label:
            try:
                made.fill(limits)
            except OSError as error:
                raise SandboxError(f"control group: {error}") from error
        yield made
    finally:
        made.end()
