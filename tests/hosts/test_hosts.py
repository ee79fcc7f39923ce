"""What a test run made of hosts is gone after it, also when it was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from support.agents import ROOT
from support.hosts import Hosts
from support.hosts.host import remove_left_behind

_MAKE = """
import sys, time
from support.hosts import Hosts
host = Hosts().make()
sleeper = host.start("sleep", "600", environ={}, log=sys.stderr.buffer)
print(host.name, sleeper.pid, flush=True)
time.sleep(600)
"""


def devices(run: int) -> set[str]:
    """Return the devices of this machine that a test run made."""
    return {path.name for path in Path("/sys/class/net").glob(f"ch{run % 10**7}h*")}


def test_a_host_is_gone_when_it_is_closed(hosts: Hosts) -> None:
    before = devices(os.getpid())
    own = Hosts()
    host = own.make()
    assert Path("/run/netns", host.name).exists()
    assert devices(os.getpid()) > before
    own.close()
    assert not Path("/run/netns", host.name).exists()
    assert devices(os.getpid()) == before


def test_what_a_killed_run_left_is_removed_by_the_next(hosts: Hosts) -> None:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'services'}"}
    with subprocess.Popen([sys.executable, "-c", _MAKE], env=environ, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        name, pid = run.stdout.readline().split()
        sleeper = psutil.Process(int(pid))
        assert devices(run.pid)
        run.send_signal(signal.SIGKILL)
    psutil.wait_procs([sleeper], timeout=20)
    assert not sleeper.is_running(), "what ran on the host outlived the run"
    remove_left_behind()
    assert not Path("/run/netns", name).exists()
    end = time.monotonic() + 20
    while devices(run.pid):  # the wire sees its input end, and its devices go with it
        assert time.monotonic() < end
        time.sleep(0.02)
