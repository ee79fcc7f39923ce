"""One run: a mesh, its callers and its bad luck; then calm, and the evidence."""

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg

from chaos.callers import Callers
from chaos.disk import Disk, can_mount
from chaos.evidence import Evidence, read_blobs, read_executions, read_histories
from chaos.faults import Faults
from chaos.mesh import ChaosMesh
from chaos.planner import MODEL, Planner
from chaos.receiver import Receiver
from chaos.schedule import Fault, make_schedule
from chaos.supervised import SUPERVISOR, SupervisedMesh
from chaos.work import make_jobs
from support.mesh import GATEWAY
from support.ports import free_port
from support.postgres import Postgres

LEASE_TTL_S = 3.0
CALM_MAX_S = 150.0
"""A callback whose sender was killed is handed out again after a minute; so the calm may take longer than that."""
UNFENCED = "chaos.unfenced_gateway"
AGENTS = ("noop", "scribe")


@dataclass(frozen=True)
class Plan:
    """What to run."""

    seed: int
    tasks: int
    length_s: float
    """How long things go wrong."""
    postgres: Postgres | None = None
    fenced: bool = True
    supervised: bool = False
    """Under the supervisor of ``concilium up``, in the place of the harness."""
    keep: Path | None = None
    """Where to leave the logs."""

    @property
    def ledger(self) -> str:
        return "postgresql" if self.postgres else "sqlite"

    @property
    def word(self) -> str:
        return "supervised" if self.supervised else "fenced" if self.fenced else "unfenced"


@dataclass
class Outcome:
    """What happened."""

    evidence: Evidence
    callers: Callers
    luck: Faults
    answers: Counter[str]
    """Of the engine."""
    calm_s: float
    took_s: float = 0.0
    full: int = 0
    """Writes of the control planes that found no room, by their logs."""


def run(plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Carry a plan out; return what is left when everything has stopped."""
    began = time.monotonic()
    receiver_port, engine_port = free_port(), free_port()
    settings = {
        "CONCILIUM_ENGINE__URL": f"http://127.0.0.1:{engine_port}/v1",
        "CONCILIUM_ENGINE__MODEL": MODEL,
        "CONCILIUM_CALLBACKS__ALLOW": json.dumps([f"127.0.0.1:{receiver_port}"]),
        "CONCILIUM_LEDGER__MIN_FREE_BYTES": "0",
    }
    module = GATEWAY if plan.fenced else UNFENCED
    options: dict[str, Any] = {
        "agents": AGENTS,
        "lease_ttl_s": LEASE_TTL_S,
        "control_module": module,
        "settings": settings,
    }
    options["controls"] = 2 if plan.postgres else 1
    kind = SupervisedMesh if plan.supervised else ChaosMesh
    with kind.temporary(**options) as made, _ledger_on(mesh := cast("ChaosMesh", made), plan) as (url, disk):
        outcome = asyncio.run(_run(plan, mesh, disk, (receiver_port, engine_port), say))
        mesh.stop()
        outcome.full = sum(mesh.log(name).count("the disk is full") for name in mesh.control_names)
        evidence = outcome.evidence
        evidence.histories = read_histories(url)
        evidence.executions = [line for name in AGENTS for line in read_executions(name, mesh.home.agent_state(name))]
        evidence.blobs = read_blobs(mesh.home.blobs)
        if plan.keep is not None:
            _keep_logs(mesh, plan.keep / f"{plan.ledger}-{plan.seed}-{plan.word}")
    outcome.took_s = time.monotonic() - began
    return outcome


async def _run(
    plan: Plan, mesh: ChaosMesh, disk: Disk | None, ports: tuple[int, int], say: Callable[[str], None]
) -> Outcome:
    faults = schedule_of(plan, mesh, disk)
    jobs = make_jobs(plan.seed, plan.tasks, plan.length_s, faults)
    began = time.monotonic()
    await asyncio.to_thread(mesh.start_all)
    started = time.monotonic()
    say(f"{len(mesh.names)} processes ready after {started - began:.0f} s")
    luck = Faults(mesh, disk, say)
    secret = mesh.home.keys / "webhook.key"
    async with Receiver(ports[0], secret) as receiver, Planner(ports[1], LEASE_TTL_S) as planner:
        callers = Callers(mesh.urls, mesh.key(), receiver.url, plan.seed)
        supervisor = asyncio.create_task(luck.supervise())
        try:
            await asyncio.gather(luck.run(faults), callers.run(jobs))
            calm = time.monotonic()
            say(f"bad luck and submissions over after {calm - started:.0f} s")
            say(f"calm: {len(receiver.ended())} of {plan.tasks} ends were told")
            await _until_all_told(receiver, callers, CALM_MAX_S if plan.fenced else CALM_MAX_S / 5)
            calm_s = time.monotonic() - calm
        finally:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        evidence = Evidence(
            plan.tasks, callers.accepted, callers.canceled, {}, callbacks=receiver.received, odd_answers=callers.odd
        )
        return Outcome(evidence, callers, luck, planner.answers, calm_s)


def schedule_of(plan: Plan, mesh: ChaosMesh, disk: Disk | None) -> tuple[Fault, ...]:
    """Return the faults of a plan."""
    return make_schedule(
        plan.seed,
        plan.length_s,
        LEASE_TTL_S,
        controls=mesh.control_names,
        runners=mesh.runner_names,
        agents=AGENTS,
        disk=disk is not None,
        supervisor=SUPERVISOR if plan.supervised else "",
    )


async def _until_all_told(receiver: Receiver, callers: Callers, within_s: float) -> None:
    """Return when the end of every accepted task was told, or the time is over."""
    news = asyncio.Event()
    receiver.told = news.set
    wanted = {task_id for ids in callers.accepted.values() for task_id in ids}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while wanted - receiver.ended():
                await news.wait()
                news.clear()


@contextlib.contextmanager
def _ledger_on(mesh: ChaosMesh, plan: Plan) -> Iterator[tuple[str, Disk | None]]:
    """Put the ledger, on SQLite the blobs too, on a small disk of its own where one can be had; yield its URL."""
    disk = None
    if can_mount():
        home = mesh.root if plan.postgres is None else plan.postgres.socket_dir
        disk = Disk(home / f"disk-{plan.seed}-{plan.word}")
    try:
        if plan.postgres is not None:
            url = _database(plan.postgres, f"chaos_{plan.seed}_{plan.word}", disk)
        else:
            url = f"sqlite:///{(disk.folder if disk else mesh.root) / 'ledger.sqlite3'}"
        mesh.use_ledger(url, disk.folder / "blobs" if disk and plan.postgres is None else None)
        yield url, disk
    finally:
        if disk is not None:
            disk.unmount()


def _database(server: Postgres, name: str, disk: Disk | None) -> str:
    """Create a database, its tables and indexes on the small disk when there is one."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        where = ""
        if disk is not None:
            space = disk.folder / "tables"
            space.mkdir()
            _own_like(space, server.socket_dir / "data")
            conn.execute(f"CREATE TABLESPACE {name}_space LOCATION '{space}'")
            where = f" TABLESPACE {name}_space"
        conn.execute(f"CREATE DATABASE {name}{where}")
    return server.url(name)


def _own_like(path: Path, other: Path) -> None:
    owner = other.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(0o700)


def _keep_logs(mesh: ChaosMesh, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(mesh.home.logs, to)
