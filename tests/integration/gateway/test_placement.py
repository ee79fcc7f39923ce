"""Private data stays home: what callers are told, over HTTP and by the command; who may claim."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_plane import Client, ControlPlane
from support.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
IMAGE = ROOT / "agents" / "vision" / "self_test" / "line.png"
FILE = {"name": "line.png", "media_type": "image/png", "data": base64.b64encode(IMAGE.read_bytes()).decode()}
WISH = "What does this image say?"
REFUSAL = "no node may run vision.ocr on private data: rule private-stays-home"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The brain's own control plane of a mesh whose pictures are read elsewhere."""
    settings = {
        "CONCILIUM_AGENTS__START": "code",
        "CONCILIUM_RUNNER__AGENTS": "{vision: 'http://198.51.100.7:8410'}",
    }
    running = ControlPlane(tmp_path_factory.mktemp("home"), free_port(), settings, "concilium.gateway")
    running.start()
    yield running
    running.stop()


async def test_a_private_task_for_an_agent_elsewhere_is_rejected_at_once_by_the_name_of_the_rule(admin: Client) -> None:
    reply = await admin.ask(WISH, files=[FILE], data_class="private")
    assert reply.status == 200
    assert reply.json["state"] == "rejected"
    assert reply.json["problem"] == {"type": "placement-refused", "detail": REFUSAL, "retryable": False}
    assert (await admin.ask(WISH, files=[FILE])).status == 202


def test_the_command_says_so_too(plane: ControlPlane) -> None:
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "concilium.cli", "--url", plane.url),
            *("--key-file", str(plane.home / "keys" / "admin.key")),
            *("ask", WISH, "--file", str(IMAGE), "--data-class", "private"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT / "services",
    )
    assert asked.returncode == 1
    assert REFUSAL in asked.stdout + asked.stderr


async def test_a_runner_of_a_node_that_is_not_of_the_mesh_is_refused(runner: Client) -> None:
    claim = {"agent": "vision", "node": "stranger", "runner": "r"}
    reply = await runner.call("POST", "/runner/v1/claim", json=claim)
    assert (reply.status, reply.problem) == (403, "forbidden")
    assert "node 'stranger' does not serve agent 'vision'" in reply.json["detail"]
