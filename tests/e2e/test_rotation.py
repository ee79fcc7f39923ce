"""Every secret of a mesh is replaced while callers, runner and agents use it, and nobody is refused."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from support.bell import Bell, all_completed, bell_mesh

SHARED = ("mesh", "runner", "webhook", "admin")


class Receiver(ThreadingHTTPServer):
    """Takes callbacks and keeps them."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], str]] = []
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Caller(threading.Thread):
    """Submits one request after another, with every secret it was given in turn, until told to stop."""

    def __init__(self, bell: Bell, secret: str, callback: str) -> None:
        super().__init__()
        self.bell, self.secrets, self.callback = bell, [secret], callback
        self.stopped = threading.Event()
        self.tasks: list[str] = []
        self.refused: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.stopped.wait(0.5):
            for secret in tuple(self.secrets):
                number += 1
                with self.bell.client(secret) as client:
                    body = {"text": f"ring the bell for guest {number % 30}", "callback_url": self.callback}
                    answer = client.post("/v1/ask", json=body)
                    if answer.status_code != 202:
                        self.refused.append(answer.text)
                        continue
                    self.tasks.append(answer.json()["id"])
                    for task in (self.tasks[0], self.tasks[-1]):
                        seen = client.get(f"/v1/tasks/{task}")
                        if seen.status_code != 200:
                            self.refused.append(seen.text)


def rotate(bell: Bell, key: str, *options: str) -> dict[str, str]:
    done = bell.mesh.run("keys", "rotate", key, *options, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def read(bell: Bell, key: str) -> str:
    return (bell.home / "keys" / f"{key}.key").read_text().strip()


def signed_with(secret: str, callback: tuple[dict[str, str], str]) -> bool:
    headers, body = callback
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def refused_by_the_gateway(bell: Bell) -> int:
    """Return how many requests were answered with 401 so far."""
    with bell.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if "_requests_total{" in line and 'status="401"' in line)


def test_every_secret_is_replaced_under_load_and_nobody_is_refused(tmp_path: Path, receiver: Receiver) -> None:
    place = f"127.0.0.1:{receiver.server_port}"
    with bell_mesh(tmp_path / "home", CALLBACKS__ALLOW=json.dumps([place])) as bell:
        assert (up := bell.mesh.run("up")).returncode == 0, up.stderr
        made = json.loads(bell.mesh.run("keys", "create", "caller", "--json").stdout)
        caller = Caller(bell, made["secret"], f"http://{place}/hook")
        before = {key: read(bell, key) for key in SHARED}
        caller.start()
        try:
            caller.secrets.append(rotate(bell, made["key"]["id"])["secret"])
            for key in (*SHARED, "mesh", "runner"):
                rotate(bell, key)
            told = len(receiver.taken)
            count = len(caller.tasks)
            while len(caller.tasks) < count + 10:
                assert caller.is_alive()
                caller.stopped.wait(0.1)
        finally:
            caller.stopped.set()
            caller.join()
        assert caller.refused == []
        assert len(bell.until(all_completed)) == len(caller.tasks)
        attempts = [body for task in caller.tasks for body in bell.history(task) if body["kind"] == "step"]
        assert {body["attempt"] for body in attempts} == {1}
        assert refused_by_the_gateway(bell) == 0
        assert all(read(bell, key) != before[key] for key in SHARED)
        assert {path.stat().st_mode & 0o777 for path in (bell.home / "keys").iterdir()} == {0o600}
        while len(receiver.taken) < len(caller.tasks):
            caller.stopped.wait(0)
        late = receiver.taken[told + 5 :]
        assert late
        assert all(signed_with(before["webhook"], one) and signed_with(read(bell, "webhook"), one) for one in late)

        without_overlap(bell, made["key"]["id"], caller.secrets[-1])


def without_overlap(bell: Bell, key_id: str, secret: str) -> None:
    """A secret that got out is refused at once, by the gateway and by the agents."""
    agent = bell.mesh.environ["CONCILIUM_AGENTS__BASE_PORT"]
    url = f"http://127.0.0.1:{agent}/metrics"
    old, now = read(bell, "mesh"), "--overlap-hours=0"
    assert httpx.get(url, headers={"Authorization": f"Bearer {old}"}, trust_env=False).status_code == 200
    rotate(bell, "mesh", now)
    assert httpx.get(url, headers={"Authorization": f"Bearer {old}"}, trust_env=False).status_code == 401
    new = read(bell, "mesh")
    assert httpx.get(url, headers={"Authorization": f"Bearer {new}"}, trust_env=False).status_code == 200
    fresh = rotate(bell, key_id, now)["secret"]
    for shown, status in ((secret, 401), (fresh, 200)):
        with bell.client(shown) as client:
            assert client.get("/v1/tasks").status_code == status
    unknown = bell.mesh.run("keys", "rotate", "key_none")
    assert unknown.returncode == 1
    assert "no key" in unknown.stderr
