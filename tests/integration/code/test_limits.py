"""Every limit holds for the whole run, ends it, and is named."""

import asyncio
import time

import psutil
import pytest

from integration.code.conftest import Sandboxed

MIB = 1 << 20


async def test_an_endless_loop_ends_at_the_cpu_limit(held: Sandboxed) -> None:
    held.settings["cpu_s"] = 1
    problem = await held.fails("print('start', flush=True)\nwhile True: pass")
    assert (problem.type, problem.retryable) == ("cpu-time", False)
    assert "start" in problem.detail


async def test_cpu_time_of_many_processes_is_added_up(held: Sandboxed) -> None:
    held.settings["cpu_s"] = 1
    source = """
import os
for _ in range(8):
    if not os.fork():
        while True: pass
os.wait()
"""
    assert (await held.fails(source, timeout_s=20)).type == "cpu-time"


async def test_a_sleeper_ends_at_the_wall_limit(held: Sandboxed) -> None:
    started = time.monotonic()
    problem = await held.fails("import time; time.sleep(50)", timeout_s=0.5)
    assert problem.type == "wall-time"
    assert f"in the sandbox {held.rung}" in problem.detail, "the record of a run that failed names the rung too"
    assert time.monotonic() - started < 5


async def test_ignoring_termination_does_not_help(held: Sandboxed) -> None:
    source = """
import signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: time.sleep(1)
"""
    assert (await held.fails(source, timeout_s=0.5)).type == "wall-time"


async def test_a_memory_bomb_in_one_process_is_ended(held: Sandboxed) -> None:
    source = "held = []\nwhile True: held.append(bytearray(b'x') * (4 << 20))"
    assert (await held.fails(source)).type == "memory"


async def test_a_memory_bomb_in_many_processes_is_ended(held: Sandboxed) -> None:
    source = """
import os, time
for _ in range(8):
    if not os.fork():
        held = bytearray(b'x') * (100 << 20)
        time.sleep(30)
        os._exit(0)
while True: time.sleep(1)
"""
    assert (await held.fails(source, timeout_s=30)).type == "memory"


async def test_pages_shared_by_forks_are_counted_once(held: Sandboxed) -> None:
    source = """
import os, time
held = bytearray(b'x') * (100 << 20)
children = []
for _ in range(7):
    pid = os.fork()
    if not pid:
        time.sleep(0.3)
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
print('fine')
"""
    assert await held.says(source) == "fine"


async def test_shared_memory_is_counted(held: Sandboxed) -> None:
    source = """
import mmap, time
maps = []
for _ in range(40):
    shared = mmap.mmap(-1, 16 << 20)
    for offset in range(0, 16 << 20, 4096): shared[offset] = 1
    maps.append(shared)
time.sleep(5)
"""
    assert (await held.fails(source)).type == "memory"


async def test_memory_files_that_no_limit_counts_are_refused(held: Sandboxed) -> None:
    assert await held.says("import os\ntry: os.memfd_create('x')\nexcept OSError as e: print('refused')") == "refused"
    source = "import ctypes; print(ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600))"
    assert await held.says(source) == "-1"


async def test_posix_shared_memory_counts_as_disk(held: Sandboxed) -> None:
    source = """
try:
    with open('/dev/shm/fill', 'wb') as file:
        while True: file.write(bytes(1 << 20))
except PermissionError: print('refused')
"""
    if held.rung == "landlock":
        assert await held.says(source) == "refused"
    else:
        assert (await held.fails(source)).type == "disk"


@pytest.mark.parametrize("where", ["'fill'", "os.environ['TMPDIR'] + '/fill'", "os.environ['OUT'] + '/fill'"])
async def test_a_disk_fill_is_ended(held: Sandboxed, where: str) -> None:
    source = f"import os\nwith open({where}, 'wb') as file:\n    while True: file.write(bytes(1 << 20))"
    assert (await held.fails(source)).type == "disk"


async def test_a_disk_fill_over_many_files_is_ended(held: Sandboxed) -> None:
    source = "import time\nfor n in range(70): open(str(n), 'wb').write(bytes(1 << 20))\ntime.sleep(5)"
    assert (await held.fails(source)).type == "disk"


async def test_a_disk_fill_with_deleted_files_is_ended(held: Sandboxed) -> None:
    source = """
import os, time
held = []
try:
    for n in range(40):
        held.append(open('x', 'wb', buffering=0))
        os.unlink('x')
        held[-1].write(bytes(4 << 20))
except OSError: pass
time.sleep(5)
"""
    assert (await held.fails(source)).type == "disk"


async def test_a_disk_fill_in_a_hidden_folder_is_ended(held: Sandboxed) -> None:
    source = """
import os, time
os.mkdir('hidden', 0o300)
for n in range(70): open(f'hidden/{n}', 'wb').write(bytes(1 << 20))
time.sleep(5)
"""
    assert (await held.fails(source)).type == "disk"


async def test_a_flood_of_empty_files_is_ended(held: Sandboxed) -> None:
    source = (
        "import time\ntry:\n    for n in range(200000): open(str(n), 'w').close()\nexcept OSError: pass\ntime.sleep(5)"
    )
    assert (await held.fails(source)).type == "disk"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_an_output_flood_is_ended(held: Sandboxed, stream: str) -> None:
    started = time.monotonic()
    problem = await held.fails(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)")
    assert (problem.type, problem.retryable) == ("output", False)
    assert len(problem.detail) < 5000
    assert time.monotonic() - started < 10


async def test_output_of_exactly_the_limit_passes(held: Sandboxed) -> None:
    output, _ = await held.run(f"import sys; sys.stdout.write('x' * {MIB})")
    assert (len(output["stdout"]), output["truncated"]) == (MIB, False)


async def test_a_fork_bomb_is_ended(held: Sandboxed) -> None:
    source = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert (await held.fails(source)).type == "processes"


async def test_a_shell_fork_bomb_is_ended(held: Sandboxed) -> None:
    assert (await held.fails("bomb() { bomb | bomb & }; bomb; sleep 20", language="shell")).type == "processes"


async def test_a_thread_bomb_is_ended(held: Sandboxed) -> None:
    source = """
import threading, time
try:
    while True: threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
except RuntimeError: time.sleep(20)
"""
    assert (await held.fails(source)).type == "processes"


async def test_too_many_and_too_large_files_are_left_out_by_name(held: Sandboxed) -> None:
    held.settings.update(files_max=3, files_bytes=1000)
    source = "for n in range(5): open(f'f{n}', 'w').write('x')\nopen('a-large', 'w').write('x' * 2000)"
    output, files = await held.run(source)
    assert sorted(files) == ["f0", "f1", "f2"]
    assert len(output["omitted"]) == 3
    assert any("a-large" in line and "2000 bytes" in line for line in output["omitted"])


async def test_cancellation_ends_everything_within_a_second(held: Sandboxed) -> None:
    source = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(5):
    if not os.fork(): break
while True: time.sleep(1)
"""
    task = asyncio.ensure_future(held.call(source))
    async with asyncio.timeout(20):
        while len(held.alive()) < 6:  # noqa: ASYNC110 - other processes are awaited, they set no event here
            await asyncio.sleep(0.01)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 1
    assert held.alive() == []


async def test_a_run_whose_warden_is_stuck_is_ended_all_the_same(held: Sandboxed) -> None:
    source = "import os, time\nfor _ in range(3):\n    if not os.fork(): os.setsid(); break\ntime.sleep(60)"
    task = asyncio.ensure_future(held.call(source))
    async with asyncio.timeout(20):
        while len(held.alive()) < 4:  # noqa: ASYNC110 - other processes are awaited, they set no event here
            await asyncio.sleep(0.01)
    for process in psutil.Process().children(recursive=True):
        if any("warden.main" in word for word in process.cmdline()):
            process.suspend()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):  # the kernel ends a namespace's processes after its first one
        while held.alive():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
