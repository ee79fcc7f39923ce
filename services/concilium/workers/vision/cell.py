"""A process of its own for every picture from outside, so that a hostile one can harm nothing but its own run.

A decoder is a large program that reads bytes anybody may have written. Here it works in a *cell*: a process forked for
one job from a server that has everything loaded (a few milliseconds), with a bound on memory, processor time and the
clock, without the right to open one more file or socket, and killed when the run is cancelled. What a cell answers is
data: JSON and bytes, never pickled.

It is a bound, not a sandbox: a decoder taken over by its picture cannot open files or connections, but it is still a
process of the agent's user.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from concilium.contracts.base import JSON
from concilium.contracts.limits import MIB
from concilium.workers.runtime.confine import confine
from concilium.workers.runtime.skill import SkillFailed

CELLS = 2
"""At work at once; more wait for their turn."""
ANSWER_BYTES = 256 * MIB
"""The largest part of an answer: 64 million pixels of three bytes fit."""

Job = Callable[[dict[str, JSON], Sequence[bytes]], "Answer"]
"""What a cell does: a function of a module, of options as JSON and of files. It may raise `SkillFailed`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one cell may take."""

    memory_bytes: int = 1536 * MIB
    """Beyond what the server has loaded."""
    cpu_s: int = 30
    wall_s: float = 60.0


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job found, as JSON and as bytes."""

    found: JSON
    parts: tuple[bytes, ...] = ()


class CellError(RuntimeError):
    """A job has a fault of its own; the text is its traceback."""


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__.rpartition(".")[0]])
_starting = threading.Lock()
# A thread to each cell, apart from those that read text: a long reading must not keep a quick look waiting.
_pool = ThreadPoolExecutor(CELLS, thread_name_prefix="cell")


async def in_cell(job: Job, options: dict[str, JSON], *files: bytes) -> Answer:
    """Do a job in a cell.

    Raises:
        SkillFailed: the job's own; ``image-too-large`` (memory), ``image-timeout``, ``image-damaged`` (it died).
        CellError: the job is faulty.
    """
    cell = _Cell()
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool, cell.ask, job, options, files)
    finally:
        cell.end()


async def warm_up() -> None:
    """Start the server the cells are forked from, about a second."""
    await in_cell(_nothing, {})


def _nothing(_options: dict[str, JSON], _files: Sequence[bytes]) -> Answer:
    return Answer(None)


class _Cell:
    """One process; `ask` on a thread, `end` from anywhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: ForkServerProcess | None = None
        self._over = False

    def ask(self, job: Job, options: dict[str, JSON], files: Sequence[bytes]) -> Answer:
        """Return the answer; the process is gone afterwards. Blocking."""
        here, there = _context.Pipe()
        with here:
            with there:
                process = _context.Process(target=_serve, args=(there, job, LIMITS), daemon=True)
                with _starting:
                    process.start()
            try:
                with self._lock:
                    self._process = process
                if self._over:
                    raise SkillFailed("canceled", "the run was canceled")
                return _talk(here, options, files)
            except (EOFError, OSError) as error:
                process.join(1)
                raise _died(process.exitcode, LIMITS) from error
            finally:
                self._put_away(process)

    def end(self) -> None:
        """Kill the process, if it lives."""
        with self._lock:
            self._over = True
            if self._process is not None:
                self._process.kill()

    def _put_away(self, process: ForkServerProcess) -> None:
        with self._lock:
            self._process = None
        process.kill()
        process.join()
        process.close()


def _talk(pipe: "Connection[bytes, bytes]", options: dict[str, JSON], files: Sequence[bytes]) -> Answer:
    pipe.send_bytes(json.dumps([options, len(files)]).encode())
    for content in files:
        pipe.send_bytes(content)
    outcome, said, count = json.loads(pipe.recv_bytes(ANSWER_BYTES))
    if outcome == "failed":
        raise SkillFailed(**said)
    if outcome == "faulty":
        raise CellError(said)
    return Answer(said, tuple(pipe.recv_bytes(ANSWER_BYTES) for _ in range(count)))


def _died(code: int | None, limits: Limits) -> SkillFailed:
    """Return what the end of a process without an answer means."""
    if code in (-signal.SIGALRM, -signal.SIGXCPU):
        return SkillFailed("image-timeout", f"the image takes more than {limits.cpu_s} s of work")
    return SkillFailed("image-damaged", "the decoder broke off on this image")


def _serve(pipe: "Connection[bytes, bytes]", job: Job, limits: Limits) -> None:
    """Do one job: the cell's whole life."""
    _let_go(pipe.fileno())
    confine(limits.memory_bytes, limits.cpu_s)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s)
    options, count = json.loads(pipe.recv_bytes())
    files = [pipe.recv_bytes() for _ in range(count)]
    outcome, said, parts = _outcome(job, options, files, limits)
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        pipe.send_bytes(json.dumps([outcome, said, len(parts)]).encode())
        for part in parts:
            pipe.send_bytes(part)


def _outcome(
    job: Job, options: dict[str, JSON], files: Sequence[bytes], limits: Limits
) -> tuple[str, JSON, tuple[bytes, ...]]:
    try:
        answer = job(options, files)
        return "done", answer.found, answer.parts
    except SkillFailed as error:
        problem = error.problem
        return "failed", {"type": problem.type, "detail": problem.detail, "retryable": problem.retryable}, ()
    except MemoryError:
        detail = f"the image takes more than {limits.memory_bytes // MIB} MiB of memory"
        return "failed", {"type": "image-too-large", "detail": detail}, ()
    except Exception:  # noqa: BLE001 - the parent raises it again, with this traceback
        return "faulty", traceback.format_exc(limit=-8), ()


def _let_go(kept: int) -> None:
    """Close all that was inherited but the pipe: also what keeps the server alive when the agent is gone."""
    os.closerange(3, kept)
    os.closerange(kept + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
