"""Containers killed one at a time while tasks run, then all at once; the rules of chaos judge what is left."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chaos.callers import Callers
from chaos.checker import RULES, Report, Violation, check
from chaos.evidence import Evidence, read_blobs, read_executions, read_histories
from chaos.receiver import Receiver
from compose.stack import PROJECT, SERVICES, Stack, kill_main
from support.ports import free_port

EVERY_S = 2.0
"""A request comes this often."""
CALM_S = 300.0
AGENTS = ("code", "vision", "tts", "document")
SKIPPED = {"right answers"}
"""A rule about agents made for the tests, which say what they were told."""


@dataclass(frozen=True)
class Request:
    """One request of `Callers`: a script that takes its time, and the reading aloud of what it prints."""

    number: int
    at_s: float = 0.0
    deadline_s: float = 600.0
    priority: str = "normal"
    cancel_after_s: float | None = None

    @property
    def text(self) -> str:
        source = f"import time\ntime.sleep({1 + self.number % 4})\nprint('number {self.number}')"
        return f"Run this script and read the result aloud\n```python\n{source}\n```"


@dataclass
class Outcome:
    """What happened."""

    kills: list[str]
    report: Report

    def __str__(self) -> str:
        counts = self.report.counts
        done = f"{len(self.kills)} kills, {counts['tasks']} tasks, {counts['leases taken back']} leases taken back"
        return f"{done}, {counts['callbacks received']} callbacks: 0 lost, 0 twice"


def one_at_a_time(stack: Stack) -> str:
    """Kill the first process of every container while requests come in."""

    async def faults(kills: list[str]) -> None:
        for service in SERVICES:
            await _kill(stack, service)
            kills.append(service)

    return str(asyncio.run(_under(stack, faults)))


def reboot(stack: Stack, restart: Callable[[], None]) -> str:
    """Stop the engine with everything in it and start it again while requests come in; nobody starts a container."""

    async def faults(kills: list[str]) -> None:
        await asyncio.sleep(3 * EVERY_S)  # some work is under way
        began = time.monotonic()
        await asyncio.to_thread(restart)
        await asyncio.to_thread(stack.wait_healthy)
        kills.append(f"all back after {time.monotonic() - began:.0f} s")

    outcome = asyncio.run(_under(stack, faults))
    return f"{outcome.kills[0]}; {str(outcome).partition(', ')[2]}"


async def _under(stack: Stack, faults: Callable[[list[str]], Awaitable[None]]) -> Outcome:
    secret = stack.volume("home") / "keys" / "webhook.key"
    old = set(await asyncio.to_thread(read_histories, _ledger(stack)))
    kills: list[str] = []
    async with Receiver(free_port(), secret, gateway(stack)) as receiver:
        callers = Callers([stack.url], stack.key, receiver.url, seed=time.time_ns())
        over = asyncio.Event()
        asking = asyncio.create_task(_ask(callers, over))
        try:
            await faults(kills)
        finally:
            over.set()
            asked = await asking
        await _until_told(stack, receiver, callers)
    histories = await asyncio.to_thread(read_histories, _ledger(stack))
    evidence = Evidence(
        asked,
        callers.accepted,
        callers.canceled,
        {task_id: history for task_id, history in histories.items() if task_id not in old},
        [line for agent in AGENTS for line in read_executions(agent, stack.volume(agent) / agent)],
        receiver.received,
        read_blobs(stack.volume("home") / "blobs"),
        callers.odd,
    )
    report = check(evidence)
    report.violations = [each for each in report.violations if each.rule not in SKIPPED]
    report.violations += _unfinished(evidence)
    assert report.green, "\n".join(map(str, report.violations[:12]))
    return Outcome(kills, report)


def _unfinished(evidence: Evidence) -> list[Violation]:
    """Every request had time enough: what did not complete was lost on the way."""
    states = {task_id: history.task.state for task_id, history in evidence.histories.items()}
    return [Violation("completed", task_id, state) for task_id, state in states.items() if state != "completed"]


async def _ask(callers: Callers, over: asyncio.Event) -> int:
    """Ask every few seconds until it is over; return how often once all are accepted."""
    asked: list[asyncio.Task[None]] = []
    while not over.is_set():
        asked.append(asyncio.create_task(callers.run([Request(len(asked))])))  # type: ignore[list-item]  # as a Job
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), EVERY_S)
    await asyncio.gather(*asked)
    return len(asked)


async def _kill(stack: Stack, service: str) -> None:
    """Kill a container's first process; return when the restart policy has brought a healthy one."""
    before = stack.inspect(service)["State"]
    kill_main(before["Pid"])
    began = time.monotonic()

    def back() -> bool:
        return stack.inspect(service)["State"]["StartedAt"] != before["StartedAt"] and stack.healthy(service)

    while not await asyncio.to_thread(back):
        assert time.monotonic() - began < CALM_S, f"{service} did not come back:\n{stack.log(service)}"
        await asyncio.sleep(0.5)
    stack.say(f"  {service} killed, healthy again after {time.monotonic() - began:.0f} s")


async def _until_told(stack: Stack, receiver: Receiver, callers: Callers) -> None:
    """Return when the end of every accepted task was told."""
    wanted = {task_id for ids in callers.accepted.values() for task_id in ids}
    until = time.monotonic() + CALM_S
    while left := wanted - receiver.ended():
        assert time.monotonic() < until, f"no callback for {left}:\n{stack.log('control')}"
        await asyncio.sleep(0.5)


def _ledger(stack: Stack) -> str:
    """Return where the database is reached from this machine."""
    password = (stack.volume("given-database") / "password").read_text().strip()
    return f"postgresql://concilium:{password}@{stack.address('database', 'data')}/concilium"


def gateway(stack: Stack) -> str:
    """Return this machine's address in the network that callbacks leave by."""
    network: list[dict[str, Any]] = json.loads(stack.docker("network", "inspect", f"{PROJECT}_edge"))
    return str(network[0]["IPAM"]["Config"][0]["Gateway"])


assert RULES.keys() >= SKIPPED
