"""Asking, following and answering over HTTP."""

import asyncio
import base64
import hashlib

import aiohttp
import pytest

from support.control_plane import Client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_request_is_accepted_and_its_answer_is_found_at_its_location(user: Client, runner: Client) -> None:
    accepted = await user.ask("a")
    assert accepted.status == 202
    assert accepted.headers["Location"] == f"/v1/tasks/{accepted.json['id']}"
    lease = (await runner.claim())[0]
    assert (await runner.complete(lease, output={"n": 1})).status == 200
    task = (await user.call("GET", accepted.headers["Location"])).json
    assert (task["state"], task["answer"]["outputs"]) == ("completed", {"a": {"n": 1}})
    steps = (await user.call("GET", accepted.headers["Location"] + "/steps")).json["steps"]
    assert [(s["step"], s["state"], s["node"]) for s in steps] == [("a", "completed", "home")]


async def test_a_caller_that_waits_gets_the_answer_itself(user: Client, runner: Client) -> None:
    asking = asyncio.create_task(user.ask("a", wait_s=20))
    lease = await runner.claim_one()
    await runner.complete(lease, output="hello")
    reply = await asking
    assert reply.status == 200
    assert reply.json["answer"]["outputs"] == {"a": "hello"}


async def test_a_wait_that_is_too_short_gives_the_task(user: Client, runner: Client) -> None:
    reply = await user.ask("a", wait_s=0.05)
    assert (reply.status, reply.json["state"]) == (202, "submitted")
    await user.call("POST", f"/v1/tasks/{reply.json['id']}/cancel")


async def test_the_callers_trace_is_kept_and_an_invalid_one_replaced(user: Client) -> None:
    kept = await user.ask("ask a", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert (kept.json["trace_id"], kept.headers["x-trace-id"]) == (TRACE, TRACE)
    made = await user.ask("ask a", headers={"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
    assert made.json["trace_id"] == made.headers["x-trace-id"] != "0" * 32


@pytest.mark.parametrize("form", [False, True], ids=["json", "multipart"])
async def test_files_travel_in_and_are_served_harmlessly(user: Client, form: bool) -> None:
    data = b"<script>alert(1)</script>"
    if form:
        fields = aiohttp.FormData()
        fields.add_field("text", "ask a")
        fields.add_field("files", data, filename=["x/..", "page.html"][-1], content_type="text/html")
        reply = await user.call("POST", "/v1/ask", data=fields)
    else:
        file = {"name": "page.html", "media_type": "text/html", "data": base64.b64encode(data).decode()}
        reply = await user.ask("ask a", files=[file])
    sha256 = hashlib.sha256(data).hexdigest()
    assert reply.status == 202, reply.body
    assert reply.json["request"]["files"] == [
        {"sha256": sha256, "name": "page.html", "media_type": "text/html", "size": len(data)}
    ]
    got = await user.call("GET", f"/v1/tasks/{reply.json['id']}/files/{sha256}")
    assert got.body == data
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''page.html"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in got.headers["content-security-policy"]


async def test_artifacts_are_served_by_name_also_a_russian_one(user: Client, runner: Client) -> None:
    task = (await user.ask("a")).json
    lease = (await runner.claim())[0]
    wav = b"RIFF....WAVE"
    sha256 = hashlib.sha256(wav).hexdigest()
    file = {"sha256": sha256, "name": "речь.wav", "media_type": "audio/wav", "size": len(wav)}
    artifacts = [
        {"name": "речь.wav", "parts": [{"kind": "file", "file": file}]},
        {"name": "output", "parts": [{"kind": "data", "data": {"ok": True}}]},
        {"name": "note", "parts": [{"kind": "text", "text": "готово"}]},
    ]
    done = await runner.complete(lease, artifacts=artifacts, inline={sha256: wav})
    assert done.status == 200, done.body
    base = f"/v1/tasks/{task['id']}/artifacts/"
    sound = await user.call("GET", base + "речь.wav")
    assert (sound.body, sound.headers["content-type"]) == (wav, "audio/wav")
    assert sound.headers["content-disposition"].startswith("inline;")
    assert (await user.call("GET", base + "output")).json == {"ok": True}
    assert (await user.call("GET", base + "note")).body.decode() == "готово"
    assert (await user.call("GET", base + "nothing")).problem == "not-found"
    foreign = hashlib.sha256(b"elsewhere").hexdigest()
    assert (await user.call("GET", f"/v1/tasks/{task['id']}/files/{foreign}")).problem == "not-found"


async def test_a_question_is_answered_and_the_task_goes_on(user: Client, runner: Client) -> None:
    task = (await user.ask("ask a", wait_s=20)).json
    assert (task["state"], task["question"]) == ("input-required", "which one?")
    replied = await user.call("POST", f"/v1/tasks/{task['id']}/reply", json={"text": "the first"})
    assert (replied.status, replied.json["question"]) == (202, None)
    again = await user.call("POST", f"/v1/tasks/{task['id']}/reply", json={"text": "again"})
    assert (again.status, again.problem) == (409, "illegal-transition")
    lease = (await runner.claim())[0]
    assert lease.task_id == task["id"]
    await runner.complete(lease)
    assert (await user.task(task["id"]))["state"] == "completed"


async def test_cancel_ends_a_task_once_and_a_late_result_is_refused(user: Client, runner: Client) -> None:
    task = (await user.ask("a")).json
    lease = (await runner.claim())[0]
    path = f"/v1/tasks/{task['id']}/cancel"
    canceled = await user.call("POST", path, json={"reason": "no longer needed"})
    assert (canceled.status, canceled.json["state"]) == (200, "canceled")
    assert (await user.call("POST", path)).problem == "illegal-transition"
    late = await runner.complete(lease)
    assert (late.status, late.problem) == (409, "stale-lease")


async def test_a_task_is_replayed_as_a_new_one(user: Client) -> None:
    task = (await user.ask("ask a")).json
    replayed = await user.call("POST", f"/v1/tasks/{task['id']}/replay")
    assert replayed.status == 202
    assert replayed.json["replay_of"] == task["id"] != replayed.json["id"]


async def test_the_list_is_paged_newest_first_and_filtered(admin: Client) -> None:
    user = await admin.new_key("tasks:read", "tasks:write")
    ids = [(await user.ask("ask a")).json["id"] for _ in range(5)]
    await user.call("POST", f"/v1/tasks/{ids[0]}/cancel")
    first = (await user.call("GET", "/v1/tasks?limit=3")).json
    rest = (await user.call("GET", f"/v1/tasks?limit=3&before={first['next']}")).json
    assert [t["id"] for t in first["tasks"] + rest["tasks"]] == ids[::-1]
    assert rest["next"] is None
    canceled = (await user.call("GET", "/v1/tasks?state=canceled")).json["tasks"]
    assert [t["id"] for t in canceled] == [ids[0]]
    assert (await user.call("GET", "/v1/tasks?state=sleeping")).problem == "invalid"


async def test_the_same_idempotency_key_gives_the_same_task(user: Client) -> None:
    key = {"Idempotency-Key": "order-1"}
    first, again = await asyncio.gather(*(user.ask("ask a", headers=key) for _ in range(2)))
    assert first.json["id"] == again.json["id"]
    assert {first.headers.get("Idempotency-Replayed"), again.headers.get("Idempotency-Replayed")} == {None, "true"}
    waited = await user.ask("ask a", headers=key, wait_s=0.01)
    assert waited.json["id"] == first.json["id"]


async def test_an_idempotency_key_for_another_request_is_a_conflict(user: Client, admin: Client) -> None:
    key = {"Idempotency-Key": "order-2"}
    first = await user.ask("ask a", headers=key)
    other = await user.ask("ask b", headers=key)
    assert (other.status, other.problem) == (422, "idempotency-conflict")
    foreign = await (await admin.new_key("tasks:write")).ask("ask b", headers=key)
    assert foreign.status == 202
    assert foreign.json["id"] != first.json["id"]
    assert (await user.ask("ask a", headers={"Idempotency-Key": "two words"})).problem == "bad-request"


async def test_health_readiness_agents_and_metrics_speak(user: Client, admin: Client) -> None:
    assert (await user.call("GET", "/health")).json == {"status": "ok"}
    ready = (await user.call("GET", "/ready")).json
    assert (ready["ready"], ready["ledger"], ready["disk"], ready["queue"]) == (True, "ok", "ok", "away")
    assert ready["engine"] == "none"
    assert isinstance((await user.call("GET", "/v1/agents")).json["agents"], list)
    assert (await user.call("GET", "/metrics")).problem == "forbidden"
    text = (await admin.call("GET", "/metrics")).body.decode()
    assert 'concilium_tasks{state="input-required"}' in text
    assert 'route="/v1/tasks/{task_id}"' in text
    mesh = Client(admin.session, admin.plane, admin.plane.key("mesh"))
    assert (await mesh.call("GET", "/metrics")).status == 200
