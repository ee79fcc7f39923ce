"""Find out, by really running something, which rungs hold on this machine, and pick the best."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .job import Job, Limits, SandboxError
from .launch import carry_out
from .rungs import RUNGS, Interpreter, Rung, interpreters

_PROBE_S = 10.0
_PROBE_LIMITS = Limits(cpu_s=5, wall_s=5)
ADVICE = (
    "No sandbox holds on this machine, so scripts are not run. Ways to get one: install bubblewrap "
    "(Debian: apt-get install bubblewrap); or allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns); or run Linux 5.19 or newer with "
    "landlock among the security modules (boot option lsm=landlock,...)."
)
_TRIALS = b"""
import ctypes, os, socket, sys
libc = ctypes.CDLL(None)
held = []
def refused(what, act):
    try:
        act()
        held.append(what)
    except OSError:
        pass
refused("a network socket could be opened", lambda: socket.socket())
refused("a file of the host could be read", lambda: open(sys.argv[1]).close())
refused("a file beside the run's could be written", lambda: open(sys.argv[1] + ".new", "w").close())
refused("a file of the system could be made", lambda: open("/usr/concilium-probe", "w").close())
refused("a setting of the kernel could be written", lambda: open("/proc/sys/kernel/core_pattern", "w").close())
refused("a device of the host could be changed", lambda: os.chmod("/dev/null", 0o666))
if libc.unshare(0x10000000) == 0:
    held.append("a user namespace could be made")
if os.getuid() == 0 or os.geteuid() == 0:
    held.append("the script ran as root")
open(os.environ["OUT"] + "/done", "w").close()
print("; ".join(held), end="")
"""


@dataclass(frozen=True)
class RungReport:
    """What probing one rung showed."""

    name: str
    holds: bool
    reason: str
    """Why it cannot be used; empty when it holds."""
    unbounded: tuple[str, ...]
    interpreter: Interpreter | None = None
    run_s: float = 0.0
    """Seconds from asking for the probe to its end."""


@dataclass(frozen=True)
class SandboxReport:
    """The rung in use and every rung's probe."""

    rungs: tuple[RungReport, ...]

    @property
    def chosen(self) -> RungReport | None:
        """The best rung that holds, or None."""
        return next((report for report in self.rungs if report.holds), None)

    @property
    def advice(self) -> str:
        """How to get a sandbox; empty when there is one."""
        return "" if self.chosen else ADVICE


async def probe(names: Sequence[str]) -> SandboxReport:
    """Try the rungs named, best first. Takes a fraction of a second each; a rung that hangs is given up after 10 s."""
    return SandboxReport(tuple([await _probe_rung(rung) for rung in RUNGS if rung.name in names]))


async def _probe_rung(rung: Rung) -> RungReport:
    report = RungReport(rung.name, holds=False, reason="", unbounded=rung.unbounded)
    if not rung.filter:
        return replace(report, reason="no system call filter for this kind of machine (x86_64 and aarch64 have one)")
    reasons = []
    for interpreter in interpreters():
        started = time.monotonic()
        reason = await _try(rung, interpreter)
        if not reason:
            return replace(report, holds=True, interpreter=interpreter, run_s=time.monotonic() - started)
        reasons.append(f"{interpreter.path}: {reason}")
    return replace(report, reason="; ".join(reasons))


def _secret_in(folder: Path) -> Path:
    """Make a file open to every user: only the sandbox keeps the script away from it."""
    folder.chmod(0o777)
    secret = folder / "secret"
    secret.write_text("open to every user", encoding="ascii")
    return secret


async def _try(rung: Rung, interpreter: Interpreter) -> str:
    """Return what went wrong, or nothing."""
    with tempfile.TemporaryDirectory(prefix="concilium-probe-") as folder:
        secret = _secret_in(Path(folder))
        job = Job("python", _TRIALS, "probe.py", arguments=(str(secret),), limits=_PROBE_LIMITS)
        try:
            async with asyncio.timeout(_PROBE_S):
                outcome = await carry_out(rung, interpreter, job)
        except TimeoutError:
            return f"the probe did not end within {_PROBE_S:.0f} s"
        except SandboxError as error:
            return str(error)
    with contextlib.suppress(UnicodeDecodeError):
        if outcome.exit_code == 0 and [file.name for file in outcome.files] == ["done"]:
            return outcome.stdout.decode()
    return f"the probe failed: {outcome.stderr[-300:].decode('utf-8', 'replace').strip() or outcome}"
