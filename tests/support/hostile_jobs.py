"""What a decoder taken over by its picture might try; each is a job for a cell."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from concilium.workers.vision.cell import Answer

Options = dict[str, Any]


def echo(options: Options, files: Sequence[bytes]) -> Answer:
    return Answer(options, tuple(files))


def take_memory(_options: Options, _files: Sequence[bytes]) -> Answer:
    held = []
    while True:
        held.append(bytearray(64 * 2**20))


def work_for_ever(_options: Options, _files: Sequence[bytes]) -> Answer:
    while True:
        pass


def wait_for_ever(_options: Options, _files: Sequence[bytes]) -> Answer:
    while True:
        time.sleep(1)


def crash(_options: Options, _files: Sequence[bytes]) -> Answer:
    os.kill(os.getpid(), signal.SIGSEGV)
    return Answer(None)


def leave(_options: Options, _files: Sequence[bytes]) -> Answer:
    os._exit(0)


def err(_options: Options, _files: Sequence[bytes]) -> Answer:
    raise LookupError("a fault of our own")


def print_much(_options: Options, _files: Sequence[bytes]) -> Answer:
    os.write(1, b"noise on stdout\n" * 1000)
    os.write(2, b"noise on stderr\n" * 1000)
    return Answer("quiet")


def reach_out(options: Options, _files: Sequence[bytes]) -> Answer:
    """Try to get at files, programs and the network; return what succeeded."""
    tries: dict[str, Callable[[], object]] = {
        "read a file": lambda: Path("/etc/passwd").read_text(),
        "write a file": lambda: Path(options["folder"], "loot").write_text("x"),
        "open a socket": lambda: socket.create_connection(("127.0.0.1", options["port"])),
        "open a unix socket": lambda: socket.socket(socket.AF_UNIX),
        "run a program": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "raise the limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        "see the environment": lambda: os.environ["PATH"],
    }
    done = []
    for name, attempt in tries.items():
        try:
            attempt()
            done.append(name)
        except (OSError, ValueError, KeyError):
            continue
    return Answer(done)
