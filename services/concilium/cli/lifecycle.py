"""Start, stop and look at the mesh of a home."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil

from concilium.cli import logfile, pidfile
from concilium.cli.errors import CliError
from concilium.cli.keyfiles import ensure_keys
from concilium.cli.process import Process
from concilium.cli.processes import log_file, mesh_processes, pid_file
from concilium.cli.supervisor import GRACE_S, NAME, stop_leftovers
from concilium.contracts.base import JSON
from concilium.home import Home

SOCKET_PATH_BYTES = 100
"""Unix socket paths end at 108 bytes on Linux (unix(7)); Redis needs room for its temporary names."""
READY_S = 180.0
GIVE_UP_RESTARTS = 4
POLL_S = 0.1
RESTORE_MARK = "restore-unfinished"
"""A file that is in a home while a restore moves things."""


@dataclass(frozen=True)
class ProcessStatus:
    """One process of the mesh as it is now."""

    name: str
    state: str
    """``running``, ``starting`` (alive, not ready yet), ``restarting`` (waits for its next start) or ``stopped``."""
    pid: int | None
    address: str
    restarts: int
    up_s: float | None
    rss_bytes: int | None
    log: str

    def as_json(self) -> dict[str, JSON]:
        """Return the status as a JSON object."""
        return asdict(self)


def running(home: Home) -> int | None:
    """Return the pid of the home's supervisor, or None when there is none."""
    process = pidfile.living(pid_file(home, NAME))
    return process.pid if process else None


def prepare(home: Home) -> list[Path]:
    """Make the home's folders and keys and check that a start can succeed; return the keys newly written.

    Stops what a killed supervisor left behind; call it only when none runs.

    Raises:
        CliError: a port is taken, the home's path is too long for a unix socket, or a restore of it was cut off.
        Invalid: the prices make no sense.
    """
    if home.joined:
        raise CliError(f"{home.root} is node '{home.joined.name}'", "start it with `concilium nodes join`")
    _ = home.prices
    mark = home.root / RESTORE_MARK
    if mark.exists():
        raise CliError(
            f"a restore of {home.root} was cut off; parts of it are in {mark.read_text(encoding='utf-8').strip()}",
            "run `concilium restore FILE --force` again",
        )
    _make_folders(home)
    if not home.config.queue.url and len(os.fsencode(home.redis_socket)) > SOCKET_PATH_BYTES:
        raise CliError(
            f"the path {home.redis_socket} is too long for a unix socket",
            "choose a shorter CONCILIUM_HOME, or name a Redis in queue.url",
        )
    _clear(home)
    return ensure_keys(home)


def prepare_node(home: Home) -> None:
    """Make the folders of a node and check that it can start; no keys of a mesh. Raises `CliError` as `prepare`."""
    _make_folders(home)
    _clear(home)


def _make_folders(home: Home) -> None:
    for folder in (home.root, home.run, home.logs):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _clear(home: Home) -> None:
    """Stop what was left behind, and check that the ports are free."""
    stop_leftovers(home)
    for process in mesh_processes(home):
        if process.listen and not free(process.listen.host, process.listen.port):
            raise taken(process)


def start_background(home: Home) -> None:
    """Start the supervisor in a session of its own; return when it has recorded itself. Raises `CliError`."""
    log = logfile.open_for_append(log_file(home, NAME))
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "concilium.cli.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.root,
            env={**os.environ, "CONCILIUM_HOME": str(home.root)},
            start_new_session=True,
        )
    finally:
        os.close(log)
    until = time.monotonic() + READY_S
    while running(home) != child.pid:
        if child.poll() is not None or time.monotonic() > until:
            raise CliError("the supervisor did not start:\n" + "\n".join(logfile.tail(log_file(home, NAME), 15)))
        time.sleep(POLL_S)


def wait_ready(home: Home, report: Callable[[list[ProcessStatus]], None], timeout_s: float = READY_S) -> None:
    """Return when every process is ready; ``report`` sees each look at them.

    Raises:
        CliError: the supervisor ended, a process keeps ending, or the time is over; with the log's last lines.
    """
    until = time.monotonic() + timeout_s
    while True:
        found = status(home)
        report(found)
        waiting = [entry for entry in found if entry.state != "running"]
        if not waiting:
            return
        if running(home) is None:
            raise _broken(home, NAME, "the supervisor ended")
        for entry in waiting:
            if entry.restarts >= GIVE_UP_RESTARTS:
                raise _broken(home, entry.name, f"{entry.name} keeps ending")
        if time.monotonic() > until:
            raise _broken(home, waiting[0].name, f"{waiting[0].name} is not ready after {timeout_s:g} s")
        time.sleep(POLL_S)


def stop(home: Home) -> bool:
    """Stop the mesh: the supervisor first, then whatever it left; return whether anything ran."""
    supervisor = pidfile.living(pid_file(home, NAME))
    if supervisor is not None:
        try:
            supervisor.terminate()
            supervisor.wait(timeout=5 * GRACE_S)
        except psutil.NoSuchProcess:
            pass
        except psutil.TimeoutExpired:
            supervisor.kill()
    left = [path for path in sorted(home.run.glob("*.pid")) if pidfile.stop(path, GRACE_S)]
    return supervisor is not None or bool(left)


def status(home: Home) -> list[ProcessStatus]:
    """Return every process of the mesh as it is now."""
    absent = "stopped" if running(home) is None else "restarting"
    return [_status(home, process, absent) for process in mesh_processes(home)]


def _status(home: Home, process: Process, absent: str) -> ProcessStatus:
    path = pid_file(home, process.name)
    living = pidfile.living(path)
    recorded = pidfile.read(path)
    state, up_s, rss = absent, None, None
    if living is not None:
        try:
            up_s, rss = time.time() - living.create_time(), living.memory_info().rss
            state = "running" if _ready(process) else "starting"
        except psutil.NoSuchProcess:
            living = None
    return ProcessStatus(
        name=process.name,
        state=state,
        pid=living.pid if living else None,
        address=process.address,
        restarts=recorded.restarts if recorded else 0,
        up_s=up_s,
        rss_bytes=rss,
        log=str(log_file(home, process.name)),
    )


def refusal(home: Home) -> str:
    """Return why the control plane takes no new tasks for lack of space; empty when it takes them or does not run."""
    for process in mesh_processes(home):
        if process.name == "control":
            return disk_word(_said(process))
    return ""


def of_others(home: Home) -> dict[str, JSON]:
    """Return what a control plane that this command did not start says of itself; empty when there is none here."""
    if running(home) is not None or pidfile.living(pid_file(home, "control")) is not None:
        return {}
    return next((_said(process) for process in mesh_processes(home) if process.name == "control"), {})


def _said(process: Process) -> dict[str, JSON]:
    """Return what a control plane answers at ``/ready``; empty when none answers."""
    try:
        assert process.listen is not None  # noqa: S101 - the control plane listens
        said = httpx.get(process.listen.url + "/ready", timeout=2, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return said if isinstance(said, dict) and "ledger" in said else {}


def disk_word(said: Mapping[str, JSON]) -> str:
    """Return what a control plane that is well otherwise says of its disk; empty for anything else."""
    full = said.get("ledger") == "ok" and said.get("disk") != "ok"
    return str(said["disk"]) if full else ""


def _ready(process: Process) -> bool:
    if process.listen is not None:
        try:
            found = httpx.get(process.listen.url + process.listen.ready, timeout=2, trust_env=False).status_code
        except httpx.HTTPError:
            return False
        # A control plane whose disk is full runs: it ends what was begun and shows what there is.
        return found == httpx.codes.OK or (process.name == "control" and bool(disk_word(_said(process))))
    if process.socket is not None:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(process.socket)) == 0
    return True


def free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def taken(process: Process) -> CliError:
    listen = process.listen
    assert listen is not None  # noqa: S101 - only called for processes that listen
    owner = _owner(listen.port)
    variable = "CONCILIUM_" + listen.setting.upper().replace(".", "__")
    return CliError(
        f"port {listen.port}, where {process.name} listens, is taken" + (f" by {owner}" if owner else ""),
        f"stop that program, or choose another port: {listen.setting} in mesh.yaml, or {variable}=…",
    )


def _owner(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
            if listens and connection.pid:
                return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return ""


def _broken(home: Home, name: str, why: str) -> CliError:
    lines = "\n".join(f"  {line}" for line in logfile.tail(log_file(home, name), 15))
    return CliError(
        f"{why}; the end of {log_file(home, name)}:\n{lines}",
        "`concilium doctor` says what is missing, `concilium down` stops the rest",
    )
