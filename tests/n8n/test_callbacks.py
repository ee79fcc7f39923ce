"""The mesh calls n8n back: once, early, twice, late."""

from urllib.parse import urlsplit

from support.n8n import Gate, N8n, given, until

SLOW = "Run this Python script:\n```python\nimport time\ntime.sleep(8)\nprint('slow', 6 * 7)\n```"


def ask(n8n: N8n, text: str, hook: str = "concilium/ask-async") -> str:
    """Ask without waiting; return the execution's number."""
    reply = n8n.http.post(f"/webhook/{hook}", json={"text": text})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["execution"])


def test_the_answer_comes_by_the_resume_url_with_its_files(n8n: N8n) -> None:
    number = ask(n8n, "Read aloud: good morning")
    execution = n8n.ended(number)
    assert execution["status"] == "success", execution
    assert given(execution, "Done")[0]["binary"]["data"]["mimeType"] == "audio/wav"
    task = next(task for task in n8n.tasks() if task["context_id"] == f"n8n-{number}")
    assert urlsplit(task["callback_url"]).path == f"/webhook-waiting/{number}"
    told = [line for line in n8n.log("control").splitlines() if task["id"] in line and "callback." in line]
    assert "callback.delivered" in told[-1]


def test_a_call_before_n8n_waits_is_repeated_until_it_does(n8n: N8n, gate: Gate) -> None:
    number = ask(n8n, "Read aloud: early", hook="test/held")
    task = until(lambda: [task for task in n8n.tasks() if task["context_id"] == f"n8n-{number}"], bool)[0]["id"]

    def failures() -> list[str]:
        return [line for line in n8n.log("control").splitlines() if task in line and "callback.failed" in line]

    assert "answered 409" in until(failures, bool)[0]
    gate.open()
    execution = n8n.ended(number)
    assert execution["status"] == "success", execution
    assert given(execution, "Done")[0]["binary"]["data"]["mimeType"] == "audio/wav"


def test_a_call_too_many_or_too_late_changes_nothing(n8n: N8n) -> None:
    number = ask(n8n, SLOW)
    url = n8n.waiting(number)
    assert n8n.http.post(url, json={"type": "task.completed", "data": {"state": "completed"}}).status_code == 200
    assert n8n.waiting(number) == url
    execution = n8n.ended(number)
    assert execution["status"] == "success", execution
    assert "slow 42" in given(execution, "Done")[0]["json"]["text"]
    assert n8n.http.post(url, json={}).status_code == 409
    assert n8n.execution(number)["stoppedAt"] == execution["stoppedAt"]
