"""The script's own process: confined, limited, then replaced by the interpreter."""

import os
import resource
import signal

from . import kernel
from .group import Group
from .namespaces import DEVICES, NOBODY, become_nobody
from .watch import tasks_of
from .wire import Header

_OPEN_FILES = 128
_STACK = 8 << 20


def tasks_cap(job: Header) -> int:
    """Return the backstop for RLIMIT_NPROC, which counts all tasks of the user that the kernel sees as one.

    It stops a fork bomb between two looks of the watcher; the limit itself is the watcher's.
    """
    uid = os.geteuid() or NOBODY
    others = 8 if job["rung"] in ("bubblewrap", "gvisor") else tasks_of(uid)
    return others + 2 * int(job["limits"]["processes"])


def start(job: Header, streams: tuple[int, ...], tasks: int, group: Group) -> int:
    """Fork and run the job's command; return its process id.

    Raises:
        OSError: the confinement or the command could not be had; nothing of the script ran.
    """
    failed, failure = os.pipe()
    child = os.fork()
    if not child:
        try:
            _become(job, streams, tasks, group, failure)
        except BaseException as error:  # noqa: BLE001 - the child must never return into the warden's code
            os.write(failure, f"{error}".encode())
            os._exit(127)
    os.close(failure)
    message = os.read(failed, 4096)
    os.close(failed)
    if message:
        os.waitpid(child, 0)
        raise OSError(message.decode("utf-8", "replace"))
    return child


def _become(job: Header, streams: tuple[int, ...], tasks: int, group: Group, failure: int) -> None:
    box = job["box"]
    group.enter()
    os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, failure)
    os.closerange(failure + 1, 1 << 16)
    os.umask(0o022)
    _limit(job, tasks)
    os.chdir(f"{box}/work")
    os.nice(5)  # the watcher goes first
    if job["rung"] == "landlock":
        _landlock(job["readable"], box)
    if os.geteuid() == 0:
        kernel.drop_bounding_set()
        become_nobody()
        kernel.forbid_new_privileges()
    if job["seccomp"]:
        kernel.filter_calls(bytes.fromhex(job["seccomp"]))
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    environment = {name: value.replace("{box}", box) for name, value in job["environment"].items()}
    command = [word.replace("{box}", box) for word in job["command"]]
    os.execve(command[0], command + job["arguments"], environment)  # noqa: S606 - this is what a sandbox is for


def _limit(job: Header, tasks: int) -> None:
    limits = job["limits"]
    cpu_s = int(limits["cpu_s"]) + 1
    for kind, wanted, most in (
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_DATA, 2 * limits["memory"], 2 * limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["disk"] + (1 << 20), limits["disk"] + (1 << 20)),
        (resource.RLIMIT_NPROC, tasks, tasks),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_STACK, _STACK, _STACK),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
    ):
        if job["rung"] == "gvisor" and kind == resource.RLIMIT_MSGQUEUE:
            continue  # gVisor has no message queues, and refuses to bound them
        _, ceiling = resource.getrlimit(kind)
        bounded = ceiling != resource.RLIM_INFINITY
        resource.setrlimit(kind, (min(wanted, ceiling), min(most, ceiling)) if bounded else (wanted, most))


def _landlock(readable: list[str], box: str) -> None:
    rules = [(path, kernel.LANDLOCK_READ) for path in readable]
    rules += [(f"/dev/{name}", kernel.LANDLOCK_DEVICE) for name in DEVICES]
    rules += [(f"{box}/{name}", kernel.LANDLOCK_OWN) for name in ("work", "out", "tmp")]
    rules.append((f"{box}/script", kernel.LANDLOCK_READ))
    kernel.forbid_new_privileges()
    kernel.landlock(rules)
