"""A control plane that `concilium up` did not start, as in Docker Compose."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from concilium.cli.app import run
from concilium.cli.checks import examine
from concilium.home import Home

WELL = {"ready": True, "ledger": "ok", "disk": "ok", "queue": "ok"}


class _Ready(BaseHTTPRequestHandler):
    said: dict[str, object] = WELL

    def do_GET(self) -> None:
        self.send_response(200 if self.said["ready"] else 503)
        self.end_headers()
        self.wfile.write(json.dumps(self.said).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Ready]]:
    handler = type("Ready", (_Ready,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path))
    monkeypatch.setenv("CONCILIUM_GATEWAY__PORT", str(server.server_port))
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_status_says_what_it_says(answering: type[_Ready], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 0
    assert "ledger" in capsys.readouterr().out
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"] == WELL


def test_status_fails_while_it_takes_no_tasks(answering: type[_Ready]) -> None:
    answering.said = {**WELL, "ready": False, "disk": "is full"}
    assert run(["status"]) == 1


def test_status_of_nobody_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path))
    monkeypatch.setenv("CONCILIUM_GATEWAY__PORT", "1")
    assert run(["status"]) == 1
    assert "concilium up" in capsys.readouterr().err


def test_the_doctor_looks_at_the_agents_that_are_started_here(tmp_path: Path) -> None:
    environ = {"CONCILIUM_AGENTS__START": "document", "CONCILIUM_QUEUE__URL": "redis://elsewhere"}
    checks = {finding.check for finding in examine(Home(tmp_path, environ))}
    assert "document" in checks
    assert not checks & {"sandbox", "code", "vision", "tts"}
