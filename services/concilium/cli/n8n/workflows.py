"""The n8n workflows: the shipped ones and the owner's, with the mesh's address filled in."""

import json
from dataclasses import dataclass
from pathlib import Path

from concilium.cli.errors import CliError
from concilium.contracts.base import JSON
from concilium.home import Home, shipped

SETTINGS = "Settings"
"""The node that holds the mesh's address, in its field `ADDRESS`."""
ADDRESS = "mesh_url"
PLACEHOLDER = "http://127.0.0.1:8400"
"""The address that shipped workflows hold until the real one is filled in; any other is the owner's, and stays."""
CREDENTIAL = "credential.json"
"""The file beside the workflows that is the template of the credential."""
WEBHOOK = "n8n-nodes-base.webhook"


@dataclass(frozen=True)
class Workflow:
    """One workflow, ready to be imported."""

    name: str
    """The file's name without its ending."""
    content: dict[str, JSON]

    @property
    def id(self) -> str:
        return str(self.content["id"])

    @property
    def webhooks(self) -> list[tuple[str, str]]:
        """Method and path of each webhook that starts it."""
        starts = [node["parameters"] for node in self.content["nodes"] if node["type"] == WEBHOOK]
        return [(start.get("httpMethod", "GET"), start["path"]) for start in starts]


def workflows(home: Home, mesh_url: str) -> list[Workflow]:
    """Return the shipped workflows and those in ``workflows/`` of the home, which win by file name.

    Raises:
        CliError: a file is no workflow.
    """
    found: dict[str, Path] = {}
    for folder in (shipped("workflows"), home.workflows):
        found |= {path.stem: path for path in sorted(folder.glob("*.json")) if path.name != CREDENTIAL}
    return [Workflow(name, _filled(path, mesh_url)) for name, path in sorted(found.items())]


def credential(secret: str) -> list[JSON]:
    """Return the credential of the template with an API key in it, as n8n imports it."""
    template = (shipped("workflows") / CREDENTIAL).read_text(encoding="utf-8")
    made: list[JSON] = json.loads(template.replace("API_KEY", secret))
    return made


def _filled(path: Path, mesh_url: str) -> dict[str, JSON]:
    try:
        content: dict[str, JSON] = json.loads(path.read_bytes())
        for node in content["nodes"]:
            if node["name"] == SETTINGS:
                for field in node["parameters"]["assignments"]["assignments"]:
                    if field["name"] == ADDRESS and field["value"] == PLACEHOLDER:
                        field["value"] = mesh_url
        str(content["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise CliError(f"{path} is no n8n workflow with an id: {error}", "export it from n8n once more") from error
    return content
