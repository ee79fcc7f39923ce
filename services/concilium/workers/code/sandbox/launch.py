"""Carry out one job on one rung: start the warden, feed it, bound the output, take its report.

Nothing here blocks the event loop.
"""

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path

from .job import File, Job, Limits, Outcome, SandboxError
from .rungs import Interpreter, Rung
from .warden.namespaces import NOBODY
from .warden.wire import LENGTH, Header, encode

_GRACE_S = 0.5
"""How long a warden that was told to stop may take before it is killed."""
_SETUP_S = 5.0
_CHUNK = 1 << 16
_STDERR_SHOWN = 400


@dataclass
class _Output:
    """Both streams under one cap."""

    cap: int
    streams: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    flooded: bool = False

    def take(self, name: str, chunk: bytes) -> None:
        """Keep what the cap leaves room for."""
        room = self.cap - sum(map(len, self.streams.values()))
        self.streams[name] += chunk[:room]
        self.flooded = self.flooded or len(chunk) > room


async def carry_out(rung: Rung, interpreter: Interpreter, job: Job) -> Outcome:
    """Run the job and return how it ended. Whatever happens, cancellation included, nothing of the run is left behind.

    Raises:
        SandboxError: the rung did not hold; nothing of the script ran, or what it did is unknown.
    """
    box = "/box" if rung.own_root else tempfile.mkdtemp(prefix="concilium-run-")
    try:
        if not rung.own_root:
            os.chmod(box, 0o711)  # noqa: PTH101, S103 - the run's user must pass through; its folders are private
        return await _in_box(rung, interpreter, job, box)
    finally:
        if not rung.own_root:
            shutil.rmtree(box, ignore_errors=True)


async def _in_box(rung: Rung, interpreter: Interpreter, job: Job, box: str) -> Outcome:
    # Pipes of our own: an event loop may give a process sockets, which a script cannot open again as /dev/stdout.
    pipes = {name: os.pipe() for name in ("stdout", "stderr", "report")}
    ends = {name: os.fdopen(end, "rb", buffering=0) for name, (end, _) in pipes.items()}
    if os.geteuid() == 0:  # the script is nobody; only the pipe's owner may open /dev/stdout
        for name in ("stdout", "stderr"):
            os.fchown(pipes[name][1], NOBODY, NOBODY)
    filter_end = _pipe_with(rung.filter)
    try:
        process = await asyncio.create_subprocess_exec(
            *rung.command(interpreter, job.limits, pipes["report"][1], filter_end),
            stdin=asyncio.subprocess.PIPE,
            stdout=pipes["stdout"][1],
            stderr=pipes["stderr"][1],
            pass_fds=(pipes["report"][1], filter_end),
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    except BaseException as error:
        for end in ends.values():
            end.close()
        if isinstance(error, OSError):
            raise SandboxError(f"{rung.name}: {error}") from error
        raise
    finally:
        for _, given in pipes.values():
            os.close(given)
        os.close(filter_end)
    output = _Output(job.limits.output_bytes)
    try:
        frame = _frame(rung, interpreter, job, box)
        return await _attend(process, ends, frame, output, job.limits)
    finally:
        await _end(process)


def _pipe_with(content: bytes) -> int:
    """Return the reading end of a pipe that holds ``content`` (a few KiB, less than a pipe's buffer)."""
    end, start = os.pipe()
    os.write(start, content)
    os.close(start)
    return end


def _frame(rung: Rung, interpreter: Interpreter, job: Job, box: str) -> bytes:
    command = {
        "python": [interpreter.path, "-I", "-B", "-X", "utf8", "{box}/script/" + job.name],
        "shell": ["/bin/bash" if Path("/bin/bash").exists() else "/bin/sh", "{box}/script/" + job.name],
    }[job.language]
    files = [("script", File(job.name, job.source)), *(("work", file) for file in job.files)]
    limits = job.limits
    header: Header = {
        "rung": rung.name,
        "box": box,
        "readable": interpreter.readable,
        "command": command,
        "arguments": list(job.arguments),
        "environment": {
            "PATH": f"{Path(interpreter.path).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "{box}/work",
            "TMPDIR": "{box}/tmp",
            "OUT": "{box}/out",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        },
        # bubblewrap installs the filter itself
        "seccomp": "" if rung.name == "bubblewrap" else rung.filter.hex(),
        "limits": {
            "cpu_s": limits.cpu_s,
            "wall_s": limits.wall_s,
            "memory": limits.memory_bytes,
            "disk": limits.disk_bytes,
            "processes": limits.processes,
        },
        "files_max": limits.files_max,
        "files_bytes": limits.files_bytes,
        "stdin_size": len(job.stdin),
        "files": [{"folder": folder, "name": file.name, "size": len(file.content)} for folder, file in files],
    }
    return encode(header, [*(file.content for _, file in files), job.stdin])


async def _attend(
    process: asyncio.subprocess.Process, ends: dict[str, FileIO], frame: bytes, output: _Output, limits: Limits
) -> Outcome:
    started = time.monotonic()
    readers = {name: asyncio.StreamReader(limit=_CHUNK) for name in ends}
    transports = [await _connect(end, readers[name]) for name, end in ends.items()]
    helpers = [
        asyncio.ensure_future(_feed(process, frame)),
        asyncio.ensure_future(_pump(process, readers["stdout"], "stdout", output)),
        asyncio.ensure_future(_pump(process, readers["stderr"], "stderr", output)),
    ]
    try:
        async with asyncio.timeout(limits.wall_s + _SETUP_S):
            outcome = await _read_report(readers["report"], limits)
            await asyncio.gather(*helpers)
    except TimeoutError:
        outcome = Outcome(b"", b"", False, None, None, "wall-time", time.monotonic() - started)
    except asyncio.IncompleteReadError as error:
        await asyncio.wait(helpers, timeout=_GRACE_S)
        tail = bytes(output.streams["stderr"][-_STDERR_SHOWN:]).decode("utf-8", "replace").strip()
        raise SandboxError(f"the warden ended without a report: {tail or 'no message'}") from error
    finally:
        for transport in transports:
            transport.close()
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
    return replace(
        outcome,
        stdout=bytes(output.streams["stdout"]),
        stderr=bytes(output.streams["stderr"]),
        truncated=output.flooded,
        limit="output" if output.flooded else outcome.limit,
    )


async def _connect(end: FileIO, reader: asyncio.StreamReader) -> asyncio.ReadTransport:
    """Let the event loop fill ``reader`` from a pipe."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), end)
    return transport


async def _feed(process: asyncio.subprocess.Process, frame: bytes) -> None:
    """Hand the job over. The pipe stays open: its end tells the warden to stop."""
    if process.stdin:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then the report says what went wrong
            process.stdin.write(frame)
            await process.stdin.drain()


async def _pump(process: asyncio.subprocess.Process, stream: asyncio.StreamReader, name: str, output: _Output) -> None:
    while chunk := await stream.read(_CHUNK):
        output.take(name, chunk)
        if output.flooded and process.stdin:
            process.stdin.close()


async def _read_report(reader: asyncio.StreamReader, limits: Limits) -> Outcome:
    (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if size > 1 << 20:
        raise SandboxError("the warden's report is too large")
    header: Header = json.loads(await reader.readexactly(size))
    if header["error"]:
        raise SandboxError(str(header["error"]))
    entries = header["files"]
    if sum(entry["size"] for entry in entries) > limits.files_bytes:
        raise SandboxError("the warden's report is too large")
    files = [File(entry["name"], await reader.readexactly(entry["size"])) for entry in entries]
    return Outcome(
        stdout=b"",
        stderr=b"",
        truncated=False,
        exit_code=header["exit_code"],
        signal=header["signal"],
        limit=header["limit"],
        duration_s=header["duration_s"],
        cpu_s=header["cpu_s"],
        memory_peak=header["memory_peak"],
        disk=header["disk"],
        processes_peak=header["processes_peak"],
        files=tuple(files),
        omitted=tuple(header["omitted"]),
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Return when the warden, and with it everything in the sandbox, is gone."""
    if process.stdin:
        process.stdin.close()
    ending = asyncio.ensure_future(process.wait())
    done, _ = await asyncio.wait({ending}, timeout=_GRACE_S)
    if not done:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await ending
