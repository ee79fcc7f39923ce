"""Requests are counted by the template of their path, whichever surface answers them."""

import re
from typing import Any

import pytest

from support.control_plane import Client


async def routes(admin: Client) -> dict[str, float]:
    """Return the requests counted so far, by route."""
    text = (await admin.call("GET", "/metrics")).body.decode()
    found: dict[str, float] = {}
    for route, count in re.findall(r'^concilium_http_requests_total\{.*route="([^"]*)".*\} (\S+)$', text, re.M):
        found[route] = found.get(route, 0.0) + float(count)
    return found


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/runner/v1/claim", "/runner/v1/claim"),
        ("GET", "/runner/v1/blobs/" + "0" * 64, "/runner/v1/blobs/{sha256}"),
        ("GET", "/a2a/tasks/tsk_absent", "/a2a/tasks/{id}"),
        ("GET", "/.well-known/agent-card.json", "/.well-known/agent-card.json"),
        ("GET", "/tasks/tsk_absent", "/tasks/{id}"),
        ("GET", "/v1/tasks/tsk_absent", "/v1/tasks/{task_id}"),
        ("GET", "/static/style.css", "/static"),
        ("GET", "/login", "/login"),
        ("GET", "/nowhere/at/all", "(none)"),
    ],
)
async def test_a_request_is_counted_under_its_route(admin: Client, method: str, path: str, route: str) -> None:
    before = await routes(admin)
    options: dict[str, Any] = {"json": {}} if method == "POST" else {}
    await admin.call(method, path, allow_redirects=False, **options)
    after = await routes(admin)
    changed = {name: after[name] - before.get(name, 0.0) for name in after if after[name] != before.get(name, 0.0)}
    changed.pop("/metrics")
    assert changed == {route: 1.0}
