"""The agent's side of a run: hand the job over, bound the output, take the report."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field, replace

from .job import File, Limits, Outcome, SandboxError
from .pipe import Pipe
from .rung import Rung
from .warden.wire import CHUNK, FRAME, LENGTH, REPORT, STDERR, Header

_LAST_WORDS_S = 0.5
_STDERR_SHOWN = 400
_COMPLAINTS = 1 << 16
_REPORT_HEAD = 1 << 20


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


async def attend(
    process: asyncio.subprocess.Process, ends: dict[str, Pipe], job: bytes, rung: Rung, limits: Limits
) -> Outcome:
    """Hand the job over, keep what comes back within its limits, and return how the run ended.

    Raises:
        SandboxError: no report came, or one that cannot be.
    """
    started = time.monotonic()
    output = _Output(limits.output_bytes)
    complaints = _Output(_COMPLAINTS) if rung.framed else output
    unframed = asyncio.StreamReader(limit=CHUNK)
    report = unframed if rung.framed else ends["report"]
    helpers = [
        asyncio.ensure_future(_feed(process, job)),
        asyncio.ensure_future(
            _unframe(process, ends["stdout"], output, unframed, limits)
            if rung.framed
            else _pump(process, ends["stdout"], "stdout", output)
        ),
        asyncio.ensure_future(_pump(process, ends["stderr"], "stderr", complaints)),
    ]
    try:
        async with asyncio.timeout(limits.wall_s + rung.start_s):
            outcome = await _read_report(report, limits)
            await asyncio.gather(*helpers)
    except TimeoutError:
        outcome = Outcome(b"", b"", False, None, None, "wall-time", time.monotonic() - started)
    except asyncio.IncompleteReadError as error:
        await asyncio.wait(helpers, timeout=_LAST_WORDS_S)
        tail = bytes(complaints.streams["stderr"][-_STDERR_SHOWN:]).decode("utf-8", "replace").strip()
        raise SandboxError(f"the warden ended without a report: {tail or 'no message'}") from error
    finally:
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


async def _feed(process: asyncio.subprocess.Process, frame: bytes) -> None:
    """Hand the job over. The pipe stays open: its end tells the warden to stop."""
    if process.stdin:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then the report says what went wrong
            process.stdin.write(frame)
            await process.stdin.drain()


async def _pump(process: asyncio.subprocess.Process, stream: Pipe, name: str, output: _Output) -> None:
    while chunk := await stream.read(CHUNK):
        output.take(name, chunk)
        if output.flooded and process.stdin:
            process.stdin.close()


async def _unframe(
    process: asyncio.subprocess.Process,
    frames: Pipe,
    output: _Output,
    report: asyncio.StreamReader,
    limits: Limits,
) -> None:
    """Take the warden's frames apart: the script's output, and the report."""
    left = limits.files_bytes + _REPORT_HEAD
    try:
        while True:
            kind, size = FRAME.unpack(await frames.readexactly(FRAME.size))
            chunk = await frames.readexactly(min(size, CHUNK))
            if kind == REPORT:
                left -= len(chunk)
                if left < 0:
                    return
                report.feed_data(chunk)
            else:
                output.take("stderr" if kind == STDERR else "stdout", chunk)
                if output.flooded and process.stdin:
                    process.stdin.close()
    except asyncio.IncompleteReadError:
        return  # the end
    finally:
        report.feed_eof()


async def _read_report(reader: asyncio.StreamReader | Pipe, limits: Limits) -> Outcome:
    (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if size > _REPORT_HEAD:
        raise SandboxError("the warden's report is too large")
    header: Header = json.loads(await reader.readexactly(size))
    if header["error"]:
        raise SandboxError(str(header["error"]))
    entries = header["files"]
    if sum(entry["size"] for entry in entries) > limits.files_bytes or len(entries) > limits.files_max:
        raise SandboxError("the warden's report is too large")
    if any(not _plain(entry["name"]) for entry in entries):
        raise SandboxError("the warden's report names a file that cannot be")
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


def _plain(name: str) -> bool:
    """Whether a name stays within its folder."""
    return "\0" not in name and not any(part in ("", ".", "..") for part in name.split("/"))
