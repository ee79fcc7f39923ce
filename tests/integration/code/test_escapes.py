"""Hostile scripts: what they try to reach, on every rung."""

import asyncio
import os
import socket
from pathlib import Path

import psutil
import pytest

from integration.code.conftest import Sandboxed

TRY = """
import ctypes, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(act):
    try:
        return f'DONE {act()}'
    except OSError as error:
        return f'refused {type(error).__name__}'
"""


async def attempts(box: Sandboxed, expression: str, **fields: object) -> str:
    """Return what became of an attempt written as a Python expression."""
    return await box.says(f"{TRY}\nprint(attempt(lambda: {expression}))", **fields)


@pytest.mark.parametrize(
    "expression",
    [
        "socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_INET6)",
        "socket.socket(socket.AF_INET).bind(('127.0.0.1', 0))",
        "socket.socket(socket.AF_UNIX).connect('\\0' + sys.argv[2])",
        "socket.socket(socket.AF_UNIX).connect(sys.argv[3])",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '\\0' + sys.argv[2])",
        "socket.socketpair()[0].connect('\\0' + sys.argv[2])",
        "socket.getaddrinfo('example.org', 80)",
    ],
)
async def test_there_is_no_network(box: Sandboxed, tmp_path: Path, expression: str) -> None:
    path = str(tmp_path / "s")
    with (
        socket.create_server(("127.0.0.1", 0)) as inet,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
    ):
        abstract.bind("\0concilium-" + box.marker)
        abstract.listen()
        named.bind(path)
        named.listen()
        args = [str(inet.getsockname()[1]), "concilium-" + box.marker, path]
        assert (await attempts(box, expression, args=args)).startswith("refused")


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/passwd", "/etc/hostname", "/proc/1/environ", "/proc/kcore"])
async def test_the_hosts_files_cannot_be_read(box: Sandboxed, path: str) -> None:
    said = await attempts(box, f"open({path!r}, 'rb').read(1)")
    assert said.startswith("refused")


async def test_the_checkout_the_home_and_the_agents_state_cannot_be_read(box: Sandboxed, tmp_path: Path) -> None:
    secret = tmp_path / "mesh.key"
    secret.write_text("secret")
    secret.chmod(0o644)
    for path in (Path(__file__), secret, Path.home() / ".bashrc", Path(__file__).parents[3]):
        said = await attempts(
            box, f"os.listdir({str(path)!r}) if os.path.isdir({str(path)!r}) else open({str(path)!r})"
        )
        assert said.startswith("refused"), path


async def test_the_environment_holds_nothing_of_the_agents(box: Sandboxed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCILIUM_SECRET", "hush")
    names = await box.says("import os; print(' '.join(sorted(os.environ)))")
    assert set(names.split()) <= {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "OUT", "PATH", "TMPDIR"}
    source = """
import glob
for path in glob.glob('/proc/[0-9]*/environ'):
    try: print(open(path, 'rb').read())
    except OSError: pass
"""
    said = await box.says(source)
    assert "hush" not in said


async def test_no_descriptor_of_the_agent_is_open(box: Sandboxed) -> None:
    source = """
import os
for number in range(3, 1000):
    try: print(number, os.fstat(number))
    except OSError: pass
"""
    assert await box.says(source) == ""


async def test_the_hosts_processes_are_out_of_sight_and_reach(box: Sandboxed) -> None:
    agent = os.getpid()
    for expression in (
        f"os.kill({agent}, 0)",
        f"open('/proc/{agent}/status').read()",
        f"os.pidfd_open({agent})",
        f"os.setpriority(os.PRIO_PROCESS, {agent}, 19)",
        f"os.sched_setaffinity({agent}, {{0}})",
        f"__import__('resource').prlimit({agent}, 7, (1, 1))",
    ):
        assert (await attempts(box, expression)).startswith("refused"), expression


async def test_the_watcher_cannot_be_killed_stopped_or_traced(box: Sandboxed) -> None:
    source = f"""{TRY}
warden = os.getppid()
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGCHLD):
    attempt(lambda: os.kill(warden, number))
print(libc.ptrace(16, warden, 0, 0), libc.process_vm_readv(warden, 0, 0, 0, 0, 0))
print(attempt(lambda: open(f'/proc/{{warden}}/mem', 'r+b')), attempt(lambda: os.listdir(f'/proc/{{warden}}/fd')))
print(attempt(lambda: __import__('resource').prlimit(warden, 0, (1, 1))))
print(attempt(lambda: __import__('fcntl').fcntl(0, 8, warden)))
"""
    lines = (await box.says(source)).splitlines()
    assert lines[0] == "-1 -1"
    assert "DONE" not in " ".join(lines[1:])


async def test_a_killed_watcher_would_take_the_run_along(box: Sandboxed) -> None:
    source = "import os, signal\nos.kill(0, signal.SIGKILL)"
    output, _ = await box.run(source)
    assert output["signal"] == "SIGKILL"


async def test_no_process_of_a_run_is_root_on_the_host(box: Sandboxed) -> None:
    task = asyncio.ensure_future(box.call("import time; time.sleep(20)"))
    async with asyncio.timeout(20):
        while not (names := box.alive()):  # noqa: ASYNC110 - another process is awaited, it sets no event here
            await asyncio.sleep(0.01)
    pids = [int(name.split("pid=")[1].split(",")[0]) for name in names]
    uids = {uid for pid in pids for uid in psutil.Process(pid).uids()}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 not in uids


@pytest.mark.parametrize("flag", [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000])
async def test_no_namespace_can_be_made(box: Sandboxed, flag: int) -> None:
    source = f"""{TRY}
print(libc.unshare({flag}), libc.syscall({{'x86_64': 56, 'aarch64': 220}}[os.uname().machine], {flag} | 17, 0, 0, 0, 0))
"""
    assert await box.says(source) == "-1 -1"


async def test_rights_cannot_be_gained(box: Sandboxed) -> None:
    said = await attempts(box, "os.setuid(0)")
    assert said.startswith("refused")
    source = """
import os
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)
print(*(status[name].strip() for name in ('CapEff', 'CapPrm', 'CapAmb', 'NoNewPrivs', 'Seccomp')))
print(os.getresuid(), os.getgroups())
"""
    if box.rung != "landlock":  # where /proc can be read
        lines = (await box.says(source)).splitlines()
        assert lines == ["0000000000000000 0000000000000000 0000000000000000 1 2", "(65534, 65534, 65534) []"]
    assert "uid=0" not in (await box.run("su -c id root; sudo -n id; id", language="shell"))[0]["stdout"]


async def test_kernel_interfaces_are_closed(box: Sandboxed) -> None:
    source = f"""{TRY}
calls = {{'mount': 5, 'umount2': 2, 'chroot': 1, 'setns': 2, 'ptrace': 4, 'keyctl': 2, 'personality': 1, 'vhangup': 0}}
print([name for name, count in calls.items() if hasattr(libc, name) and getattr(libc, name)(*[0] * count) != -1])
for number in (425, 321, 298, 323, 438, 447, 500, 1 << 20):
    libc.syscall(number, 0, 0, 0, 0, 0) != -1 and print('open', number)
"""
    if os.uname().machine == "x86_64":
        assert await box.says(source) == "[]"


@pytest.mark.parametrize(
    "path", ["/usr/x", "/etc/x", "/x", "/dev/x", "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern"]
)
async def test_nothing_outside_its_folders_can_be_written(box: Sandboxed, path: str) -> None:
    assert (await attempts(box, f"open({path!r}, 'w')")).startswith("refused")


async def test_hosts_files_of_the_same_user_keep_content_and_mode(box: Sandboxed, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("content")
    victim.chmod(0o666)
    for expression in (
        "os.truncate(sys.argv[1], 0)",
        "os.open(sys.argv[1], os.O_RDONLY | os.O_TRUNC)",
        "os.open(sys.argv[1], 3 | os.O_TRUNC)",
        "os.chmod(sys.argv[1], 0)",
        "os.utime(sys.argv[1], (0, 0))",
        "os.setxattr(sys.argv[1], 'user.x', b'x')",
        "os.rename(sys.argv[1], 'stolen')",
        "os.link(sys.argv[1], 'linked')",
        "os.unlink(sys.argv[1])",
    ):
        assert (await attempts(box, expression, args=[str(victim)])).startswith("refused"), expression
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("content", 0o666)


async def test_links_and_special_files_do_not_come_back(box: Sandboxed) -> None:
    source = """
import os
os.symlink('/etc/passwd', 'link')
os.symlink('/etc', 'linked-folder')
os.mkfifo('fifo')
open('real', 'w').write('x'); os.link('real', 'second')
os.symlink('/', os.environ['OUT'] + '/root')
"""
    output, files = await box.run(source)
    assert output["exit_code"] == 0, output
    assert files == {}
    assert {line.split(":")[0] for line in output["omitted"]} == {
        "root", "fifo", "link", "linked-folder", "real", "second"
    }  # fmt: skip


async def test_a_result_folder_replaced_by_a_link_gives_nothing(box: Sandboxed) -> None:
    source = """
import os
out = os.environ['OUT']
try: os.rmdir(out); os.symlink('/etc', out)
except OSError: print('refused')
"""
    output, files = await box.run(source)
    assert files == {}
    assert output["exit_code"] == 0


async def test_daemons_left_behind_are_ended(box: Sandboxed) -> None:
    source = """
import os, sys, time
if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(600)
    os._exit(0)
os.wait()
print('parent done')
"""
    assert await box.says(source) == "parent done"
    assert box.alive() == []


async def test_a_daemon_that_closes_everything_and_forks_on_is_ended(box: Sandboxed) -> None:
    source = """
import os, signal, time
if not os.fork():
    os.setsid(); os.closerange(0, 100)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if os.fork(): os._exit(0)
        time.sleep(0.005)
"""
    await box.run(source)
    assert box.alive() == []


async def test_a_link_in_the_working_folder_is_not_written_through(box: Sandboxed) -> None:
    assert (await attempts(box, "(os.symlink('/usr/lib/x', 'l'), open('l', 'w'))")).startswith("refused")
