"""One run from job to report: set up, start, watch, end everything, collect, report.

Starting is a good part of what a short run costs, so this package imports little: no dataclasses, hashlib or shutil.
"""

# Plain os calls: importing pathlib would lengthen the start of every run.
# ruff: noqa: PTH108, PTH123

import contextlib
import os
import resource
import select
import signal
import sys
import time

from . import files, kernel, namespaces, payload, watch
from .group import Group
from .relay import Relay
from .wire import Header, encode, read_exactly, read_header, write_all

_LOOK_EVERY_S = 0.02
_INODES, _INODES_GUEST = 16384, 4096
"""Files and folders a run may make; inside gVisor, whose file system does not count them, looking is slow."""
_SLACK = 1 << 20
"""The file system of the box is this much larger than the limit, so that passing the limit can be seen."""


class Run:
    """A run and what is known of it so far."""

    def __init__(self, job: Header, child: int, group: Group, relay: Relay | None) -> None:
        self.job, self.box, self.child, self.group, self.relay = job, str(job["box"]), child, group, relay
        self.started = time.monotonic()
        self.status: int | None = None
        self.limit: str | None = None
        self.peak = watch.Usage()

    @property
    def shares_host(self) -> bool:
        """Whether /proc shows the host's processes and the box is a folder of the host."""
        return bool(self.job["rung"] == "landlock")


def main(report: int) -> None:
    """Carry out the job that comes on standard input and write its report to the descriptor ``report``."""
    os.umask(0o022)  # the agent's own is stricter, and the run's user is another: it must reach its script
    job = read_header(0)
    contents = [(f["folder"], f["name"], read_exactly(0, f["size"])) for f in job["files"]]
    stdin_text = read_exactly(0, job["stdin_size"])
    relay = Relay() if job["framed"] else None
    try:
        try:
            header, blobs = _carry_out(job, contents, stdin_text, relay)
        except OSError as error:
            header, blobs = {"error": str(error)}, []
        with contextlib.suppress(BrokenPipeError):  # the agent has gone; what is left is to clean up
            if relay:
                relay.report(encode(header, blobs))
            else:
                write_all(report, encode(header, blobs))
    finally:
        if job["rung"] == "landlock":
            files.remove(job["box"])


def _carry_out(
    job: Header, contents: list[tuple[str, str, bytes]], stdin_text: bytes, relay: Relay | None
) -> tuple[Header, list[bytes]]:
    tasks = payload.tasks_cap(job)
    if job["rung"] == "namespaces":
        namespaces.enter(job["readable"], job["limits"]["disk"] + _SLACK, _INODES)
    elif job["rung"] == "landlock":
        kernel.adopt_orphans()
    kernel.hide_from_debuggers()
    bell = _ring_on_child_end()
    owner = namespaces.NOBODY if os.geteuid() == 0 else None
    given = files.unpack(job["box"], contents, owner)
    group = Group(job["group"] or (_guest_memory() if job["rung"] == "gvisor" else None))
    streams = (_stdin(job["box"], stdin_text), *(relay.given if relay else (1, 2)))
    run = Run(job, payload.start(job, streams, tasks, group), group, relay)
    _watch(run, bell)
    _end_all(run, bell)
    if relay:
        relay.drain()
    _settle(run)
    collected = files.collect(run.box, given, job["files_max"], job["files_bytes"])
    return _report(run, collected), [content for _, content in collected.files]


def _ring_on_child_end() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    bell, ring = os.pipe()
    os.set_blocking(bell, False)
    os.set_blocking(ring, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python's own handler would let a script's signal through
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    return bell


def _stdin(box: str, text: bytes) -> int:
    path = f"{box}/{files.TMP}/.stdin"
    with open(path, "wb") as file:
        file.write(text)
    descriptor = os.open(path, os.O_RDONLY)
    os.unlink(path)
    return descriptor


def _guest_memory() -> Header:
    """Return how to read what gVisor's kernel gave to all processes and files of its only sandbox together."""
    meminfo = os.open("/proc/meminfo", os.O_RDONLY | os.O_CLOEXEC)
    return {"enter": [], "kill": None, "values": {"memory": [meminfo, ["Active(anon):"], 1024]}}


def _watch(run: Run, bell: int) -> None:
    """Return when the script ended, passed a limit, or the agent said stop (end of file on standard input)."""
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(bell, select.POLLIN)
    if run.relay:
        run.relay.started()
        for end in run.relay.kinds:
            poll.register(end, select.POLLIN | select.POLLHUP)
    due = time.monotonic() + _LOOK_EVERY_S
    while True:
        events = dict(poll.poll(max(0, due - time.monotonic()) * 1000))
        if bell in events:
            os.read(bell, 4096)
        for end in set(run.relay.kinds) & set(events) if run.relay else ():
            _pass_on(run.relay, end, poll)
        _reap(run)
        if run.status is not None or 0 in events:
            return
        before = time.monotonic()
        if before < due:
            continue
        run.limit = _look(run)
        if run.limit:
            return
        # On a shared host a look reads every process of the machine: spend a fifth of the time on it, not more.
        due = time.monotonic() + max(_LOOK_EVERY_S, 4 * (time.monotonic() - before))


def _pass_on(relay: Relay | None, end: int, poll: select.poll) -> None:
    if relay:
        relay.pass_on(end)
        if end not in relay.kinds:
            poll.unregister(end)


def _look(run: Run) -> str | None:
    """Measure, remember the peaks, and return the name of the limit that was passed."""
    limits = run.job["limits"]
    members = _members(run)
    now = _measure(run, members)
    peak = run.peak
    peak.cpu_s = max(peak.cpu_s, now.cpu_s)
    peak.memory, peak.disk = max(peak.memory, now.memory), max(peak.disk, now.disk)
    peak.processes = max(peak.processes, now.processes)
    passed = {
        "processes": now.processes > limits["processes"],
        "memory": now.memory > limits["memory"],
        "disk": now.disk > limits["disk"],
        "cpu-time": now.cpu_s > limits["cpu_s"],
        "wall-time": time.monotonic() - run.started > limits["wall_s"],
    }
    return run.group.refused() or next((name for name, is_passed in passed.items() if is_passed), None)


def _members(run: Run) -> list[watch.Process]:
    if run.shares_host:
        return watch.descendants(os.getpid())
    if run.group.counts_all:
        return []
    return [process for process in watch.processes() if process.pid != os.getpid()]


def _measure(run: Run, members: list[watch.Process]) -> watch.Usage:
    """Return what the run uses now: from its control group where the kernel counts it, else added up from /proc."""
    cpu_s, memory, processes = (run.group.value(name) for name in ("cpu_s", "memory", "processes"))
    if cpu_s is None:
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = reaped.ru_utime + reaped.ru_stime + sum(process.cpu_s for process in members)
    if memory is None:
        memory = watch.memory(members, run.job["limits"]["memory"])
    if processes is None:
        processes = sum(process.threads for process in members if process.state != "Z")
    return watch.Usage(cpu_s, int(memory), _disk(run, members), int(processes))


def _disk(run: Run, members: list[watch.Process]) -> int:
    most = _INODES_GUEST if run.job["rung"] == "gvisor" else _INODES
    used, count = watch.folder_use(run.box, members, most) if run.shares_host else watch.tmpfs_use(run.box)
    if count is None:
        _, count = watch.folder_use(run.box, [], most)
    # Running out of files ends a run like running out of bytes.
    full = count >= most - 8
    return max(used, run.job["limits"]["disk"] + 1) if full else used


def _reap(run: Run) -> bool:
    """Collect every ended child, adopted ones too; return whether any child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if not pid:
            return True
        if pid == run.child:
            run.status = status


def _end_all(run: Run, bell: int) -> None:
    """Kill everything the run started, daemons too, and return when all of it is gone."""
    while True:
        run.group.kill()
        if run.shares_host:
            for process in watch.descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        if not _reap(run):
            return
        select.select([bell], [], [], 0.005)
        with contextlib.suppress(BlockingIOError):
            os.read(bell, 4096)


def _settle(run: Run) -> None:
    """Name the limit that ended a run between two looks."""
    now = _measure(run, [])
    run.peak.cpu_s = now.cpu_s
    run.peak.disk = max(run.peak.disk, now.disk)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    run.peak.memory = max(run.peak.memory, largest)
    run.peak.processes = max(run.peak.processes, 1)
    signaled = os.WTERMSIG(run.status) if run.status is not None and os.WIFSIGNALED(run.status) else 0
    run.limit = run.limit or run.group.refused()
    if run.limit is None and (signaled == signal.SIGXFSZ or now.disk > run.job["limits"]["disk"]):
        run.limit = "disk"
    if run.limit is None and (signaled == signal.SIGXCPU or now.cpu_s > run.job["limits"]["cpu_s"]):
        run.limit = "cpu-time"


def _report(run: Run, collected: files.Collected) -> Header:
    code = os.waitstatus_to_exitcode(run.status) if run.status is not None else None
    return {
        "error": None,
        "exit_code": code if code is not None and code >= 0 else None,
        "signal": -code if code is not None and code < 0 else None,
        "limit": run.limit,
        "duration_s": time.monotonic() - run.started,
        "cpu_s": run.peak.cpu_s,
        "memory_peak": run.peak.memory,
        "disk": run.peak.disk,
        "processes_peak": run.peak.processes,
        "files": [{"name": name, "size": len(content)} for name, content in collected.files],
        "omitted": collected.omitted,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]))
