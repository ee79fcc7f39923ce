"""Who may do what, and how often."""

from datetime import UTC, datetime

import aiohttp
import pytest

from support.control_plane import Client, ControlPlane


async def test_a_task_of_another_key_does_not_exist_for_it_but_for_an_admin(user: Client, admin: Client) -> None:
    task = (await user.ask("ask a")).json
    other = await admin.new_key("tasks:read", "tasks:write")
    base = f"/v1/tasks/{task['id']}"
    sha256 = "0" * 64
    for method, path in [
        ("GET", base),
        ("GET", base + "/steps"),
        ("GET", base + "/events"),
        ("GET", base + "/artifacts/output"),
        ("GET", base + f"/files/{sha256}"),
        ("POST", base + "/cancel"),
        ("POST", base + "/replay"),
    ]:
        reply = await other.call(method, path)
        assert (reply.status, reply.problem) == (404, "not-found"), path
    assert (await other.call("POST", base + "/reply", json={"text": "x"})).problem == "not-found"
    assert (await other.call("GET", "/v1/tasks")).json["tasks"] == []
    assert (await admin.task(task["id"]))["id"] == task["id"]
    for unknown in ("task_00000000000000000000000000", "…", "%00", "a" * 300):
        assert (await user.call("GET", f"/v1/tasks/{unknown}")).problem == "not-found"


@pytest.mark.parametrize("secret", ["", "ck_short", "ck_" + "A" * 43, "ck_" + "я" * 43, "x" * 5000])
async def test_an_unknown_key_is_refused(admin: Client, secret: str) -> None:
    stranger = Client(admin.session, admin.plane, "")
    reply = await stranger.call("GET", "/v1/tasks", headers={"X-API-Key": secret.encode().decode("latin-1")})
    assert (reply.status, reply.problem) == (401, "unauthorized")
    assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_both_headers_carry_a_key(admin: Client) -> None:
    url = admin.plane.url + "/v1/tasks"
    for headers in ({"X-API-Key": admin.secret}, {"Authorization": f"bearer {admin.secret}"}):
        async with admin.session.get(url, headers=headers) as answer:
            assert answer.status == 200


async def test_each_scope_opens_its_own_doors_alone(admin: Client, runner: Client) -> None:
    reader, writer = await admin.new_key("tasks:read"), await admin.new_key("tasks:write")
    assert (await reader.ask("ask a")).problem == "forbidden"
    assert (await writer.ask("ask a")).status == 202
    assert (await writer.call("GET", "/v1/tasks")).problem == "forbidden"
    assert (await reader.call("GET", "/v1/keys")).problem == "forbidden"
    assert (await reader.call("GET", "/v1/outbox")).problem == "forbidden"
    claim = {"agent": "echo", "node": "home", "runner": "r"}
    assert (await writer.call("POST", "/runner/v1/claim", json=claim)).problem == "forbidden"
    assert (await runner.call("GET", "/v1/tasks")).problem == "forbidden"
    assert (await runner.call("POST", "/runner/v1/claim", json=claim)).status == 200


async def test_a_revoked_key_is_refused_at_once(admin: Client) -> None:
    user = await admin.new_key("tasks:read")
    assert (await user.call("GET", "/v1/tasks")).status == 200
    keys = (await admin.call("GET", "/v1/keys")).json["keys"]
    assert admin.secret not in str(keys)
    newest = keys[-1]["id"]
    assert (await admin.call("DELETE", f"/v1/keys/{newest}")).status == 204
    reply = await user.call("GET", "/v1/tasks")
    assert (reply.problem, "revoked" in reply.json["detail"]) == ("unauthorized", True)
    assert (await admin.call("DELETE", "/v1/keys/nokey")).problem == "not-found"
    assert (await admin.call("DELETE", f"/v1/keys/{keys[0]['id']}")).problem == "conflict"
    assert (await admin.call("GET", "/v1/keys")).status == 200


async def test_an_expired_key_is_refused(admin: Client) -> None:
    user = await admin.new_key("tasks:read", expires_in_s=0.3)
    keys = (await admin.call("GET", "/v1/keys")).json["keys"]
    ends = datetime.fromisoformat(keys[-1]["expires_at"])
    while datetime.now(UTC) < ends:
        await user.call("GET", "/v1/tasks")
    reply = await user.call("GET", "/v1/tasks")
    assert (reply.problem, "expired" in reply.json["detail"]) == ("unauthorized", True)


async def test_too_many_requests_are_told_when_to_come_back(admin: Client) -> None:
    user = await admin.new_key("tasks:read", rate_per_minute=3)
    statuses = [(await user.call("GET", "/v1/tasks")).status for _ in range(3)]
    refused = await user.call("GET", "/v1/tasks")
    assert statuses == [200, 200, 200]
    assert (refused.status, refused.problem) == (429, "rate-limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 21
    assert (await admin.call("GET", "/v1/tasks")).status == 200


async def test_a_key_is_remembered_over_a_restart_and_secrets_stay_private(
    own_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    own_plane.start()
    admin = Client(session, own_plane, own_plane.key())
    user = await admin.new_key("tasks:read")
    own_plane.stop()
    own_plane.start()
    assert (await user.call("GET", "/v1/tasks")).status == 200
    assert own_plane.key() == admin.secret
    for name in ("admin", "runner", "mesh", "webhook"):
        assert (own_plane.home / "keys" / f"{name}.key").stat().st_mode & 0o777 == 0o600
    written = own_plane.log.read_text() + str((own_plane.home / "ledger.sqlite3").read_bytes())
    assert user.secret not in written
    assert admin.secret not in written
