"""What a sandbox is asked for and what it answers. Sizes in bytes, times in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

KIB = 1024
MIB = 1024 * KIB


class SandboxError(Exception):
    """The sandbox itself did not hold or did not answer; nothing of the run's outcome is known."""


@dataclass(frozen=True)
class Limits:
    """Bounds on a whole run: all its processes together."""

    cpu_s: float = 30.0
    wall_s: float = 60.0
    memory_bytes: int = 512 * MIB
    disk_bytes: int = 64 * MIB
    output_bytes: int = MIB
    processes: int = 64
    """Processes and threads."""
    files_max: int = 32
    files_bytes: int = 16 * MIB


@dataclass(frozen=True)
class File:
    name: str
    content: bytes


@dataclass(frozen=True)
class Job:
    """A script to run once."""

    language: str
    """``python`` or ``shell``."""
    source: bytes
    name: str = "main"
    """The script's file name, as its messages show it."""
    stdin: bytes = b""
    files: tuple[File, ...] = ()
    arguments: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    """Absolute paths of the host that the script may read besides the system's, at the same place inside. The user
    nobody must be able to reach them: every folder above open for passing, the contents for reading."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides, or in place of, the sandbox's own (PATH, HOME, TMPDIR, OUT, LANG, LC_ALL); ``{box}`` in a
    value stands for the folder of the run."""
    limits: Limits = Limits()


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what it left."""

    stdout: bytes
    stderr: bytes
    truncated: bool
    exit_code: int | None
    signal: int | None
    limit: str | None
    """``cpu-time``, ``wall-time``, ``memory``, ``disk``, ``output`` or ``processes``: what ended the run."""
    duration_s: float
    cpu_s: float = 0.0
    memory_peak: int = 0
    disk: int = 0
    processes_peak: int = 0
    files: tuple[File, ...] = ()
    omitted: tuple[str, ...] = ()
