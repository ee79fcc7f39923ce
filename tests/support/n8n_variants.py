"""The shipped workflows with one thing changed, as an owner changes his copy."""

import json
from pathlib import Path
from typing import Any

from concilium.home import shipped

Content = dict[str, Any]


def write_variants(folder: Path, *, gate_url: str, tunnel_url: str) -> None:
    """Put the tests' workflows where an owner puts his.

    Args:
        folder: ``CONCILIUM_HOME/workflows``.
        gate_url: what `held` asks for before it waits; it goes on once that answers.
        tunnel_url: where `elsewhere` reaches the mesh.
    """
    folder.mkdir()
    for name, content in {
        "held": _held(gate_url),
        "crash": _crash(),
        "nightly": _nightly(),
        "elsewhere": _elsewhere(tunnel_url),
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def node(content: Content, name: str) -> Content:
    """Return a node of a workflow."""
    found: Content = next(node for node in content["nodes"] if node["name"] == name)
    return found


def _copy(name: str, path: str, number: int) -> Content:
    content: Content = json.loads((shipped("workflows") / f"{name}.json").read_bytes())
    content["id"] = f"conciliumTest{number:03}"
    content["name"] = f"Test: {path}"
    node(content, "Ask")["parameters"]["path"] = f"test/{path}"
    node(content, "Ask")["webhookId"] = f"00000000-0000-4000-8000-{number:012}"
    return content


def _held(gate_url: str) -> Content:
    """*ask, answer later*, which begins to wait only when it is let."""
    content = _copy("ask-async", "held", 1)
    gate = {"method": "GET", "url": gate_url, "options": {"timeout": 300_000}}
    held = {"id": "held", "name": "Gate", "type": "n8n-nodes-base.httpRequest", "typeVersion": 4.2}
    content["nodes"].append({**held, "position": [1100, 200], "parameters": gate})
    content["connections"]["Submit"]["main"][0][0]["node"] = "Gate"
    content["connections"]["Gate"] = {"main": [[{"node": "Wait", "type": "main", "index": 0}]]}
    return content


def _crash() -> Content:
    """*ask, answer later*, which breaks once it has submitted its task."""
    content = _copy("ask-async", "crash", 2)
    content["connections"]["Submit"]["main"][0][0]["node"] = "Failed"
    return content


def _nightly() -> Content:
    """*nightly* with two requests, every half minute; it takes the place of the shipped one by its name."""
    content: Content = json.loads((shipped("workflows") / "nightly.json").read_bytes())
    content["name"] = "Test: nightly"
    node(content, "Every night")["parameters"]["rule"] = {"interval": [{"field": "seconds", "secondsInterval": 30}]}
    fields = node(content, "Settings")["parameters"]["assignments"]["assignments"]
    requests = next(field for field in fields if field["name"] == "requests")
    requests["value"] = json.dumps(["Read aloud: good night", "Read aloud: sleep well"])
    return content


def _elsewhere(tunnel_url: str) -> Content:
    """*ask by polling* of an n8n that reaches the mesh through a tunnel."""
    content = _copy("ask-poll", "elsewhere", 3)
    fields = node(content, "Settings")["parameters"]["assignments"]["assignments"]
    next(field for field in fields if field["name"] == "mesh_url")["value"] = tunnel_url
    return content
