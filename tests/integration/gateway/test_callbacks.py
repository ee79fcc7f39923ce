"""Callbacks: signed, at least once, in order, and only where they may go."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from support.control_plane import Client, ControlPlane

WAIT_S = 20.0


@dataclass
class Receiver:
    """A web server that takes callbacks, or refuses the first ones."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    """What the next answers are; 200 once they are used up."""
    paths: list[str] = field(default_factory=list)
    """What was called, as it stood in the request line."""
    got: "asyncio.Queue[tuple[dict[str, str], bytes]]" = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        self.paths.append(request.raw_path)
        await self.got.put((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Location": f"http://127.0.0.1:{self.port}/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    async def next(self) -> tuple[dict[str, str], Any]:
        async with asyncio.timeout(WAIT_S):
            headers, body = await self.got.get()
        return {k.lower(): v for k, v in headers.items()}, body

    def url(self, path: str = "/hook?token=s3cret") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taking = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", taking.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    taking.port = runner.addresses[0][1]
    yield taking
    await runner.cleanup()


@pytest.fixture
def started(own_plane: ControlPlane, receiver: Receiver) -> ControlPlane:
    own_plane.settings["CONCILIUM_CALLBACKS__ALLOW"] = json.dumps([f"127.0.0.1:{receiver.port}"])
    own_plane.settings["CONCILIUM_CALLBACKS__ATTEMPTS"] = "2"
    own_plane.start()
    return own_plane


@pytest.fixture
def owner(started: ControlPlane, session: aiohttp.ClientSession) -> Client:
    return Client(session, started, started.key())


async def finish(owner: Client) -> None:
    runner = Client(owner.session, owner.plane, owner.plane.key("runner"))
    await runner.complete((await runner.claim())[0], output="done")


async def test_the_answer_is_posted_with_a_valid_signature(owner: Client, receiver: Receiver) -> None:
    task = (await owner.ask("a", callback_url=receiver.url())).json
    await finish(owner)
    headers, body = await receiver.next()
    message = Webhook(owner.plane.key("webhook")).verify(body, headers)
    assert message["type"] == "task.completed"
    assert message["data"]["id"] == task["id"]
    assert message["data"]["answer"]["outputs"] == {"a": "done"}
    assert headers["webhook-id"]
    log = owner.plane.log.read_text()
    assert "s3cret" not in log


async def test_the_url_is_called_byte_for_byte_and_its_query_is_in_no_log(owner: Client, receiver: Receiver) -> None:
    path = "/webhook-waiting/7?signature=aB%2fc%2F+d==&&x=1&x=2&~!$'()*,;:@/?%d1%84"
    await owner.ask("a", callback_url=receiver.url(path))
    await finish(owner)
    await receiver.next()
    assert receiver.paths == [path]
    assert "aB%2fc" not in owner.plane.log.read_text()


async def test_a_failed_delivery_is_tried_again_under_the_same_id(owner: Client, receiver: Receiver) -> None:
    receiver.statuses = [500]
    await owner.ask("a", callback_url=receiver.url())
    await finish(owner)
    first, body = await receiver.next()
    again, same = await receiver.next()
    assert (again["webhook-id"], same) == (first["webhook-id"], body)
    Webhook(owner.plane.key("webhook")).verify(same, again)


async def test_a_callback_given_up_is_a_dead_letter_and_can_be_sent_again(owner: Client, receiver: Receiver) -> None:
    receiver.statuses = [302, 500]  # a redirect is a failure, whatever it points to
    await owner.ask("a", callback_url=receiver.url())
    await finish(owner)
    await receiver.next()
    first, _ = await receiver.next()
    dead = await until_dead(owner)
    assert (dead["attempts"], dead["url"]) == (2, receiver.url("/hook?…"))
    replayed = await owner.call("POST", f"/v1/outbox/{dead['id']}/replay")
    assert replayed.status == 200
    headers, _ = await receiver.next()
    assert headers["webhook-id"] == first["webhook-id"] == dead["id"]
    assert (await owner.call("POST", f"/v1/outbox/{dead['id']}/replay")).problem == "conflict"
    assert (await owner.call("POST", "/v1/outbox/none/replay")).problem == "not-found"


async def until_dead(owner: Client) -> Any:
    async with asyncio.timeout(WAIT_S):
        letters = (await owner.call("GET", "/v1/outbox")).json["deliveries"]
        while not letters:
            letters = (await owner.call("GET", "/v1/outbox")).json["deliveries"]
    return letters[0]


async def test_a_callback_survives_the_control_plane(owner: Client, receiver: Receiver) -> None:
    receiver.statuses = [503]
    await owner.ask("a", callback_url=receiver.url())
    await finish(owner)
    first, _ = await receiver.next()
    async with asyncio.timeout(WAIT_S):
        while "callback.failed" not in owner.plane.log.read_text():
            await owner.call("GET", "/health")
    owner.plane.stop(signal.SIGKILL)
    owner.plane.start()
    headers, _ = await receiver.next()
    assert headers["webhook-id"] == first["webhook-id"]


async def test_a_place_that_is_no_longer_allowed_is_not_called(owner: Client, receiver: Receiver) -> None:
    await owner.ask("a", callback_url=receiver.url())
    owner.plane.stop()
    owner.plane.settings["CONCILIUM_CALLBACKS__ALLOW"] = "[]"
    owner.plane.settings["CONCILIUM_CALLBACKS__ATTEMPTS"] = "1"
    owner.plane.start()
    await finish(owner)
    dead = await until_dead(owner)
    assert "not a public address" in dead["error"]
    assert receiver.got.empty()
    refused = await owner.ask("a", callback_url=receiver.url())
    assert (refused.status, refused.problem) == (422, "callback-refused")
