"""Bad input, each with its clear answer, and nothing left behind."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from concilium.contracts import limits
from support.control_plane import Client, ControlPlane

JSON_TYPE = {"Content-Type": "application/json"}


def multipart(*fields: tuple[str, str]) -> aiohttp.FormData:
    return aiohttp.FormData([("text", "a"), *fields], default_to_multipart=True)


async def tasks_of(client: Client) -> list[object]:
    return list((await client.call("GET", "/v1/tasks")).json["tasks"])


@pytest.fixture
async def nobody(admin: Client) -> AsyncIterator[Client]:
    """A user of whom no task may exist when the test is over."""
    client = await admin.new_key("tasks:read", "tasks:write")
    yield client
    assert await tasks_of(client) == []


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(nobody: Client) -> None:
    too_large = {"Content-Length": str(limits.BODY_BYTES + 1)} | JSON_TYPE | nobody.auth
    reader, writer = await asyncio.open_connection("127.0.0.1", nobody.plane.port)
    lines = ["POST /v1/ask HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in too_large.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(5):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_chunked_body_is_counted_while_it_streams(nobody: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(limits.BODY_BYTES // limits.MIB + 2):
            yield b" " * limits.MIB

    reply = await nobody.call("POST", "/v1/ask", data=endless(), headers=JSON_TYPE)
    assert (reply.status, reply.problem) == (413, "too-large")


async def test_a_half_sent_body_leaves_nothing(nobody: Client) -> None:
    body = json.dumps({"text": "a", "files": [{"name": "x", "data": "eHg="}]}).encode()
    head = [
        "POST /v1/ask HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {nobody.secret}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        _, writer = await asyncio.open_connection("127.0.0.1", nobody.plane.port)
        writer.write("\r\n".join(head).encode() + body[:cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def test_a_form_without_its_end_is_refused(nobody: Client) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\na\r\n--x\r\nContent-Disposition: form-data; name'
    for body in (form, form + b'="files"; filename="f"\r\n\r\ndata', b"", b"--x", b"nonsense"):
        reply = await nobody.call(
            "POST", "/v1/ask", data=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        assert (reply.status, reply.problem) == (400, "bad-request"), body


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonp", ""]
)
async def test_another_media_type_is_refused(nobody: Client, kind: str) -> None:
    reply = await nobody.call("POST", "/v1/ask", data=b'{"text": "a"}', headers={"Content-Type": kind})
    assert (reply.status, reply.problem) == (415, "unsupported-media-type")


@pytest.mark.parametrize("depth", [limits.JSON_DEPTH + 1, 2_000, 100_000])
async def test_deep_json_is_refused(nobody: Client, depth: int) -> None:
    for body in (b"[" * depth + b"]" * depth, b'{"text":' * depth + b"1" + b"}" * depth):
        reply = await nobody.call("POST", "/v1/ask", data=body, headers=JSON_TYPE)
        assert (reply.status, reply.problem) == (422, "invalid")
        assert "nested" in reply.json["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"text": "\\ud800"}', b"NaN", b'{"text": 1e999}'])
async def test_what_is_not_json_is_refused(nobody: Client, body: bytes) -> None:
    reply = await nobody.call("POST", "/v1/ask", data=body, headers=JSON_TYPE)
    assert (reply.status, reply.problem) in {(400, "bad-request"), (422, "invalid")}


@pytest.mark.parametrize(
    "members",
    [
        {"deadline_s": 0},
        {"deadline_s": -1},
        {"deadline_s": limits.DEADLINE_MAX_S + 1},
        {"wait_s": -1},
        {"wait_s": limits.WAIT_MAX_S + 1},
        {"priority": "urgent"},
        {"data_class": "secret"},
        {"context_id": "a b"},
        {"callback_url": ""},
        {"callback_url": "ftp://example.com/"},
        {"callback_url": "http://169.254.169.254/latest/meta-data"},
        {"unknown": 1},
        {"text": None},
        {"text": ["a"]},
        {"text": "   "},
        {"text": "x" * (limits.TEXT_CHARS + 1)},
        {"files": [{"name": "x", "data": "not base64!"}]},
        {"files": [{"name": "../x", "data": ""}]},
        {"files": [{"name": "x\n", "data": ""}]},
        {"files": [{"name": "x", "data": "", "media_type": "text/html\r\nx: y"}]},
        {"files": [{"name": "x", "data": ""}] * (limits.MESSAGE_PARTS + 1)},
        {"files": [{"name": "x", "data": ""}] * 1000},
    ],
    ids=lambda members: str(members)[:50],
)
async def test_what_does_not_fit_is_refused_with_the_reason(nobody: Client, members: dict[str, object]) -> None:
    reply = await nobody.call("POST", "/v1/ask", json={"text": "a"} | members)
    assert reply.status == 422
    assert reply.problem in {"invalid", "callback-refused"}
    assert reply.json["detail"]


async def test_a_thousand_parts_are_refused_in_a_form(nobody: Client) -> None:
    files, fields = multipart(), multipart()
    for n in range(1000):
        files.add_field("files", b"x", filename=f"f{n}")
        fields.add_field(f"f{n}", "x")
    for form in (files, fields):
        reply = await nobody.call("POST", "/v1/ask", data=form)
        assert (reply.status, reply.problem) == (422, "invalid")


async def test_a_form_says_what_it_cannot_take(nobody: Client) -> None:
    elsewhere = multipart()
    elsewhere.add_field("picture", b"x", filename="p.png")
    for form in (multipart(("text", "b")), elsewhere, multipart(("colour", "red")), multipart(("deadline_s", "-5"))):
        reply = await nobody.call("POST", "/v1/ask", data=form)
        assert (reply.status, reply.problem) == (422, "invalid"), reply.body


async def test_unknown_routes_and_methods_are_problems_too(nobody: Client) -> None:
    assert (await nobody.call("GET", "/v1/nothing")).problem == "not-found"
    assert (await nobody.call("GET", "/runner/v1/nothing")).problem == "not-found"
    refused = await nobody.call("DELETE", "/v1/ask")
    assert (refused.status, refused.problem) == (405, "method-not-allowed")
    assert refused.headers["Allow"] == "POST"
    assert (await nobody.call("GET", "/runner/v1/claim")).problem == "method-not-allowed"
    assert (await nobody.call("PATCH", "/v1/keys")).headers["Allow"] == "GET, POST"


async def test_the_runner_api_refuses_what_does_not_fit(runner: Client) -> None:
    for body in (b"", b"{", b"[]", b'{"agent": "echo"}', b"[" * 5000):
        for route in ("claim", "renew", "progress", "complete"):
            reply = await runner.call("POST", f"/runner/v1/{route}", data=body)
            assert (reply.status, reply.problem) == (422, "invalid"), (route, body)
    assert (await runner.call("PUT", "/runner/v1/blobs/xyz", data=b"x")).problem == "not-found"
    assert (await runner.call("PUT", f"/runner/v1/blobs/{'0' * 64}", data=b"x")).problem == "invalid"
    assert (await runner.call("GET", f"/runner/v1/blobs/{'0' * 64}")).problem == "invalid"
    query = "?task_id=task_x&step=a&attempt=1&fence=1"
    assert (await runner.call("GET", f"/runner/v1/blobs/{'0' * 64}{query}")).problem == "stale-lease"


async def test_a_full_disk_refuses_new_tasks_and_serves_the_rest(
    own_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    own_plane.settings["CONCILIUM_LEDGER__MIN_FREE_BYTES"] = str(2**60)
    own_plane.start(until="/health")
    admin = Client(session, own_plane, own_plane.key())
    reply = await admin.ask("a")
    assert (reply.status, reply.problem) == (503, "disk-full")
    assert int(reply.headers["Retry-After"]) >= 1
    assert reply.json["reserve_bytes"] == 2**60
    assert f"{reply.json['free_bytes']} bytes are free" in reply.json["detail"]
    assert (await admin.call("GET", "/v1/tasks")).status == 200
    ready = await admin.call("GET", "/ready")
    assert (ready.status, ready.json["ready"]) == (503, False)


async def test_a_refused_upload_is_no_blob(nobody: Client) -> None:
    data = base64.b64encode(b"must not stay").decode()
    await nobody.call("POST", "/v1/ask", json={"files": [{"name": "x", "data": data}], "deadline_s": -1})
    assert b"must not stay" not in contents(nobody.plane.home / "blobs")


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
