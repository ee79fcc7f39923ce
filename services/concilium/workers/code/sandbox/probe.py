"""Find out, by really running something, which rungs hold on this machine, and pick the best."""

import asyncio
import contextlib
import py_compile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import cgroups
from .job import Job, Limits, SandboxError
from .launch import carry_out
from .rung import WARDEN, Interpreter, Rung, interpreters
from .rungs import RUNGS

_PROBE_S = 15.0
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
    controls: cgroups.Controls = cgroups.NONE
    """Where the run's control groups are made."""
    run_s: float = 0.0
    """Seconds from asking for the probe to its end."""

    @property
    def holder(self) -> str:
        """Who holds the limits on memory, processes and CPU time."""
        return f"{self.controls.label} and the supervisor" if self.controls.label else "the supervisor"


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


async def probe(names: Sequence[str], *, control_groups: bool = True) -> SandboxReport:
    """Try the rungs in the order of ``names``, which is the order of choice.

    Takes a fraction of a second each; a rung that hangs is given up after 15 s.

    Control groups are used where this process may make them, unless ``control_groups`` is off.
    """
    await asyncio.to_thread(_compile_warden)
    controls = cgroups.find() if control_groups else cgroups.NONE
    known = {rung.name: rung for rung in RUNGS}
    return SandboxReport(tuple([await _probe_rung(known[name], controls) for name in names if name in known]))


def _compile_warden() -> None:
    """Compile the warden once, as an installation does; a checkout's would be compiled anew by every run."""
    for path in WARDEN.glob("*.py"):
        with contextlib.suppress(OSError, py_compile.PyCompileError):  # not writable: each run is slower
            py_compile.compile(str(path))


async def _probe_rung(rung: Rung, controls: cgroups.Controls) -> RungReport:
    report = RungReport(rung.name, holds=False, reason="", unbounded=rung.unbounded(cgroups.NONE))
    if not rung.filter:
        return replace(report, reason="no system call filter for this kind of machine (x86_64 and aarch64 have one)")
    reasons = []
    for interpreter in interpreters():
        for held in dict.fromkeys((controls if rung.grouped else cgroups.NONE, cgroups.NONE)):
            started = time.monotonic()
            reason = await _try(rung, interpreter, held)
            if not reason:
                return replace(
                    report,
                    holds=True,
                    unbounded=rung.unbounded(held),
                    interpreter=interpreter,
                    controls=held,
                    run_s=time.monotonic() - started,
                )
        reasons.append(f"{interpreter.path}: {reason}")
    return replace(report, reason="; ".join(reasons))


def _secret_in(folder: Path) -> Path:
    """Make a file open to every user: only the sandbox keeps the script away from it."""
    folder.chmod(0o777)
    secret = folder / "secret"
    secret.write_text("open to every user", encoding="ascii")
    return secret


async def _try(rung: Rung, interpreter: Interpreter, controls: cgroups.Controls) -> str:
    """Return what went wrong, or nothing."""
    with tempfile.TemporaryDirectory(prefix="concilium-probe-") as folder:
        secret = _secret_in(Path(folder))
        job = Job("python", _TRIALS, "probe.py", arguments=(str(secret),), limits=_PROBE_LIMITS)
        try:
            async with asyncio.timeout(_PROBE_S):
                outcome = await carry_out(rung, interpreter, job, controls)
        except TimeoutError:
            return f"the probe did not end within {_PROBE_S:.0f} s"
        except SandboxError as error:
            return str(error)
    with contextlib.suppress(UnicodeDecodeError):
        if outcome.exit_code == 0 and [file.name for file in outcome.files] == ["done"]:
            return outcome.stdout.decode()
    return f"the probe failed: {outcome.stderr[-300:].decode('utf-8', 'replace').strip() or outcome}"
