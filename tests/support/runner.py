"""A caller who asks a mesh of real processes for steps."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from support.json_fold import steps
from support.mesh import Mesh

WAIT_S = 60.0


@dataclass
class Caller:
    """Somebody with the admin key."""

    mesh: Mesh
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, **options: Any) -> Any:
        async with self.session.request(method, self.mesh.url + path, **options) as answer:
            body = await answer.json(content_type=None)
            assert answer.status < 300, (answer.status, body)
            return body

    async def ask(self, *wanted: dict[str, Any], **members: Any) -> str:
        """Submit a task of these steps; return its id."""
        task = await self.call("POST", "/v1/ask", json={"text": steps(*wanted), **members})
        return str(task["id"])

    async def task(self, task_id: str) -> Any:
        return await self.call("GET", f"/v1/tasks/{task_id}")

    async def ended(self, task_id: str) -> Any:
        """Return the task once it is in a terminal state."""
        deadline = time.monotonic() + WAIT_S
        while True:
            task = await self.task(task_id)
            if task["state"] in {"completed", "failed", "canceled", "rejected"}:
                return task
            assert time.monotonic() < deadline, (task, self.mesh.log("runner")[-3000:])
            await asyncio.sleep(0.02)


@asynccontextmanager
async def calling(mesh: Mesh) -> AsyncIterator[Caller]:
    """Yield a caller of a started mesh, with its admin key."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {mesh.key()}"}) as session:
        yield Caller(mesh, session)


async def until(true: Callable[[], Any], mesh: Mesh) -> None:
    """Wait for a condition, at most `WAIT_S`."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, mesh.log("runner")[-3000:]
        await asyncio.sleep(0.02)


def echo(name: str = "a", **step: Any) -> dict[str, Any]:
    data = {"text": name, **step.pop("data", {})}
    return {"name": name, "input": data, **step}


def wait(name: str, seconds: float) -> dict[str, Any]:
    return {"name": name, "skill": "probe.wait", "input": {"seconds": seconds}}


async def events_of(caller: Caller, task: str) -> list[dict[str, Any]]:
    """Return what each event of an ended task says."""
    async with caller.session.get(f"{caller.mesh.url}/v1/tasks/{task}/events") as stream:
        lines = (await stream.text()).splitlines()
    return [json.loads(line[5:])["body"] for line in lines if line.startswith("data:")]


def runs_of(answer: Any) -> Any:
    return answer if isinstance(answer, list) else next(v for v in answer.values() if isinstance(v, list))
