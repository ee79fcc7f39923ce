"""Carry out one job on one rung: start the warden, attend to it, leave nothing behind.

Nothing here blocks the event loop.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from concilium.workers.runtime.process import start_process

from . import cgroups
from .attend import attend
from .job import File, Job, Outcome, SandboxError
from .pipe import Pipe
from .rung import Interpreter, Rung, Start
from .warden import watch
from .warden.namespaces import NOBODY
from .warden.wire import Header, encode

_REMOVE_S = 10.0
_KILL_S = 2.0


async def carry_out(
    rung: Rung, interpreter: Interpreter, job: Job, controls: cgroups.Controls = cgroups.NONE
) -> Outcome:
    """Run the job and return how it ended. Whatever happens, cancellation included, nothing of the run is left behind.

    Memory, processes and CPU time are held by a control group as far as ``controls`` reach, else by the warden.

    Raises:
        SandboxError: the rung did not hold; nothing of the script ran, or what it did is unknown.
    """
    box = "/box" if rung.own_root else tempfile.mkdtemp(prefix="concilium-run-")
    try:
        if not rung.own_root:
            os.chmod(box, 0o711)  # noqa: PTH101, S103 - the run's user must pass through; its folders are private
        with cgroups.group(controls if rung.grouped else cgroups.NONE, job.limits) as group:
            return await _in_box(rung, interpreter, job, box, group)
    finally:
        if not rung.own_root:
            await asyncio.to_thread(shutil.rmtree, box, ignore_errors=True)


async def _in_box(rung: Rung, interpreter: Interpreter, job: Job, box: str, group: cgroups.Group) -> Outcome:
    name, paths = f"concilium-run-{secrets.token_hex(8)}", shown(interpreter, job)
    # Pipes of our own: an event loop may give a process sockets, which a script cannot open again as /dev/stdout.
    pipes = {stream: os.pipe() for stream in ("stdout", "stderr", *(() if rung.framed else ("report",)))}
    ends = {stream: Pipe(end) for stream, (end, _) in pipes.items()}
    given = {stream: end for stream, (_, end) in pipes.items()}
    if os.geteuid() == 0:  # the script is nobody; only the pipe's owner may open /dev/stdout
        for stream in ("stdout", "stderr"):
            os.fchown(given[stream], NOBODY, NOBODY)
    filter_end = _pipe_with(rung.filter)
    report = given.get("report", 1)
    start = Start(interpreter, paths, job.limits, report, filter_end, name)
    try:
        process = await start_process(
            *await asyncio.to_thread(rung.command, start),
            end=lambda process: _end(process, rung, name, group),
            stdin=asyncio.subprocess.PIPE,
            stdout=given["stdout"],
            stderr=given["stderr"],
            pass_fds=(filter_end, *(() if rung.framed else (report,)), *group.descriptors),
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
            | {n: os.environ[n] for n in rung.passes if n in os.environ},
            start_new_session=True,
        )
    except BaseException as error:
        for end in ends.values():
            end.close()
        if isinstance(error, OSError):
            raise SandboxError(f"{rung.name}: {error}") from error
        raise
    finally:
        for end_given in (*given.values(), filter_end):
            os.close(end_given)
    try:
        return await attend(process, ends, _frame(rung, interpreter, job, box, group), rung, job.limits)
    finally:
        for end in ends.values():
            end.close()
        await _end(process, rung, name, group)


def shown(interpreter: Interpreter, job: Job) -> list[str]:
    """Return what the script may read of the host, without paths that lie beneath another of them."""
    paths = [Path(path) for path in (*interpreter.readable, *job.readable)]
    if any(not path.is_absolute() or ".." in path.parts for path in paths):
        raise SandboxError("a path to show in the sandbox must be absolute and plain")
    return [str(path) for path in dict.fromkeys(paths) if not any(other in path.parents for other in paths)]


def _pipe_with(content: bytes) -> int:
    """Return the reading end of a pipe that holds ``content`` (a few KiB, less than a pipe's buffer)."""
    end, start = os.pipe()
    os.write(start, content)
    os.close(start)
    return end


def _frame(rung: Rung, interpreter: Interpreter, job: Job, box: str, group: cgroups.Group) -> bytes:
    alone = ["-s", "-P"] if "PYTHONPATH" in job.environment else ["-I"]  # -I would ignore the variable
    command = {
        "python": [interpreter.path, *alone, "-B", "-X", "utf8", "{box}/script/" + job.name],
        "shell": ["/bin/bash" if Path("/bin/bash").exists() else "/bin/sh", "{box}/script/" + job.name],
    }[job.language]
    files = [("script", File(job.name, job.source)), *(("work", file) for file in job.files)]
    limits = job.limits
    header: Header = {
        "rung": rung.name,
        "framed": rung.framed,
        "box": box,
        "readable": shown(interpreter, job),
        "command": command,
        "arguments": list(job.arguments),
        "environment": {
            "PATH": f"{Path(interpreter.path).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "{box}/work",
            "TMPDIR": "{box}/tmp",
            "OUT": "{box}/out",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            **job.environment,
        },
        # bubblewrap installs the filter itself
        "seccomp": "" if rung.name == "bubblewrap" else rung.filter.hex(),
        "group": group.spec,
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


async def _end(process: asyncio.subprocess.Process, rung: Rung, name: str, group: cgroups.Group) -> None:
    """Return when the warden, and with it everything in the sandbox, is gone."""
    if process.stdin:
        process.stdin.close()
    ending = asyncio.ensure_future(process.wait())
    done, _ = await asyncio.wait({ending}, timeout=rung.end_s)
    if not done and not rung.own_root:
        # A script can slow the warden down, by holding locks of the folders it looks at; without the script, it ends.
        group.kill()
        await asyncio.to_thread(_kill_below, process.pid)
        done, _ = await asyncio.wait({ending}, timeout=rung.end_s)
    deadline = time.monotonic() + _REMOVE_S
    while rung.remove and not done and time.monotonic() < deadline:
        # The command ends when what it started is gone; killed, it would leave behind what is only being made.
        await asyncio.to_thread(_remove, rung.remove(name))
        done, _ = await asyncio.wait({ending}, timeout=rung.end_s)
    if not done:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if await ending and rung.remove:
        await asyncio.to_thread(_remove, rung.remove(name))


def _kill_below(warden: int) -> None:
    """Kill everything below the warden, who adopts what its descendants leave, until nothing is found."""
    deadline = time.monotonic() + _KILL_S
    while (left := watch.descendants(warden)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)


def _remove(command: list[str]) -> None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # nothing is left, or nobody answers
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_REMOVE_S, check=False)  # noqa: S603 - fixed words
