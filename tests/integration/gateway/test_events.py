"""Following a task: server-sent events that resume, over a lost connection and over a killed server."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from concilium.contracts.task import Event
from support.control_plane import Client, ControlPlane


@dataclass
class Stream:
    """An open event stream, read frame by frame."""

    answer: aiohttp.ClientResponse
    ids: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    async def next(self) -> Event | None:
        """Return the next event, None when the stream ended."""
        frame: dict[str, str] = {}
        async for line in self.answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                frame[name] = value
            elif "id" in frame:
                event = Event.model_validate_json(frame["data"])
                assert (int(frame["id"]), frame["event"]) == (event.seq, event.body.kind)
                self.ids.append(event.seq)
                self.events.append(event)
                return event
            else:
                frame = {}
        return None

    async def rest(self) -> list[Event]:
        while await self.next():
            pass
        return self.events


@asynccontextmanager
async def follow(client: Client, task_id: str, last: int | None = None, query: str = "") -> AsyncIterator[Stream]:
    headers = client.auth | ({} if last is None else {"Last-Event-ID": str(last)})
    url = f"{client.plane.url}/v1/tasks/{task_id}/events{query}"
    async with client.session.get(url, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)


async def test_events_arrive_as_they_happen_and_the_stream_ends_with_the_task(user: Client, runner: Client) -> None:
    task = (await user.ask("a")).json
    async with follow(user, task["id"]) as stream:
        first = await stream.next()
        assert first is not None
        lease = (await runner.claim())[0]
        note = {"held": lease.model_dump(include={"task_id", "step", "attempt", "fence"}), "fraction": 0.5}
        assert (await runner.call("POST", "/runner/v1/progress", json={"notes": [note]})).status == 204
        await runner.complete(lease)
        events = await stream.rest()
    assert stream.ids == list(range(1, len(events) + 1))
    assert events[-1].body.model_dump()["state"] == "completed"
    assert "progress" in {event.body.kind for event in events}


async def test_a_reconnect_gets_what_it_missed_and_nothing_twice(user: Client, runner: Client) -> None:
    task = (await user.ask("a b>a")).json
    async with follow(user, task["id"]) as stream:
        await stream.next()
        await stream.next()
    await runner.complete((await runner.claim())[0])
    await runner.complete((await runner.claim())[0])
    async with follow(user, task["id"], last=stream.ids[-1]) as again:
        await again.rest()
    everything = (await user.call("GET", f"/v1/tasks/{task['id']}/events", headers={"Accept": "application/json"})).json
    assert stream.ids + again.ids == [event["seq"] for event in everything]
    async with follow(user, task["id"], query=f"?after={len(everything)}") as over:
        assert await over.rest() == []


async def test_a_follower_goes_on_after_the_server_was_killed(
    own_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    own_plane.start()
    admin, runner = Client(session, own_plane, own_plane.key()), Client(session, own_plane, own_plane.key("runner"))
    task = (await admin.ask("a")).json
    async with follow(admin, task["id"]) as stream:
        while len(stream.ids) < task["last_seq"]:
            await stream.next()
        own_plane.stop(signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            await stream.next()
    own_plane.start()
    async with follow(admin, task["id"], last=stream.ids[-1]) as again:
        await runner.complete((await runner.claim())[0])
        await again.rest()
    assert stream.ids + again.ids == list(range(1, len(stream.ids + again.ids) + 1))
    assert (await admin.task(task["id"]))["state"] == "completed"


async def test_a_stop_ends_open_streams_and_waits_at_once(
    own_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    own_plane.start()
    admin = Client(session, own_plane, own_plane.key())
    task = (await admin.ask("a")).json
    async with follow(admin, task["id"]) as stream:
        await stream.next()
        assert own_plane.stop() < 4
        events = await stream.rest()
    assert events[-1].body.model_dump().get("state") != "completed"


async def test_a_json_list_is_given_on_request_and_paged(user: Client) -> None:
    task = (await user.ask("ask a")).json
    path, accept = f"/v1/tasks/{task['id']}/events", {"Accept": "application/json"}
    every = (await user.call("GET", path, headers=accept)).json
    page = (await user.call("GET", path + "?after=1&limit=1", headers=accept)).json
    assert page == every[1:2]
    assert (await user.call("GET", path, headers=accept | {"Last-Event-ID": "x"})).problem == "bad-request"
