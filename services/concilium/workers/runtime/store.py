"""What an agent remembers across restarts: finished runs, and the log of executions."""

import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from concilium.contracts.a2a.step import StepTerms
from concilium.contracts.base import utc_now
from concilium.contracts.errors import StaleLease
from concilium.contracts.limits import FENCE_ERA
from concilium.workers.runtime.limits import FENCES_MAX, KEEP_BYTES, KEEP_S, LOG_BYTES

_SUFFIX = ".task"


@dataclass
class FinishedRuns:
    """Finished runs as small files, one each, written atomically.

    A file survives ``kill -9`` of the agent (it is in the page cache), not a power loss: then the run is unknown and
    is started anew.
    """

    folder: Path
    keep_s: float = KEEP_S
    keep_bytes: int = KEEP_BYTES
    _size: int = 0

    def open(self) -> None:
        """Make the folder, drop half-written files and what is too old."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self.folder.glob("*.new"):
            path.unlink(missing_ok=True)
        self.sweep()

    def save(self, run_id: str, data: bytes) -> None:
        """Keep a finished run. Raises OSError, e.g. when the disk is full."""
        path = self._path(run_id)
        new = path.with_suffix(".new")
        new.write_bytes(data)
        new.replace(path)
        self._size += len(data)
        if self._size > self.keep_bytes:
            self.sweep()

    def load(self, run_id: str) -> bytes | None:
        """Return a finished run, or None when it is unknown."""
        try:
            return self._path(run_id).read_bytes()
        except FileNotFoundError:
            return None

    def forget(self, run_id: str) -> None:
        """Remove a finished run; one that is unknown is no error."""
        self._path(run_id).unlink(missing_ok=True)

    def newest_first(self) -> list[str]:
        """Return the ids of all finished runs."""
        return [path.name.removesuffix(_SUFFIX) for _, _, path in self._files()]

    def sweep(self) -> None:
        """Remove runs that are too old, and the oldest ones beyond the size limit."""
        oldest = time.time() - self.keep_s
        kept = 0
        for at, size, path in self._files():
            if at < oldest or kept + size > self.keep_bytes:
                path.unlink(missing_ok=True)
            else:
                kept += size
        self._size = kept

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return (modified, size, path), newest first."""
        with os.scandir(self.folder) as entries:
            found = [(e.stat(), Path(e.path)) for e in entries if e.name.endswith(_SUFFIX)]
        return sorted(((stat.st_mtime, stat.st_size, path) for stat, path in found), reverse=True)

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}{_SUFFIX}"


@dataclass
class ExecutionLog:
    """``executions.jsonl``: one line when a run starts, one when it ends; ids and outcomes, no content."""

    path: Path
    _fd: int = field(default=-1, repr=False)

    def open(self) -> None:
        """Open for appending; a log that is too long is kept once as ``.1``."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.exists() and self.path.stat().st_size > LOG_BYTES:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def write(self, event: str, terms: StepTerms, skill: str, **more: str | float) -> None:
        """Append a line with one system call, so that lines never mix. Raises OSError."""
        line = {
            "at": utc_now().isoformat(),
            "event": event,
            "run_id": terms.run_id,
            "step_key": terms.step_key,
            "attempt": terms.attempt,
            "fence": terms.fence,
            "skill": skill,
            **more,
        }
        os.write(self._fd, orjson.dumps(line) + b"\n")

    def fences(self) -> Iterator[tuple[str, int, int]]:
        """Yield (step_key, fence, attempt) of every readable line."""
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    data = orjson.loads(line)
                    yield data["step_key"], data["fence"], data["attempt"]
                except (orjson.JSONDecodeError, KeyError):
                    continue  # a line cut off by a full disk or a crash


@dataclass
class Fences:
    """The highest fence and attempt seen for each step."""

    _seen: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)

    def restore(self, log: ExecutionLog) -> None:
        """Take over what earlier processes of this agent saw."""
        for step_key, fence, attempt in log.fences():
            self._note(step_key, fence, attempt)

    def raise_to(self, terms: StepTerms) -> bool:
        """Take over a higher fence; return whether it begins a new era (`FENCE_ERA`).

        Then the mesh lives on from a backup, and what is known of the step belongs to a history that is no more.

        Raises:
            StaleLease: a higher fence or attempt is known.
        """
        fence, attempt = self._seen.get(terms.step_key, (0, 0))
        if terms.fence // FENCE_ERA > fence // FENCE_ERA:
            self._note(terms.step_key, terms.fence, terms.attempt)
            return True
        if terms.fence < fence or terms.attempt < attempt:
            raise StaleLease(
                f"step {terms.step_key} is at fence {fence}, attempt {attempt}; "
                f"fence {terms.fence}, attempt {terms.attempt} came too late"
            )
        self._note(terms.step_key, terms.fence, terms.attempt)
        return False

    def _note(self, step_key: str, fence: int, attempt: int) -> None:
        old_fence, old_attempt = self._seen.get(step_key, (0, 0))
        if fence // FENCE_ERA > old_fence // FENCE_ERA:
            old_attempt = 0
        self._seen[step_key] = (max(fence, old_fence), max(attempt, old_attempt))
        self._seen.move_to_end(step_key)
        if len(self._seen) > FENCES_MAX:
            self._seen.popitem(last=False)
