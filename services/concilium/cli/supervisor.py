"""Keeps the processes of a mesh running: starts them, restarts what ends, stops all of them in the right order.

``python -m concilium.cli.supervisor`` is what ``concilium up`` leaves in the background. It holds a lock on the home
for its life, so a home never has two. Processes write their own logs, so they survive a supervisor that was killed;
the next one stops what it finds recorded before it starts anew.
"""

import asyncio
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TextIO

from concilium.cli import logfile, pidfile
from concilium.cli.process import Process
from concilium.cli.processes import log_file, mesh_processes, nodes_mark, pid_file
from concilium.contracts.base import JSON, utc_now
from concilium.contracts.errors import ConciliumError
from concilium.home import Home, keep_private

NAME = "supervisor"
BACKOFF_BASE_S = 0.5
BACKOFF_MAX_S = 30.0
STEADY_S = 30.0
"""A process that ran this long starts its backoff from the beginning."""
GRACE_S = 10.0
ROTATE_EVERY_S = 5.0
WATCH_EVERY_S = 0.5
CHANGED = signal.SIGUSR1
"""Tells the supervisor that the home has other processes now."""


def backoff(failures: int) -> float:
    """Return the seconds to wait before the next start after so many short lives in a row."""
    return float(min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2 ** min(failures - 1, 10)))


def say(text: str) -> None:
    """Write one line with the time to the supervisor's own log; a disk that is full stops nothing."""
    with suppress(OSError):
        print(f"{utc_now():%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)


@contextmanager
def only_supervisor(home: Home) -> Iterator[TextIO]:
    """Hold the home's supervisor lock. Raises BlockingIOError when another holds it."""
    home.run.mkdir(parents=True, exist_ok=True)
    with (home.run / f"{NAME}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


class Keeper:
    """Keeps one process running until told to stop."""

    def __init__(self, home: Home, process: Process) -> None:
        self.home = home
        self.process = process
        self._stopping = asyncio.Event()
        self._done: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep the process running."""
        self._done = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop the process with all it started, and do not start it again."""
        self._stopping.set()
        if self._done is not None:
            await self._done
        # Here and not where the process ends: it may just be between two lives.
        pid_file(self.home, self.process.name).unlink(missing_ok=True)

    async def _keep(self) -> None:
        restarts = failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_once(restarts)
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - began >= STEADY_S else failures + 1
            restarts += 1
            delay = backoff(failures)
            say(f"{self.process.name} ended with {code}; restart {restarts} in {delay:g} s")
            await self._pause(delay)

    async def _run_once(self, restarts: int) -> int | None:
        log = logfile.open_for_append(log_file(self.home, self.process.name))
        try:
            child = await asyncio.create_subprocess_exec(
                *self.process.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home.root,
                env=self._environ(),
                start_new_session=True,
            )
        except OSError as error:
            say(f"{self.process.name} cannot be started: {error}")
            return None
        finally:
            os.close(log)
        pidfile.write(pid_file(self.home, self.process.name), child.pid, restarts)
        ended = asyncio.create_task(child.wait())
        told = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not ended.done():
            await _end(child)
        _end_group(child.pid)
        return await ended

    def _environ(self) -> Mapping[str, str]:
        if self.process.environ is not None:
            return self.process.environ
        return _environment(self.home)

    async def _pause(self, delay_s: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        except TimeoutError:
            return


def _environment(home: Home) -> dict[str, str]:
    """Return what a process of the mesh is started with; the service manager is told by the supervisor alone."""
    own = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return own | {"CONCILIUM_HOME": str(home.root), "PYTHONUNBUFFERED": "1"}


async def _end(child: asyncio.subprocess.Process) -> None:
    """End a child and all it started: kindly, and by force after `GRACE_S` seconds."""
    family = pidfile.descendants(child.pid)
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), GRACE_S)
    except TimeoutError:
        child.kill()
    pidfile.signal_all(family, force=True)


def _end_group(leader: int) -> None:
    """Kill what a process that has ended left behind in its own session."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


Beside = Callable[[Home], Coroutine[None, None, None]]
"""What runs beside the processes until they are stopped."""
Members = Callable[[Home], tuple[Process, ...]]
"""Which processes of a home are kept, at any time."""


async def supervise(home: Home, beside: Beside | None = None, members: Members = mesh_processes) -> None:
    """Run the mesh of a home until SIGTERM or SIGINT; on `CHANGED` look anew which processes it has."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, CHANGED):
        loop.add_signal_handler(number, signals.put_nowait, number)
    stop_leftovers(home)
    keepers: list[Keeper] = []
    await _keep_these(members(home), home, keepers)
    pidfile.write(pid_file(home, NAME), os.getpid())
    say(f"started {', '.join(keeper.process.name for keeper in keepers)} for {home.root}")
    changed = partial(signals.put_nowait, CHANGED)
    chores = [asyncio.create_task(_rotate_logs(home, keepers)), asyncio.create_task(_watch_nodes(home, changed))]
    if beside is not None:
        chores.append(asyncio.create_task(beside(home)))
    while await signals.get() == CHANGED:
        await _take_up_changes(members, home, keepers)
    for chore in chores:
        chore.cancel()
    say("stopping")
    for group in _stop_order(keepers):
        await asyncio.gather(*(keeper.stop() for keeper in group))
    pid_file(home, NAME).unlink(missing_ok=True)
    say("stopped")


async def _take_up_changes(members: Members, home: Home, keepers: list[Keeper]) -> None:
    try:
        await _keep_these(members(home), home, keepers)
    except ConciliumError as error:
        say(f"nothing changed: {error.detail}")
        return
    say(f"now keeping {', '.join(keeper.process.name for keeper in keepers)}")


async def _keep_these(wanted: Sequence[Process], home: Home, keepers: list[Keeper]) -> None:
    """Stop what no longer belongs to the mesh, or is started otherwise now, and start what is missing."""
    for keeper in [keeper for keeper in keepers if keeper.process not in wanted]:
        keepers.remove(keeper)
        await keeper.stop()
    kept = [keeper.process for keeper in keepers]
    for process in wanted:
        if process not in kept:
            keepers.append(Keeper(home, process))
            keepers[-1].start()


def _stop_order(keepers: list[Keeper]) -> list[list[Keeper]]:
    """n8n and the runners first, so that they can report what they hold; then agents, control plane, Redis last."""
    rank = {"n8n": 0, "runner": 0, "control": 2, "redis": 3}
    groups: list[list[Keeper]] = [[], [], [], []]
    for keeper in keepers:
        name = keeper.process.name
        groups[0 if name.startswith("runner-") else rank.get(name, 1)].append(keeper)
    return groups


def stop_leftovers(home: Home) -> None:
    """Stop the recorded processes of a supervisor that is no more."""
    for path in sorted(home.run.glob("*.pid")):
        if path.stem != NAME and pidfile.stop(path, GRACE_S):
            say(f"stopped {path.stem}, left by an earlier supervisor")


async def _watch_nodes(home: Home, changed: Callable[[], None]) -> None:
    """Tell when nodes have come or gone."""
    known = _mark(home, None)
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        found = _mark(home, known)
        if found != known:
            known = found
            changed()


def _mark(home: Home, known: JSON) -> JSON:
    """Return the mark of the nodes; the one that is known when it cannot be read just now."""
    try:
        return nodes_mark(home)
    except OSError:
        return known


async def _rotate_logs(home: Home, keepers: list[Keeper]) -> None:
    stuck: set[str] = set()
    while True:
        await asyncio.sleep(ROTATE_EVERY_S)
        for name in (NAME, *(keeper.process.name for keeper in keepers)):
            try:
                logfile.rotate(log_file(home, name))
                stuck.discard(name)
            except OSError as error:
                if name not in stuck:
                    say(f"the log of {name} cannot be rotated now: {error}")
                stuck.add(name)


def main(beside: Beside | None = None, members: Members = mesh_processes) -> int:
    """Supervise the mesh of ``CONCILIUM_HOME``; return 0 after a stop, 1 when another supervisor is there."""
    keep_private()
    home = Home.find()
    try:
        with only_supervisor(home):
            asyncio.run(supervise(home, beside, members))
    except BlockingIOError:
        say("another supervisor runs this home")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
