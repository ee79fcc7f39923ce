"""The shipped system call profile lets bubblewrap build its sandbox in a container that has no rights at all."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from concilium.workers.code.sandbox.rung import interpreters
from integration.code.test_rungs import AS_NOBODY
from integration.docker.conftest import LINKS
from support.docker import Docker
from support.sandbox_copy import copy_sandbox

PROFILE = Path(__file__).parents[3] / "infra" / "seccomp" / "code.json"
OPEN_PROC = ("--security-opt", "systempaths=unconfined")
NEW_NAMESPACES = 0x7E020000
REPORT = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from sandbox.probe import probe
rungs = asyncio.run(probe(["bubblewrap", "namespaces", "landlock"])).rungs
print("REPORT", json.dumps({rung.name: rung.reason if not rung.holds else "" for rung in rungs}))
"""


@pytest.fixture(scope="module")
def package(docker: Docker) -> Iterator[Path]:
    """The sandbox's code, where a user without rights can read it."""
    folder = docker.socket.parent / "package"
    copy_sandbox(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def contained(docker: Docker, image: str, package: Path) -> Callable[..., str]:
    """Run Python in a container: a user without rights, no capability, no way to gain any, a read-only root."""
    interpreter = interpreters()[0]

    def run(source: str, *options: str, arguments: tuple[str, ...] = ()) -> str:
        words = ["run", "--rm", "--network", "none", "--user", "10001:10001", "--cap-drop", "ALL", "--read-only"]
        words += ["--security-opt", "no-new-privileges", "--tmpfs", "/tmp:mode=1777", *options]
        for path in (*interpreter.readable, str(package)):
            if path not in LINKS:
                words += ["--mount", f"type=bind,source={path},target={path},readonly"]
        return docker(*words, image, interpreter.path, "-B", "-c", source, str(package), *arguments, timeout_s=100)

    return run


def _reasons(said: str) -> dict[str, str]:
    lines = [line.removeprefix("REPORT ") for line in said.splitlines() if line.startswith("REPORT ")]
    assert lines, said
    found: dict[str, str] = json.loads(lines[0])
    return found


def test_with_the_profile_bubblewrap_holds(contained: Callable[..., str]) -> None:
    options = ("--security-opt", f"seccomp={PROFILE}", *OPEN_PROC)
    assert _reasons(contained(REPORT, *options))["bubblewrap"] == ""
    said = contained(AS_NOBODY, *options, arguments=("bubblewrap",))
    assert said.splitlines()[-1] == "holds", said


def test_with_dockers_own_profile_only_landlock_is_left(contained: Callable[..., str]) -> None:
    reasons = _reasons(contained(REPORT, *OPEN_PROC))
    assert "namespace" in reasons["bubblewrap"]
    assert "not permitted" in reasons["namespaces"]
    if reasons["landlock"]:
        assert "landlock" in reasons["landlock"]  # a kernel without it


def test_with_dockers_masks_over_proc_bubblewrap_cannot_mount_its_own(contained: Callable[..., str]) -> None:
    assert "proc" in _reasons(contained(REPORT, "--security-opt", f"seccomp={PROFILE}"))["bubblewrap"]


def _without(profile: dict[str, Any], call: str) -> dict[str, Any]:
    """Return the profile without a call; ``clone`` stays, but for new namespaces, as in Docker's own."""
    rules = [rule for rule in profile["syscalls"] if rule["names"] != [call]]
    assert len(rules) < len(profile["syscalls"])
    if call == "clone":
        no_namespaces = {"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [no_namespaces]})
    return {**profile, "syscalls": rules}


@pytest.mark.parametrize("call", ["clone", "unshare", "mount", "umount2", "pivot_root"])
def test_each_call_the_profile_adds_is_needed(contained: Callable[..., str], tmp_path: Path, call: str) -> None:
    smaller = tmp_path / "profile.json"
    smaller.write_text(json.dumps(_without(json.loads(PROFILE.read_text()), call)))
    assert _reasons(contained(REPORT, "--security-opt", f"seccomp={smaller}", *OPEN_PROC))["bubblewrap"]


REFUSED = """
import ctypes, errno, sys
sys.path.insert(0, sys.argv[1])
from sandbox.seccomp import machine
from sandbox.syscalls import SYSCALLS
libc = ctypes.CDLL(None, use_errno=True)
for name in sys.argv[2].split():
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(SYSCALLS[name][machine()]), 0, 0, 0, 0, 0, 0)
    if ctypes.get_errno() != errno.EPERM:
        print(name, errno.errorcode.get(ctypes.get_errno()))
print("done")
"""


UNNEEDED = """
ptrace process_vm_readv process_vm_writev kcmp bpf perf_event_open userfaultfd io_uring_setup keyctl add_key request_key
setns chroot fsopen fsmount open_tree move_mount mount_setattr init_module finit_module kexec_load reboot swapon
name_to_handle_at open_by_handle_at fanotify_init syslog acct settimeofday clock_settime quotactl
"""


def test_the_profile_refuses_what_no_agent_needs(contained: Callable[..., str]) -> None:
    options = ("--security-opt", f"seccomp={PROFILE}", *OPEN_PROC)
    assert contained(REFUSED, *options, arguments=(UNNEEDED,)) == "done"
