"""What a rung is: one way to confine a run, and what it does not bound."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .cgroups import Controls
from .job import Limits
from .seccomp import machine, program

WARDEN = Path(__file__).resolve().parent / "warden"
BOX_SLACK = 1 << 20
HOST_KERNEL = "the system calls that the filter allows reach the host's kernel, so a hole in it is not bounded"

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from warden.main import main; main(int(sys.argv[2]))"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/alternatives")
_KERNEL_MEMORY = "kernel memory of pipes and socket pairs is not counted"
_UNTOUCHED = "shared memory that no process still alive has touched is not counted"
_AUTOREAPED = "CPU time of processes whose parent ignores their end is bounded by the wall clock alone"


@dataclass(frozen=True)
class Interpreter:
    """A Python for scripts: the program, and the folder outside the system's that it needs."""

    path: str
    prefix: str | None

    @property
    def readable(self) -> list[str]:
        """What a script may read of the host."""
        shown = [path for path in _SYSTEM if Path(path).exists()]
        return shown + ([self.prefix] if self.prefix else [])


@dataclass(frozen=True)
class Start:
    """What a rung's command is made from."""

    interpreter: Interpreter
    shown: list[str]
    """Paths of the host that the script may read."""
    limits: Limits
    report: int
    """The descriptor that takes the warden's report."""
    call_filter: int
    """The descriptor that the system call filter is read from."""
    name: str
    """The run's, unlike any other's on this machine."""

    def warden(self, interpreter: str, folder: str) -> list[str]:
        """Return the command of the warden whose package lies in ``folder``."""
        return [interpreter, "-I", "-S", "-B", "-c", _BOOT, folder, str(self.report)]


@dataclass(frozen=True)
class Rung:
    """One way to confine a run.

    Attributes:
        name: as records and reports show it.
        besides: what it does not bound, whoever holds the limits.
        command: returns the program that becomes the warden. May ask other programs, so it may take a moment.
        own_root: the run has a root of its own with the box at ``/box``; else the box is a folder of the host.
        framed: only standard input and output reach the warden, so everything it sends comes in frames on the latter.
        grouped: the agent's control groups can hold the run; one with a kernel of its own is out of their reach.
        passes: variables of the agent that the command needs.
        remove: returns the command that removes what a killed command leaves, from the run's name.
        start_s: how long the start may take.
        end_s: how long the command may take to end once its run is told to stop, before it is killed.
    """

    name: str
    besides: tuple[str, ...]
    command: Callable[[Start], list[str]]
    own_root: bool = True
    framed: bool = False
    grouped: bool = True
    passes: tuple[str, ...] = ()
    remove: Callable[[str], list[str]] | None = None
    start_s: float = 5.0
    end_s: float = 0.5

    def unbounded(self, controls: Controls) -> tuple[str, ...]:
        """Return what it does not bound when ``controls`` hold the limits."""
        return (*_left_to_the_supervisor(controls, own_kernel=not self.grouped), *self.besides)

    @property
    def filter(self) -> bytes:
        """The system call filter, empty on a machine without one."""
        kind = machine()
        return program(kind, shared_host=not self.own_root) if kind else b""


def _left_to_the_supervisor(controls: Controls, *, own_kernel: bool) -> Iterator[str]:
    watched = [name for name, held in (("memory", controls.memory), ("processes", controls.processes)) if not held]
    what = f"{', '.join(watched)} and CPU time are" if watched else "CPU time is"
    yield f"{what} watched every 20 ms, so a burst may pass a limit before the run is killed"
    if not controls.memory and not own_kernel:
        yield _KERNEL_MEMORY
        yield _UNTOUCHED
    if not controls.cpu:
        yield _AUTOREAPED


def interpreters() -> list[Interpreter]:
    """Return the Pythons that may run scripts: this process's own without its virtual environment, the system's."""
    own = Path(sys.executable).resolve()
    candidates = [own, Path("/usr/bin/python3").resolve()]
    found = []
    for path in dict.fromkeys(candidates):
        if path.exists():
            beneath_system = any(path.is_relative_to(top) for top in ("/usr", "/bin"))
            found.append(Interpreter(str(path), None if beneath_system else str(path.parents[1])))
    return found


def which(program_name: str, advice: str) -> str:
    """Return where a program is. Raises `FileNotFoundError` with how to get it."""
    found = shutil.which(program_name)
    if not found:
        raise FileNotFoundError(f"{program_name} is not installed{advice}")
    return found
