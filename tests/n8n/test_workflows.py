"""What `concilium up --n8n` brings, used as callers, persons and schedules use it, on both supported n8n."""

import html
import io
import json
import re
import stat
import wave
from pathlib import Path

from support.n8n import N8n, given, until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPT = "Run this Python script:\n```python\nprint(6 * 7)\n```"
SLOW = "Run this Python script:\n```python\nimport time\ntime.sleep(50)\n```"


def seconds_of(speech: bytes) -> float:
    """Return how long a WAV file sounds."""
    with wave.open(io.BytesIO(speech)) as file:
        return file.getnframes() / file.getframerate()


def test_up_names_what_can_be_called_and_a_second_up_changes_nothing(n8n: N8n) -> None:
    assert n8n.told["n8n"] == n8n.url
    assert {hook.removeprefix(f"{n8n.url}/webhook/") for hook in n8n.told["webhooks"]} >= {
        "concilium/ask",
        "concilium/ask-async",
        "concilium/ask-poll",
    }
    before = n8n.mesh.status()
    assert before["n8n"]["state"] == "running"
    again = n8n.mesh.run("up", "--n8n")
    assert again.returncode == 0, again.stderr
    assert {name: entry["pid"] for name, entry in n8n.mesh.status().items()} == {
        name: entry["pid"] for name, entry in before.items()
    }
    assert "n8n" in n8n.mesh.run("logs", "n8n", "-n", "500").stdout


def test_n8n_holds_a_key_of_its_own_that_lies_nowhere_in_the_clear(n8n: N8n) -> None:
    keys = json.loads(n8n.mesh.run("keys", "list", "--json").stdout)["keys"]
    assert {key["name"]: set(key["scopes"]) for key in keys}["n8n"] == {"tasks:read", "tasks:write"}
    files = {name: n8n.mesh.home / "keys" / f"{name}.key" for name in ("n8n", "n8n-encryption")}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    secret = files["n8n"].read_text().strip().encode()
    for path in n8n.mesh.home.joinpath("n8n").rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path
    assert n8n.asker.get("/v1/keys").status_code == 403


def test_an_image_sent_to_the_webhook_comes_back_as_speech(n8n: N8n) -> None:
    files = {"file": ("invoice.png", (EXAMPLES / "invoice.png").read_bytes(), "image/png")}
    reply = n8n.http.post("/webhook/concilium/ask", data={"text": "Read this invoice aloud"}, files=files)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("audio/wav")
    assert seconds_of(reply.content) > 5
    task = next(task for task in n8n.tasks() if task["id"] == reply.headers["x-concilium-task"])
    assert [file["name"] for file in task["request"]["files"]] == ["invoice.png"]


def test_json_is_answered_with_text(n8n: N8n) -> None:
    reply = n8n.http.post("/webhook/concilium/ask", json={"text": SCRIPT})
    assert reply.status_code == 200, reply.text
    assert "42" in reply.json()["text"]


def test_what_the_mesh_refuses_the_caller_hears(n8n: N8n) -> None:
    refused = n8n.http.post("/webhook/concilium/ask", json={"text": "hello", "priority": "urgent"})
    assert refused.status_code == 422
    assert "priority" in refused.json()["detail"]


def test_the_same_idempotency_key_is_the_same_task(n8n: N8n) -> None:
    headers = {"Idempotency-Key": "of-the-caller"}
    first, again = (
        n8n.http.post("/webhook/concilium/ask", json={"text": SCRIPT}, headers=headers).json()["task"] for _ in range(2)
    )
    assert first == again


def test_a_question_of_the_mesh_is_answered_by_a_person_in_a_form(n8n: N8n) -> None:
    asked = n8n.http.post("/webhook/concilium/ask", json={"text": "Hmm"})
    assert asked.status_code == 202, asked.text
    task, form = asked.json()["task"], asked.json()["answer_at"]
    assert asked.json()["question"]
    assert form.startswith(f"{n8n.url}/form/")
    page = n8n.http.get(form)
    assert "open questions" in page.text
    questions = n8n.submit(form.partition("?")[0], {"field-0": task})
    option = re.search(rf"{task} [^'\"<>]+", questions.text)
    assert option is not None, questions.text
    thanks = n8n.submit(questions.url, {"field-0": html.unescape(option.group()), "field-1": SCRIPT})
    assert "Thank you" in thanks.text
    ended = until(lambda: n8n.asker.get(f"/v1/tasks/{task}").json(), lambda found: found["state"] == "completed")
    assert "42" in ended["answer"]["text"]


def test_the_form_says_when_nothing_is_asked(n8n: N8n) -> None:
    page = n8n.submit(f"{n8n.url}/form/concilium-approval", {"field-0": "task_none"})
    assert "Nothing to answer" in page.text


def test_polling_needs_no_way_back(n8n: N8n) -> None:
    number = n8n.http.post("/webhook/concilium/ask-poll", json={"text": SCRIPT}).json()["execution"]
    execution = n8n.ended(number)
    assert execution["status"] == "success", execution
    assert "42" in given(execution, "Done")[0]["json"]["text"]
    task = next(task for task in n8n.tasks() if task["context_id"] == f"n8n-{number}")
    assert task["execution_id"] == str(number)
    assert task["callback_url"] is None


def test_a_task_that_failed_ends_the_execution_with_its_reason(n8n: N8n) -> None:
    asked = n8n.http.post("/webhook/concilium/ask-poll", json={"text": SLOW, "deadline_s": 2})
    execution = n8n.ended(asked.json()["execution"])
    assert execution["status"] == "error"
    assert "ended as failed" in execution["data"]["resultData"]["error"]["message"]


def test_a_broken_execution_leaves_no_task_behind(n8n: N8n) -> None:
    number = n8n.http.post("/webhook/test/crash", json={"text": SLOW}).json()["execution"]
    assert n8n.ended(number)["status"] == "error"

    def left() -> list[str]:
        return [task["state"] for task in n8n.tasks() if task["context_id"] == f"n8n-{number}"]

    assert until(left, lambda states: "canceled" in states) == ["canceled"]


def test_the_nightly_queue_runs_on_the_lowest_priority(n8n: N8n) -> None:
    def ended() -> list[str]:
        return [task["request"]["text"] for task in n8n.tasks(state="completed") if task["priority"] == "low"]

    assert set(until(ended, lambda texts: len(set(texts)) == 2)) == {
        "Read aloud: good night",
        "Read aloud: sleep well",
    }
