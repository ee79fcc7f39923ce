"""A process of its own for every document from outside, so that a hostile one can harm nothing but its own run.

A parser is a large program that reads bytes anybody may have written. Here it works in a *cell*: a process forked for
one document from a server that has every parser loaded (a few milliseconds), bounded by `confine` and killed when the
run ends for any reason. What it says is data, page by page: each message is checked before it is used, and the next one
is read only when the last was taken, so that neither side holds the whole document's pages.
"""

import asyncio
import contextlib
import multiprocessing
import resource
import signal
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from pydantic import ValidationError

from concilium.contracts.limits import KIB, MIB
from concilium.workers.document import limits
from concilium.workers.document.found import SAID, Failure, Fault, Found, Picture, Said, Unreadable, Usage
from concilium.workers.document.source import Source, Wanted
from concilium.workers.runtime.confine import confine

_PACKAGE = __name__.rpartition(".")[0]
_READERS = f"{_PACKAGE}.formats"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([_READERS])
_starting = threading.Lock()
_pool = ThreadPoolExecutor(16, thread_name_prefix="document")

Pipe = Connection  # of bytes both ways


class CellError(RuntimeError):
    """The reader has a fault of its own; the text is its traceback."""


async def read_document(source: Source) -> AsyncGenerator[tuple[Said, bytes], None]:
    """Yield what a cell finds in a document, each message with the bytes that belong to it (most have none).

    The last is its `Usage`. Close the iterator (``contextlib.aclosing``): the process is gone afterwards.

    Raises:
        Unreadable: the document's own failure; ``document-timeout`` (processor time), ``document-damaged`` (it died).
        CellError: the reader is faulty.
    """
    loop = asyncio.get_running_loop()
    cell = _Cell()
    try:
        await loop.run_in_executor(_pool, cell.start, source)
        while True:
            said, content = await loop.run_in_executor(_pool, cell.next)
            yield said, content
            if isinstance(said, Usage):
                return
    finally:
        cell.kill()
        await asyncio.shield(loop.run_in_executor(_pool, cell.put_away))


class _Cell:
    """One process. All but `kill` block and take turns; `kill` ends what blocks."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: ForkServerProcess | None = None
        self._pipe: Pipe[bytes, bytes] | None = None
        self._over = False

    def start(self, source: Source) -> None:
        """Start the process and hand the document over."""
        with self._turn:
            here, there = _context.Pipe()
            self._pipe = here
            with there:
                process = _context.Process(target=serve, args=(there,), daemon=True)
                with _starting:
                    process.start()
                self._process = process
            if self._over:
                process.kill()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: `next` tells why
                here.send_bytes(source.wanted.model_dump_json().encode())
                here.send_bytes(source.data)

    def next(self) -> tuple[Said, bytes]:
        """Return the next message."""
        with self._turn:
            if self._pipe is None:
                raise CellError("the process was not started")
            try:
                said = SAID.validate_json(self._pipe.recv_bytes(limits.FRAME_BYTES))
                content = self._pipe.recv_bytes(limits.FRAME_BYTES) if isinstance(said, Picture) else b""
            except (EOFError, OSError) as error:
                raise self._death() from error
            except ValidationError as error:
                raise CellError(f"a reader said something unknown: {error.error_count()} errors") from error
        if isinstance(said, Failure):
            raise Unreadable(said.type, said.detail)
        if isinstance(said, Fault):
            raise CellError(said.trace)
        return said, content

    def kill(self) -> None:
        """End the process, if it lives; from any thread."""
        self._over = True
        if self._process is not None:
            self._process.kill()

    def put_away(self) -> None:
        """Wait until the process is gone and forget it."""
        with self._turn:
            if self._process is not None:
                process, self._process = self._process, None
                process.kill()
                process.join()
                process.close()
            if self._pipe is not None:
                self._pipe.close()

    def _death(self) -> Unreadable:
        """Return what the end of a process without a last message means."""
        code = None
        if self._process is not None:
            self._process.join(1)
            code = self._process.exitcode
        if code == -signal.SIGXCPU:
            return Unreadable("document-timeout", "reading the document takes more processor time than one may have")
        memory = f"{limits.MEMORY_BYTES // MIB} MiB"
        return Unreadable("document-damaged", f"the parser broke off: damaged, or in need of more than {memory}")


def serve(pipe: "Pipe[bytes, bytes]") -> None:
    """Read one document: the cell's whole life. The readers were loaded by the server this process is forked from."""
    try:
        from concilium.workers.document import formats  # noqa: PLC0415 - the agent itself never loads a parser
    except ImportError as error:
        detail = f"the parser {error.name} is not installed here: pip install 'concilium[document]'"
        pipe.send_bytes(Failure(type="parser-missing", detail=detail).model_dump_json().encode())
        return
    wanted = Wanted.model_validate_json(pipe.recv_bytes(64 * KIB))
    confine(limits.MEMORY_BYTES, wanted.cpu_s)
    source = Source(pipe.recv_bytes(), wanted)
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        for said, content in _guarded(formats.read(source)):
            pipe.send_bytes(said.model_dump_json(exclude_none=True).encode(errors="replace"))
            if content:
                pipe.send_bytes(content)


def _guarded(messages: Iterator[tuple[Found, bytes]]) -> Iterator[tuple[Found, bytes]]:
    """Yield a reader's messages; an exception becomes the last of them, else the usage is."""
    try:
        yield from messages
    except Unreadable as error:
        yield Failure(type=error.type, detail=error.detail), b""
    except MemoryError:
        detail = f"reading the document takes more than {limits.MEMORY_BYTES // MIB} MiB of memory"
        yield Failure(type="document-too-large", detail=detail), b""
    except RecursionError:
        yield Failure(type="document-hostile", detail="parts are nested deeper than in any real document"), b""
    except Exception as error:  # noqa: BLE001 - what it means is told by where it was raised
        yield _meaning(error), b""
    else:
        yield _usage(), b""


def _meaning(error: Exception) -> Failure | Fault:
    """Return what an exception means: a parser that gave up on a damaged file, or a fault of ours."""
    place = traceback.extract_tb(error.__traceback__)[-1].filename
    if "/workers/document/" in place:
        return Fault(trace="".join(traceback.format_exception(error, limit=-8)))
    return Failure(type="document-damaged", detail=f"the parser gave up: {type(error).__name__}: {error}"[:500])


def _usage() -> Usage:
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / (KIB if sys.platform != "darwin" else MIB)
    return Usage(cpu_s=round(used.ru_utime + used.ru_stime, 3), peak_mib=round(peak, 1))
