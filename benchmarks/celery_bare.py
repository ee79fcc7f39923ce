"""The physical limit beside which the path is measured: a bare Celery round trip over the same Redis.

Run as a Celery application by the worker this module starts: ``celery -A benchmarks.celery_bare worker``.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery, group

URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/0")


def echo(text: str) -> str:
    """Return the text."""
    return text


def make_app(url: str) -> Celery:
    """Return a Celery application over the Redis at ``url``, results included."""
    made = Celery("bare", broker=url, backend=url)
    made.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_serializer="json",
        task_default_queue="bench.bare",
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
    )
    made.task(name="bench.echo")(echo)
    return made


app = make_app(URL)


@contextmanager
def worker(url: str, threads: int = 4) -> Iterator[Celery]:
    """Start a bare Celery worker on the Redis at ``url`` and yield the application that reaches it."""
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.celery_bare", "worker", "-P", "threads"]
    command += ["-c", str(threads), "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    process = subprocess.Popen(command, env={**os.environ, "BENCH_REDIS_URL": url})
    client = make_app(url)
    try:
        client.send_task("bench.echo", ["ready"]).get(timeout=30)
        yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def round_trips(client: Celery, count: int) -> list[float]:
    """Return the seconds of ``count`` round trips with one in flight."""
    took = []
    for number in range(count):
        start = time.perf_counter()
        client.send_task("bench.echo", [str(number)]).get(timeout=30)
        took.append(time.perf_counter() - start)
    return took


def rate(client: Celery, count: int) -> float:
    """Return round trips a second for ``count`` of them sent at once."""
    start = time.perf_counter()
    group(client.signature("bench.echo", args=(str(number),)) for number in range(count)).apply_async().get(timeout=120)
    return count / (time.perf_counter() - start)
