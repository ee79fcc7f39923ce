"""The newest supported n8n walks the main path: installed, furnished, asked with and without waiting, taken away."""

from pathlib import Path
from urllib.parse import urlsplit

from support.n8n import N8n, given

INVOICE = Path(__file__).resolve().parents[2] / "examples" / "invoice.png"


def test_the_main_path_from_up_to_speech_and_out_again(newest: N8n) -> None:
    files = {"file": (INVOICE.name, INVOICE.read_bytes(), "image/png")}
    said = {"text": "Read this invoice aloud"}
    reply = newest.http.post("/webhook/concilium/ask", data=said, files=files)
    assert reply.status_code == 200, reply.text
    assert (reply.headers["content-type"], reply.content[:4]) == ("audio/wav", b"RIFF")

    later = newest.http.post("/webhook/concilium/ask-async", data=said, files=files)
    assert later.status_code == 202, later.text
    execution = newest.ended(later.json()["execution"])
    assert execution["status"] == "success", execution
    assert given(execution, "Done")[0]["binary"]["data"]["mimeType"] == "audio/wav"
    task = next(task for task in newest.tasks() if task["context_id"] == f"n8n-{execution['id']}")
    resume = urlsplit(task["callback_url"])
    assert task["callback_url"].startswith(f"{newest.url}/webhook-waiting/")
    assert "signature=" in resume.query
    assert f"{resume.path}?" in newest.log("control")
    assert resume.query not in newest.log("control")

    away = newest.mesh.run("up", "--no-n8n")
    assert away.returncode == 0, away.stderr
    assert "n8n" not in newest.mesh.status()
    assert newest.asker.post("/v1/ask", json={"text": "x", "callback_url": task["callback_url"]}).status_code == 422
