"""The routes of rented nodes: what may be invited, who may ask, what home's end of the links gets signed."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from concilium.nodes.authority import certificate_from, fingerprint_of, peer_of, request
from concilium.nodes.token import check_fresh, read_token
from support.control_plane import Client, Reply

SHOWN = "a" * 64
"""The fingerprint of a key."""


def wish(name: str, **terms: Any) -> dict[str, Any]:
    return {"name": name, "dial": "home", "address": "203.0.113.7:8443", "agents": ["code"]} | terms


async def invite(admin: Client, name: str, **terms: Any) -> Reply:
    return await admin.call("POST", "/v1/nodes", json=wish(name, **terms))


async def certify(runner: Client, name: str, key: Ed25519PrivateKey, **proof: Any) -> Reply:
    body = {"csr": request(key), **proof}
    return await runner.call("POST", f"/runner/v1/nodes/{name}/certificate", json=body)


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        ({"name": "home"}, 409),
        ({"name": "Übel"}, 422),
        ({"agents": ["nobody"]}, 422),
        ({"agents": []}, 422),
        ({"agents": ["code", "code"]}, 422),
        ({"dial": "node"}, 422),
        ({"dial": "both"}, 422),
        ({"address": "nowhere"}, 422),
        ({"address": "host:70000"}, 422),
        ({"labels": ["Not a label!"]}, 422),
        ({"price_per_hour": "-1"}, 422),
        ({"more": 1}, 422),
    ],
)
async def test_an_invitation_that_could_lead_nowhere_is_refused(
    admin: Client, terms: dict[str, Any], status: int
) -> None:
    refused = await admin.call("POST", "/v1/nodes", json=wish("never") | terms)
    assert refused.status == status, refused.body
    assert refused.problem in {"invalid", "conflict"}
    assert (await admin.call("GET", "/v1/nodes/never")).problem == "not-found"


async def test_a_token_becomes_one_nodes_certificate_and_is_then_used_up(admin: Client, runner: Client) -> None:
    made = await invite(admin, "vps-1", labels=["eu"], price_per_hour="0.04")
    assert made.status == 201
    assert made.headers["cache-control"] == "no-store"
    assert made.json["command"] == f"concilium nodes join {made.json['token']}"
    token = read_token(made.json["token"])
    check_fresh(token)
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signed = await certify(runner, "vps-1", key, invitation=token.invitation)
    peer = peer_of(certificate_from(signed.json["certificate"]))
    assert (peer.uri, peer.fingerprint) == ("urn:concilium:node:vps-1", fingerprint_of(key.public_key()))
    assert (await certify(runner, "vps-1", other, invitation=token.invitation)).problem == "conflict"
    mine = fingerprint_of(key.public_key())
    assert (await certify(runner, "vps-1", key, fingerprint=mine)).status == 200
    theirs = fingerprint_of(other.public_key())
    assert (await certify(runner, "vps-1", other, fingerprint=theirs)).problem == "conflict"
    assert (await certify(runner, "vps-1", other)).problem == "invalid"
    shown = (await admin.call("GET", "/v1/nodes/vps-1")).json
    assert (shown["fingerprint"], shown["former_fingerprint"]) == (mine, None)
    assert (await certify(runner, "vps-1", other, fingerprint=mine)).status == 200
    shown = (await admin.call("GET", "/v1/nodes/vps-1")).json
    assert (shown["fingerprint"], shown["former_fingerprint"]) == (theirs, mine)
    assert (shown["state"], shown["labels"], shown["refusals"]) == ("enrolled", ["eu"], 2)
    assert (await invite(admin, "vps-1")).problem == "conflict"
    for action, state in (("drain", "draining"), ("undrain", "enrolled")):
        assert (await admin.call("POST", f"/v1/nodes/vps-1/{action}")).json["state"] == state
    assert (await admin.call("DELETE", "/v1/nodes/vps-1")).json["state"] == "revoked"
    assert (await certify(runner, "vps-1", key, fingerprint=mine)).problem == "conflict"
    assert (await admin.call("POST", "/v1/nodes/vps-1/drain")).problem == "conflict"
    names = [node["name"] for node in (await runner.call("GET", "/runner/v1/nodes")).json["nodes"]]
    assert "vps-1" in names


async def test_what_a_node_says_is_noted_and_garbage_is_not(admin: Client, runner: Client) -> None:
    await invite(admin, "vps-2")
    has = {"cpus": 4, "ram_bytes": 8 * 2**30, "gpus": [{"name": "RTX", "vram_bytes": 2**30}]}
    path = "/runner/v1/nodes/vps-2/seen"
    assert (
        await runner.call("POST", path, json={"capabilities": has, "fingerprint": SHOWN, "skew_s": -2.5})
    ).status == 204
    assert (await admin.call("GET", "/v1/nodes/vps-2")).json["capabilities"] == has | {"running": None}
    painted = {"gpus": [{"name": "\x1b[2Jcleared", "vram_bytes": 1}]}
    wrong: tuple[dict[str, Any], ...] = (
        {"capabilities": has | {"cpus": -1}, "fingerprint": SHOWN, "skew_s": 0},
        {"capabilities": has | painted, "fingerprint": SHOWN, "skew_s": 0},
        {"capabilities": has | {"running": ["../code"]}, "fingerprint": SHOWN, "skew_s": 0},
        {"capabilities": has, "fingerprint": SHOWN, "skew_s": "soon"},
        {"capabilities": has, "fingerprint": "mine", "skew_s": 0},
        {},
    )
    for bad in wrong:
        assert (await runner.call("POST", path, json=bad)).status == 422
    seen = {"capabilities": has, "fingerprint": SHOWN, "skew_s": 0}
    assert (await runner.call("POST", "/runner/v1/nodes/none/seen", json=seen)).status == 404


async def test_only_an_admin_rules_over_nodes_and_only_the_runners_key_speaks_for_links(
    admin: Client, runner: Client, user: Client
) -> None:
    for nobody in (user, runner):
        assert (await invite(nobody, "vps-3")).problem == "forbidden"
        assert (await nobody.call("GET", "/v1/nodes")).problem == "forbidden"
        assert (await nobody.call("DELETE", "/v1/nodes/vps-3")).problem == "forbidden"
    assert (await user.call("GET", "/runner/v1/nodes")).problem == "forbidden"
    stranger = Client(admin.session, admin.plane, "")
    assert (await stranger.call("GET", "/runner/v1/nodes")).problem == "unauthorized"
    assert (await certify(stranger, "vps-3", Ed25519PrivateKey.generate())).problem == "unauthorized"
