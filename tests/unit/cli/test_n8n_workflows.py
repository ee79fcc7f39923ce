"""The shipped workflows hold what n8n needs and nothing that is secret."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from concilium.cli.errors import CliError
from concilium.cli.n8n.install import versions
from concilium.cli.n8n.workflows import SETTINGS, credential, workflows
from concilium.home import Home, shipped

URL = "http://127.0.0.1:9123"
SHIPPED = sorted(path for path in shipped("workflows").glob("*.json") if path.name != "credential.json")
TRIGGERS = {"webhook", "formTrigger", "scheduleTrigger", "errorTrigger"}


def kind(node: dict[str, Any]) -> str:
    return str(node["type"]).removeprefix("n8n-nodes-base.")


@pytest.fixture(params=SHIPPED, ids=lambda path: path.stem)
def shipped_one(request: pytest.FixtureRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.param.read_bytes())
    return content


def test_the_promised_workflows_are_there() -> None:
    assert {path.stem for path in SHIPPED} >= {"ask", "ask-async", "ask-poll", "on-error", "approval", "nightly"}


def test_settings_follow_the_trigger_and_notes_explain_the_set_up(shipped_one: dict[str, Any]) -> None:
    starts = [node["name"] for node in shipped_one["nodes"] if kind(node) in TRIGGERS]
    for start in starts:
        assert [link["node"] for link in shipped_one["connections"][start]["main"][0]] == [SETTINGS]
    notes = [node["parameters"]["content"] for node in shipped_one["nodes"] if kind(node) == "stickyNote"]
    assert len(notes) >= 2
    assert "Set-up" in notes[0]


def test_every_connection_joins_nodes_that_exist(shipped_one: dict[str, Any]) -> None:
    names = {node["name"] for node in shipped_one["nodes"]}
    assert len(names) == len(shipped_one["nodes"])
    for source, outputs in shipped_one["connections"].items():
        assert source in names
        assert {link["node"] for output in outputs["main"] for link in output} <= names


def test_the_mesh_is_asked_at_the_address_of_the_settings_with_the_credential(shipped_one: dict[str, Any]) -> None:
    asked = [node for node in shipped_one["nodes"] if kind(node) == "httpRequest"]
    assert asked
    for node in asked:
        assert node["parameters"]["url"].startswith("={{ $('Settings').first().json.mesh_url }}/v1/")
        assert node["credentials"] == {"httpHeaderAuth": {"id": "conciliumMeshKey", "name": "Concilium mesh"}}


def test_no_workflow_holds_a_secret_or_reads_the_environment(shipped_one: dict[str, Any]) -> None:
    text = json.dumps(shipped_one)
    assert not re.search(r"ck_[A-Za-z0-9_-]{8}|\$env|process\.env|password", text)
    assert shipped_one["pinData"] == {}


def test_the_mesh_address_is_filled_in_where_the_owner_wrote_none(tmp_path: Path) -> None:
    folder = tmp_path / "workflows"
    folder.mkdir()
    own = json.loads((shipped("workflows") / "ask.json").read_bytes())
    own["name"] = "mine"
    text = json.dumps(own)
    (folder / "ask.json").write_text(text)
    (folder / "remote.json").write_text(text.replace("http://127.0.0.1:8400", "https://mesh.example.org"))
    found = {workflow.name: workflow for workflow in workflows(Home(tmp_path, {}), URL)}
    assert set(found) == {path.stem for path in SHIPPED} | {"remote"}
    assert found["ask"].content["name"] == "mine"
    addresses = {name: json.dumps(workflow.content) for name, workflow in found.items()}
    assert all(URL in text for name, text in addresses.items() if name != "remote")
    assert "https://mesh.example.org" in addresses["remote"]
    assert found["ask"].webhooks == [("POST", "concilium/ask")]


def test_a_file_that_is_no_workflow_is_named(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "odd.json").write_text('{"nodes": []}')
    with pytest.raises(CliError, match=r"odd\.json"):
        workflows(Home(tmp_path, {}), URL)


def test_the_credential_is_made_from_a_template_without_a_secret() -> None:
    made = credential("ck_" + "x" * 43)
    assert made[0]["data"] == {"name": "Authorization", "value": "Bearer ck_" + "x" * 43}


def test_the_supported_versions_are_the_oldest_and_the_newest() -> None:
    assert list(versions()) == ["2.8.4", "2.38.7"]
    for folder in versions().values():
        wish = json.loads((folder / "package.json").read_bytes())
        locked = json.loads((folder / "package-lock.json").read_bytes())
        assert wish["dependencies"]["n8n"] == folder.name
        packages = {path: package for path, package in locked["packages"].items() if path}
        assert [path for path, package in packages.items() if "integrity" not in package] == []
