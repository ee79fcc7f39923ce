"""The sandbox this process uses: probed once, then kept."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

from concilium.contracts.base import JSON
from concilium.workers.code.sandbox import launch
from concilium.workers.code.sandbox.job import Job, Limits, Outcome, SandboxError
from concilium.workers.code.sandbox.probe import RungReport, SandboxReport, probe
from concilium.workers.code.sandbox.rungs import RUNGS
from concilium.workers.runtime.skill import SkillFailed

_ALL = tuple(rung.name for rung in RUNGS)
_reports: dict[tuple[str, ...], SandboxReport] = {}


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Probe the rungs, so that the first run does not wait for it. A machine without one is told by the run."""
    await _report(settings)


def describe_sandbox() -> SandboxReport:
    """Probe every rung now and say which is used, what each does not bound and why others do not hold.

    Blocks for about a second; callable with or without a running event loop.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(probe(_ALL))).result()


async def chosen_rung(settings: Mapping[str, JSON]) -> RungReport:
    """Return the rung to run on. Raises `SkillFailed` ``no-sandbox`` with how to get one."""
    report = await _report(settings)
    if report.chosen is None:
        tried = " ".join(f"{rung.name}: {rung.reason}." for rung in report.rungs)
        raise SkillFailed("no-sandbox", f"{report.advice} Tried: {tried or 'nothing, by settings.'}")
    return report.chosen


async def _report(settings: Mapping[str, JSON]) -> SandboxReport:
    names = tuple(settings.get("rungs", _ALL))
    found = _reports.get(names)
    if found is None or found.chosen is None:  # what was missing may have been installed since
        found = _reports[names] = await probe(names)
    return found


async def carry_out(report: RungReport, job: Job) -> Outcome:
    """Run the job on a rung that held. Raises `SandboxError` when it does no longer."""
    rung = next(rung for rung in RUNGS if rung.name == report.name)
    if report.interpreter is None:
        raise SandboxError(f"{report.name} did not hold: {report.reason}")
    return await launch.carry_out(rung, report.interpreter, job)


def limits(settings: Mapping[str, JSON], timeout_s: float | None) -> Limits:
    """Return the limits of the settings, the wall clock lowered to ``timeout_s``."""
    known = {item.name for item in fields(Limits)}
    found = Limits(**{name: value for name, value in settings.items() if name in known})
    return found if timeout_s is None else replace(found, wall_s=min(found.wall_s, timeout_s))
