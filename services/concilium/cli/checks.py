"""What ``concilium doctor`` looks at: each check says what it found and how to get what is missing."""

import importlib
import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from concilium.cli import lifecycle
from concilium.cli.output import size
from concilium.cli.processes import mesh_processes, redis_server
from concilium.contracts.base import utc_now
from concilium.contracts.errors import ConciliumError
from concilium.home import Home


class Grade(StrEnum):
    """What a finding means for the mesh."""

    OK = "ok"
    LIMITED = "limited"
    """It works, with less."""
    MISSING = "missing"
    """Something does not work without it."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    check: str
    grade: Grade
    found: str
    advice: str = ""
    """How to get what is missing; empty when nothing is."""


Check = Callable[[Home], Iterator[Finding]]


def python(_: Home) -> Iterator[Finding]:
    """The interpreter."""
    good = sys.version_info >= (3, 11)
    yield Finding(
        "python",
        Grade.OK if good else Grade.MISSING,
        f"{platform.python_version()} at {sys.executable}",
        "" if good else "install Python 3.11 or newer",
    )


def configuration(home: Home) -> Iterator[Finding]:
    """mesh.yaml, the environment and the agents' folders."""
    try:
        own = (home.root / "mesh.yaml").is_file()
        names = ", ".join(sorted(home.catalog.agents))
        source = home.root / "mesh.yaml" if own else "the shipped defaults"
        yield Finding("config", Grade.OK, f"{source}; home {home.root}; agents: {names}")
        unknown = sorted(set(home.config.agents.start) - set(home.catalog.agents))
        if unknown:
            yield Finding(
                "config", Grade.MISSING, f"agents.start names {', '.join(unknown)}", "no such folder in agents/"
            )
    except ConciliumError as error:
        yield Finding("config", Grade.MISSING, error.detail, "correct the value it names")


def redis(home: Home) -> Iterator[Finding]:
    """The broker."""
    if home.config.queue.url:
        yield Finding("redis", Grade.OK, "named by queue.url; `concilium status` shows whether it answers")
        return
    server = redis_server(home)
    yield Finding("redis", Grade.OK, server.argv[0])
    if len(os.fsencode(home.redis_socket)) > lifecycle.SOCKET_PATH_BYTES:
        yield Finding(
            "redis", Grade.MISSING, "the home's path is too long for a socket", "use a shorter CONCILIUM_HOME"
        )


def sandbox(home: Home) -> Iterator[Finding]:
    """Where scripts may run, by the settings of the agent that runs them; what that does not bound; what else holds."""
    agent = home.catalog.agents.get("code")
    report = importlib.import_module("concilium.workers.code").describe_sandbox(agent.settings if agent else {})
    chosen = report.chosen
    if chosen is None:
        yield Finding("sandbox", Grade.MISSING, "none holds: scripts are refused", report.advice)
        for rung in report.rungs:
            yield Finding("sandbox", Grade.MISSING, f"{rung.name}: {rung.reason}")
        return
    yield Finding(
        "sandbox",
        Grade.OK,
        f"{chosen.name}, limits held by {chosen.holder}; does not bound: {'; '.join(chosen.unbounded)}",
    )
    others = [rung for rung in report.rungs if rung is not chosen]
    for rung in others:
        yield Finding("sandbox", Grade.OK, f"also {rung.name}" if rung.holds else f"not {rung.name}: {rung.reason}")


def ports(home: Home) -> Iterator[Finding]:
    """The addresses the mesh listens on."""
    if lifecycle.running(home) is not None:
        yield Finding("ports", Grade.OK, "in use by this home's mesh")
        return
    taken = [p for p in mesh_processes(home) if p.listen and not lifecycle.free(p.listen.host, p.listen.port)]
    for process in taken:
        error = lifecycle.taken(process)
        yield Finding("ports", Grade.MISSING, error.message, error.hint)
    if not taken:
        yield Finding(
            "ports", Grade.OK, ", ".join(p.listen.url for p in mesh_processes(home) if p.listen) + " are free"
        )


def disk(home: Home) -> Iterator[Finding]:
    """Room for tasks and files."""
    kept = home.config.ledger.min_free_bytes
    for wanted in dict.fromkeys((home.root, home.blobs.parent)):
        place = next(folder for folder in (wanted, *wanted.parents) if folder.is_dir())
        free = shutil.disk_usage(place).free
        low = free < kept
        advice = f"new tasks are refused below {size(kept)}: free some space, or run `concilium gc`" if low else ""
        yield Finding("disk", Grade.MISSING if low else Grade.OK, f"{size(free)} free at {place}", advice)


def privacy(home: Home) -> Iterator[Finding]:
    """Who may look into the home."""
    if not home.root.is_dir():
        yield Finding("home", Grade.OK, f"{home.root} does not exist yet; `concilium up` makes it")
    elif stat.S_IMODE(home.root.stat().st_mode) & 0o077:
        found = f"{home.root} can be read by others; what the mesh writes there cannot, older files may"
        yield Finding("home", Grade.LIMITED, found, f"chmod 700 {home.root}")
    else:
        yield Finding("home", Grade.OK, f"{home.root} is its owner's alone")


def secrets(home: Home) -> Iterator[Finding]:
    """The key files and who may read them."""
    files = sorted(home.keys.glob("*.key"))
    for path in files:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("keys", Grade.MISSING, f"{path} can be read by others", f"chmod 600 {path}")
    yield Finding("keys", Grade.OK, f"{len(files)} in {home.keys}" if files else "none yet; `concilium up` writes them")


def certificates(home: Home) -> Iterator[Finding]:
    """When the certificates of the links to rented nodes end."""
    # Its import takes a moment that no other command should wait for.
    from cryptography import x509  # noqa: PLC0415

    kept = (
        (
            "mesh-ca.pem",
            365,
            "the mesh authority's",
            "under another every node has to be invited anew",
        ),
        ("link.pem", 7, "home's", "a running mesh renews it; look into the control plane's log"),
        ("node.pem", 2, "this node's", "home renews it over the link; look into the link's log"),
    )
    for name, days, whose, advice in kept:
        path = home.keys / name
        if not path.is_file():
            continue
        end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        soon = end - utc_now() < timedelta(days=days)
        found = f"{whose} certificate is good until {end:%Y-%m-%d}"
        grade = Grade.OK if not soon else Grade.LIMITED if end > utc_now() else Grade.MISSING
        yield Finding("nodes", grade, found, advice if soon else "")


def engines(agent: str) -> Check:
    """Return the check of the engines an agent's room describes."""

    def check(_: Home) -> Iterator[Finding]:
        for engine in importlib.import_module(f"concilium.workers.{agent}").describe_engines():
            grade = Grade.OK if engine.available else Grade.LIMITED
            yield Finding(agent, grade, f"{engine.name}: {engine.found}", engine.advice)

    return check


CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", python),
    ("config", configuration),
    ("redis", redis),
    ("sandbox", sandbox),
    ("code", engines("code")),
    ("vision", engines("vision")),
    ("tts", engines("tts")),
    ("document", engines("document")),
    ("nodes", certificates),
    ("ports", ports),
    ("disk", disk),
    ("home", privacy),
    ("keys", secrets),
)


def examine(home: Home) -> Iterator[Finding]:
    """Yield the findings of every check; a check that cannot be made is itself a finding."""
    for name, check in CHECKS:
        try:
            yield from check(home)
        except ConciliumError as error:
            yield Finding(name, Grade.MISSING, error.detail)
        # An agent of another version may lack its report; a file may not be what its name says.
        except (ImportError, AttributeError, OSError, ValueError) as error:
            yield Finding(name, Grade.MISSING, f"cannot be examined: {error}")
