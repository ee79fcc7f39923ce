"""The runner's side: claim, blobs, progress, complete, and the doorbell."""

import asyncio
import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import redis.asyncio

from concilium.home import Home
from concilium.queue.redis_server import redis_args, redis_binary
from support.control_plane import Client, ControlPlane

LARGE = b"x" * (300 * 1024)
LARGE_SHA = hashlib.sha256(LARGE).hexdigest()


async def test_small_inputs_ride_in_the_lease_and_large_ones_are_fetched_under_it(user: Client, runner: Client) -> None:
    small = base64.b64encode(b"small").decode()
    large = base64.b64encode(LARGE).decode()
    await user.ask("a", files=[{"name": "s.bin", "data": small}, {"name": "l.bin", "data": large}])
    lease = (await runner.claim())[0]
    assert list(lease.inline.values()) == [b"small"]
    query = f"?task_id={lease.task_id}&step={lease.step}&attempt={lease.attempt}&fence={lease.fence}"
    assert (await runner.call("GET", f"/runner/v1/blobs/{LARGE_SHA}{query}")).body == LARGE
    stale = query.replace(f"fence={lease.fence}", "fence=99")
    assert (await runner.call("GET", f"/runner/v1/blobs/{LARGE_SHA}{stale}")).problem == "stale-lease"
    assert (await user.call("GET", f"/runner/v1/blobs/{LARGE_SHA}{query}")).problem == "forbidden"
    await runner.complete(lease)


async def test_a_large_artifact_is_put_first_and_named_by_its_hash(user: Client, runner: Client) -> None:
    made = LARGE + b"made"
    sha256 = hashlib.sha256(made).hexdigest()
    task = (await user.ask("a")).json
    lease = (await runner.claim())[0]
    file = {"sha256": sha256, "name": "big.bin", "media_type": "application/zip", "size": len(made)}
    artifact = {"name": "big.bin", "parts": [{"kind": "file", "file": file}]}
    too_early = await runner.complete(lease, artifacts=[artifact])
    assert (too_early.status, too_early.problem) == (422, "invalid")
    wrong = await runner.call("PUT", f"/runner/v1/blobs/{sha256}", data=b"other")
    assert (wrong.status, wrong.problem) == (422, "invalid")
    assert (await runner.call("PUT", f"/runner/v1/blobs/{sha256}", data=made)).status == 204
    assert (await runner.complete(lease, artifacts=[artifact])).status == 200
    assert (await user.call("GET", f"/v1/tasks/{task['id']}/artifacts/big.bin")).body == made


async def test_a_completion_may_claim_the_next_step_and_renewal_names_lost_leases(user: Client, runner: Client) -> None:
    first, second = (await user.ask("a")).json, (await user.ask("b")).json
    lease = (await runner.claim())[0]
    assert lease.task_id == first["id"]
    done = await runner.complete(lease, claim={"agent": "echo", "node": "home", "runner": "r1"})
    following = done.json["leases"][0]
    assert following["task_id"] == second["id"]
    held = {name: following[name] for name in ("task_id", "step", "attempt", "fence")}
    renewed = await runner.call("POST", "/runner/v1/renew", json={"runner": "r1", "leases": [held]})
    assert renewed.json == {"lost": []}
    await user.call("POST", f"/v1/tasks/{second['id']}/cancel")
    renewed = await runner.call("POST", "/runner/v1/renew", json={"runner": "r1", "leases": [held]})
    assert renewed.json == {"lost": [held]}


@pytest.fixture
def redis_socket(tmp_path: Path) -> Iterator[Path]:
    """A Redis of the test's own."""
    home = Home(tmp_path / "home", {})
    home.run.mkdir(parents=True)
    binary = redis_binary()
    assert binary is not None
    process = subprocess.Popen([str(binary), *redis_args(home)])
    yield home.redis_socket
    process.terminate()
    process.wait(timeout=10)


async def test_each_ready_step_rings_its_agents_doorbell(
    redis_socket: Path, own_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    own_plane.start()
    admin, runner = Client(session, own_plane, own_plane.key()), Client(session, own_plane, own_plane.key("runner"))
    task = (await admin.ask("a b>a")).json
    async with redis.asyncio.Redis(unix_socket_path=str(redis_socket)) as queue:
        assert await _rung(queue) == f"{task['id']}.a.1"
        await runner.complete((await runner.claim())[0])
        assert await _rung(queue) == f"{task['id']}.b.1"
    ready = (await admin.call("GET", "/ready")).json
    assert (ready["ready"], ready["queue"]) == (True, "ok")


async def _rung(queue: "redis.asyncio.Redis[bytes]") -> str:
    async with asyncio.timeout(10):
        _, message = await queue.blpop(["agent.echo"], timeout=10)
    args, _kwargs, _embed = json.loads(base64.b64decode(json.loads(message)["body"]))
    (step_id,) = args
    return str(step_id)
