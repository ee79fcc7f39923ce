"""The mesh's HTTP API as the command uses it. Needs no part of the server."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import httpx

from concilium.cli.errors import CliError
from concilium.cli.sse import read_events
from concilium.contracts.base import JSON
from concilium.contracts.parts import FileRef
from concilium.contracts.states import TaskState
from concilium.contracts.task import Event, StateEvent, TaskView

TIMEOUT = httpx.Timeout(30.0, read=150.0)
STREAM_TIMEOUT = httpx.Timeout(30.0, read=60.0)
"""The server sends a comment at least every 30 s while nothing happens."""
RESTING = frozenset(state for state in TaskState if state.terminal) | {
    TaskState.INPUT_REQUIRED,
    TaskState.AUTH_REQUIRED,
}
"""States in which nothing happens until somebody asks for it."""
RECONNECT_S = 60.0
"""How long the mesh may be away while a task is followed."""


class MeshClient:
    """A mesh at a URL, spoken to with one API key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        # Environment proxies would see the key of a mesh that is usually on this very machine.
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, text: str, files: Sequence[Path], terms: dict[str, JSON]) -> TaskView:
        """Submit a request and return its task; a lost connection is tried again under the same idempotency key."""
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
        for left in (2, 1, 0):
            try:
                return TaskView.model_validate_json(_checked(self._post_ask(text, files, terms, headers)).content)
            except httpx.TransportError as error:
                if not left or isinstance(error, httpx.ConnectError):
                    self._away(error)
        raise AssertionError("unreachable")

    def _post_ask(
        self, text: str, files: Sequence[Path], terms: dict[str, JSON], headers: dict[str, str]
    ) -> httpx.Response:
        if not files:
            return self._http.post("/v1/ask", json={"text": text, **terms}, headers=headers)
        with ExitStack() as stack:
            parts = [("files", (path.name, stack.enter_context(path.open("rb")))) for path in files]
            form = {"text": text, **{name: str(value) for name, value in terms.items()}}
            return self._http.post("/v1/ask", data=form, files=parts, headers=headers)

    def task(self, task_id: str) -> TaskView:
        return TaskView.model_validate_json(self._send("GET", f"/v1/tasks/{task_id}").content)

    def tasks(self, state: str | None, limit: int) -> list[TaskView]:
        """Return the newest tasks, of one state when given."""
        query: dict[str, str | int] = {"limit": limit} | ({"state": state} if state else {})
        found = self._send("GET", "/v1/tasks", params=query).json()
        return [TaskView.model_validate(entry) for entry in found["tasks"]]

    def act(self, task_id: str, action: str, body: JSON = None) -> TaskView:
        """Cancel, replay or reply to a task and return the task that results."""
        return TaskView.model_validate_json(self._send("POST", f"/v1/tasks/{task_id}/{action}", json=body).content)

    def follow(self, task_id: str, after: int = 0) -> Iterator[Event]:
        """Yield a task's events until it is over or asks; reconnect where it left off when the connection breaks.

        Raises:
            CliError: the mesh refuses, or stays away for `RECONNECT_S` seconds.
        """
        until = time.monotonic() + RECONNECT_S
        while True:
            try:
                for event in self._events_once(task_id, after):
                    after = event.seq
                    until = time.monotonic() + RECONNECT_S
                    yield event
                    if isinstance(event.body, StateEvent) and self._rests(task_id, event.body.state):
                        return
                if self.task(task_id).state in RESTING:
                    return
            except httpx.TransportError as error:
                if time.monotonic() > until:
                    self._away(error)
                time.sleep(0.5)

    def download(self, task_id: str, file: FileRef, target: Path) -> None:
        """Write a task's file to ``target``, atomically."""
        new = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with self._http.stream("GET", f"/v1/tasks/{task_id}/files/{file.sha256}") as answer, new.open("xb") as out:
                if answer.is_error:
                    answer.read()
                for chunk in _checked(answer).iter_bytes():
                    out.write(chunk)
            new.replace(target)
        except httpx.TransportError as error:
            self._away(error)
        finally:
            new.unlink(missing_ok=True)

    def call(self, method: str, path: str, body: JSON = None, **params: str | int) -> JSON:
        """Return the JSON of any other route, None when it has no content."""
        answer = self._send(method, path, json=body, params=params)
        return answer.json() if answer.content else None

    def _events_once(self, task_id: str, after: int) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        path = f"/v1/tasks/{task_id}/events"
        with self._http.stream("GET", path, headers=headers, timeout=STREAM_TIMEOUT) as answer:
            if answer.is_error:
                answer.read()
            for data in read_events(_checked(answer).iter_bytes()):
                yield Event.model_validate_json(data)

    def _rests(self, task_id: str, state: TaskState) -> bool:
        """Whether a task that reached this state is there still: a question may have been answered since."""
        return state.terminal or (state in RESTING and self.task(task_id).state is state)

    def _send(
        self, method: str, path: str, *, json: JSON = None, params: dict[str, str | int] | None = None
    ) -> httpx.Response:
        try:
            return _checked(self._http.request(method, path, json=json, params=params))
        except httpx.TransportError as error:
            self._away(error)

    def _away(self, error: httpx.TransportError) -> NoReturn:
        raise CliError(f"no mesh answers at {self.url} ({error})", "start it with `concilium up`") from error


def _checked(answer: httpx.Response) -> httpx.Response:
    """Return a good answer; raise the refusal of any other as the mesh words it (RFC 9457)."""
    if not answer.is_error:
        return answer
    try:
        problem = answer.json()
        detail = problem.get("detail") or problem.get("title")
    except (ValueError, AttributeError):
        detail = answer.text[:300]
    hint = ""
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        hint = "name a key with --key-file; the owner's is in CONCILIUM_HOME/keys/admin.key"
    raise CliError(f"{detail or answer.reason_phrase} (HTTP {answer.status_code})", hint)
