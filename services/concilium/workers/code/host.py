"""The sandbox this process uses and the packages in it: probed and prepared once, then kept."""

import asyncio
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import structlog
from prometheus_client import Counter

from concilium.contracts.base import JSON
from concilium.home import Home
from concilium.workers.code.distributions import PackagesError
from concilium.workers.code.packages import Packages, find, prepare
from concilium.workers.code.sandbox import launch
from concilium.workers.code.sandbox.job import Job, Limits, Outcome, SandboxError
from concilium.workers.code.sandbox.probe import RungReport, SandboxReport, probe
from concilium.workers.code.sandbox.rungs import RUNGS
from concilium.workers.runtime.engines import EngineReport
from concilium.workers.runtime.skill import SkillFailed

log = structlog.get_logger(__name__)

_ALL = tuple(rung.name for rung in RUNGS)
_reports: dict[tuple[tuple[str, ...], bool], SandboxReport] = {}
_prepared: dict[tuple[str, str], Packages] = {}
_preparing = threading.Lock()


RUNS = Counter(
    "concilium_sandbox_runs", "Scripts run, by rung and the limit that ended them (none; broken).", ("rung", "limit")
)
for _rung in _ALL:
    RUNS.labels(_rung, "broken")  # there as 0, so that the first time is seen as a rise


@dataclass(frozen=True)
class Place:
    """Where scripts run and what they find there."""

    rung: RungReport
    packages: Packages

    @property
    def record(self) -> dict[str, JSON]:
        """What every run's record says of it."""
        packages = self.packages
        return {
            "rung": self.rung.name,
            "unbounded": list(self.rung.unbounded),
            "python": packages.python.version,
            "packages": list(packages.listed),
            "notes": packages.notes,
        }


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Probe the rungs and prepare the packages, so that the first run does not wait for it.

    What is missing is logged here and told by every run; it may be installed while the agent is up.
    """
    try:
        await place(settings)
    except SkillFailed as error:
        log.warning("scripts cannot be run", problem=error.problem.type, detail=error.problem.detail)


async def place(settings: Mapping[str, JSON]) -> Place:
    """Return where to run.

    Raises:
        SkillFailed: ``no-sandbox`` or ``packages-missing``, with how to get what is missing.
    """
    rung = await chosen_rung(settings)
    return Place(rung, await _packages(settings, rung))


async def _packages(settings: Mapping[str, JSON], rung: RungReport) -> Packages:
    try:
        return await asyncio.to_thread(_prepared_once, settings, _interpreter(rung))
    except PackagesError as error:
        raise SkillFailed("packages-missing", f"Scripts are not run: {error}.") from error


def _interpreter(rung: RungReport) -> str:
    if rung.interpreter is None:
        raise SkillFailed("sandbox-broken", f"The sandbox {rung.name} has no interpreter.", retryable=True)
    return rung.interpreter.path


def _prepared_once(settings: Mapping[str, JSON], interpreter: str) -> Packages:
    wanted = json.dumps([settings.get("packages", []), settings.get("packages_folder", "")])
    with _preparing:  # the first run and the warm-up may meet
        found = _prepared.get((wanted, interpreter))
        if found is None or not found.folder.is_dir():
            found = _prepared[wanted, interpreter] = prepare(settings, interpreter)
    return found


def describe_engines() -> list[EngineReport]:
    """Say which packages scripts find, by the shipped or the owner's settings. Blocks for about a second."""
    settings = Home.find().catalog.agent("code").settings
    with ThreadPoolExecutor(max_workers=1) as pool:
        return [pool.submit(lambda: asyncio.run(_describe_packages(settings))).result()]


async def _describe_packages(settings: Mapping[str, JSON]) -> EngineReport:
    try:
        rung = await chosen_rung(settings)
        packages, _ = await asyncio.to_thread(find, settings, _interpreter(rung))
    except SkillFailed as error:
        return EngineReport("packages", False, "no sandbox to show them in", error.problem.detail)
    except PackagesError as error:
        return EngineReport(
            "packages", False, "not as settings.packages lists them, so scripts are refused", str(error)
        )
    listed = f"Python {packages.python.version} with {', '.join(packages.listed) or 'nothing more'}"
    return EngineReport("packages", True, "; ".join([listed, *packages.notes]), "")


def describe_sandbox(settings: Mapping[str, JSON] | None = None) -> SandboxReport:
    """Probe the rungs of the settings now and say which is used, what it does not bound and why others do not hold.

    Blocks for about a second; callable with or without a running event loop.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(_probe(settings or {}))).result()


async def chosen_rung(settings: Mapping[str, JSON]) -> RungReport:
    """Return the rung to run on. Raises `SkillFailed` ``no-sandbox`` with how to get one."""
    report = await _report(settings)
    if report.chosen is None:
        tried = " ".join(f"{rung.name}: {rung.reason}." for rung in report.rungs)
        raise SkillFailed("no-sandbox", f"{report.advice} Tried: {tried or 'nothing, by settings.'}")
    return report.chosen


async def _report(settings: Mapping[str, JSON]) -> SandboxReport:
    key = (tuple(settings.get("rungs", _ALL)), bool(settings.get("cgroup", True)))
    found = _reports.get(key)
    if found is None or found.chosen is None:  # what was missing may have been installed since
        found = _reports[key] = await _probe(settings)
    return found


async def _probe(settings: Mapping[str, JSON]) -> SandboxReport:
    return await probe(tuple(settings.get("rungs", _ALL)), control_groups=bool(settings.get("cgroup", True)))


async def carry_out(report: RungReport, job: Job) -> Outcome:
    """Run the job on a rung that held. Raises `SandboxError` when it does no longer."""
    rung = next(rung for rung in RUNGS if rung.name == report.name)
    if report.interpreter is None:
        raise SandboxError(f"{report.name} did not hold: {report.reason}")
    return await launch.carry_out(rung, report.interpreter, job, report.controls)


async def carry_out_in(found: Place, job: Job, *, importable: bool = True) -> Outcome:
    """Run the job with the packages; modules among its files can be imported unless ``importable`` is off.

    Raises:
        SkillFailed: ``sandbox-broken``: the sandbox did not hold, or what the script did is unknown.
    """
    folder = str(found.packages.folder)
    path = folder + (":{box}/work" if importable else "")
    environment = {"PYTHONPATH": path, **job.environment}
    try:
        outcome = await carry_out(found.rung, replace(job, readable=(*job.readable, folder), environment=environment))
        RUNS.labels(found.rung.name, outcome.limit or "none").inc()
        return outcome
    except SandboxError as error:
        RUNS.labels(found.rung.name, "broken").inc()
        raise SkillFailed("sandbox-broken", f"The sandbox {found.rung.name} failed: {error}", retryable=True) from error


def limits(settings: Mapping[str, JSON], timeout_s: float | None) -> Limits:
    """Return the limits of the settings, the wall clock lowered to ``timeout_s``."""
    known = {item.name for item in fields(Limits)}
    found = Limits(**{name: value for name, value in settings.items() if name in known})
    return found if timeout_s is None else replace(found, wall_s=min(found.wall_s, timeout_s))
