"""The main job, asked for as its callers ask: over the API, through n8n's webhooks, by the command in the container."""

import io
import json
import ssl
import time
import wave
from typing import Any

import httpx

from compose.stack import CADDY_ADDRESS, HOME, PROJECT, ROOT, Stack

EXAMPLES = ROOT / "examples"
REQUEST = "Read this invoice, run this script on its text, read the result aloud"
TOTAL = "6795.12"
"""What the script finds on the invoice."""
WAIT_S = 180
CLOSED = {
    "mesh.localhost": ("/metrics", "/metrics/targets", "/runner/v1/claim"),
    "n8n.localhost": (
        "/webhook/concilium/ask",
        "/Webhook/concilium/ask-async",
        "/form/concilium-approval",
        "/rest/owner/setup",
        "/rest/owner/setup/",
    ),
}
"""What Caddy keeps from outside, by site."""
SKILLS = ["vision.ocr", "code.run", "tts.speak"]


def over_the_api(stack: Stack) -> str:
    """A picture, a script, speech."""
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=WAIT_S) as http:
        files = [("files", (name, (EXAMPLES / name).read_bytes())) for name in ("invoice.png", "total.py")]
        task = _ended(http, http.post("/v1/ask", data={"text": REQUEST}, files=files).raise_for_status().json()["id"])
        assert task["state"] == "completed", task
        assert [entry["skill"] for entry in task["answer"]["provenance"]] == SKILLS, task["answer"]["provenance"]
        assert TOTAL in task["answer"]["text"], task["answer"]["text"]
        (file,) = [p["file"] for a in task["artifacts"] for p in a["parts"] if p["kind"] == "file" and _sound(p)]
        speech = http.get(f"/v1/tasks/{task['id']}/files/{file['sha256']}").raise_for_status().content
    return f"{TOTAL} on the invoice, {_seconds(speech):.0f} s of speech"


def through_n8n(stack: Stack) -> str:
    """The same picture through the webhook that answers with the file."""
    with httpx.Client(base_url=stack.n8n_url, timeout=WAIT_S) as http:
        _live(http, "/webhook/concilium/ask", files={"file": ("invoice.png", b"")})
        picture = (EXAMPLES / "invoice.png").read_bytes()
        form = {"data": {"text": "Read this invoice aloud"}, "files": {"file": ("invoice.png", picture, "image/png")}}
        answer = http.post("/webhook/concilium/ask", **form).raise_for_status()
    return f"{_seconds(answer.content):.0f} s of speech"


def through_n8n_again(stack: Stack) -> str:
    """The webhook after n8n was started anew; what the owner may have changed there was not imported again."""
    said = through_n8n(stack)
    imported = stack.log("n8n", 100_000).count("Successfully imported")
    assert imported == 2, f"n8n took credentials and workflows {imported} times"
    return said


def called_back(stack: Stack) -> str:
    """The webhook that answers at once; the control plane calls n8n back by the name browsers know it by."""
    owner = httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=WAIT_S)
    with owner, httpx.Client(base_url=stack.n8n_url, timeout=WAIT_S) as http:
        before = _delivered(owner)
        http.post("/webhook/concilium/ask-async", json={"text": "Read aloud: called back"}).raise_for_status()
        until = time.monotonic() + WAIT_S
        while _delivered(owner) == before:
            assert time.monotonic() < until, stack.log("control")
            time.sleep(0.5)
    return "n8n's resume URL took the callback"


def by_the_command(stack: Stack) -> str:
    """What the owner does inside the control container."""
    status, said = stack.run("control", "concilium", "status")
    assert (status, "ledger" in said) == (0, True), said
    out = f"{HOME}/out"
    status, said = stack.run("control", "concilium", "ask", "Read aloud: hello", "--out", out, timeout_s=WAIT_S)
    assert (status, "speech.wav" in said) == (0, True), said
    copied = stack.docker.run("cp", f"{stack.container('control')}:{out}", "-")
    assert b"speech.wav" in copied.stdout, copied.stderr
    status, said = stack.run("control", "concilium", "keys", "create", "guest", "--scope", "tasks:read")
    assert (status, "ck_" in said) == (0, True), said
    status, said = stack.run("control", "concilium", "backup")
    assert (status, "SHA-256" in said) == (0, True), said
    _, said = stack.run("code", "concilium", "doctor")
    assert "ok       sandbox  landlock" in said or "ok       sandbox  bubblewrap" in said, said
    assert "ok       code     packages" in said, said
    return "status, ask, keys, backup, doctor"


def scraped(stack: Stack) -> str:
    """Prometheus finds the control plane and every agent, with the key it was handed."""
    wanted = {"control:8400", "code:8400", "vision:8400", "tts:8400", "document:8400"}
    until = time.monotonic() + WAIT_S
    while True:
        status, said = stack.run("prometheus", "wget", "-q", "-O", "-", "http://127.0.0.1:9090/api/v1/query?query=up")
        found = json.loads(said)["data"]["result"] if status == 0 else []
        up = {each["metric"]["instance"] for each in found if each["value"][1] == "1"}
        if wanted <= up:
            return f"{len(up)} targets up"
        assert time.monotonic() < until, said
        time.sleep(1)


def behind_tls(stack: Stack) -> str:
    """Caddy's own authority signs, plain HTTP leads to TLS, headers are set, what is for the inside stays inside."""
    root = stack.volume("caddy") / "caddy/pki/authorities/local/root.crt"
    context = ssl.create_default_context(cafile=str(root))
    for site, path in (("mesh.localhost", "/health"), ("n8n.localhost", "/healthz")):
        with httpx.Client(base_url=f"https://{CADDY_ADDRESS}", verify=context, headers={"Host": site}) as http:
            answer = http.get(path, extensions={"sni_hostname": site}).raise_for_status()
            assert "max-age" in answer.headers["strict-transport-security"], answer.headers
            assert answer.headers["x-content-type-options"] == "nosniff", answer.headers
            for closed in CLOSED[site]:
                refused = http.post(closed, extensions={"sni_hostname": site})
                # n8n says more than nothing where it has no webhook or form.
                assert (refused.status_code, refused.content) == (404, b""), f"{closed}: {refused.text}"
            if site.startswith("n8n"):
                # Callbacks come in: it is n8n that knows no such execution.
                assert http.post("/webhook-waiting/1", extensions={"sni_hostname": site}).content
    plain = httpx.get(f"http://{CADDY_ADDRESS}/health", headers={"Host": "mesh.localhost"})
    assert plain.headers["location"] == "https://mesh.localhost/health", plain
    return "mesh and n8n, certificates verified"


def rotated(stack: Stack) -> str:
    """A key that was replaced reaches its holders by setup, and nobody is restarted for it."""
    status, said = stack.run("control", "concilium", "keys", "rotate", "mesh", "--overlap-hours", "0")
    assert status == 0, said
    done = stack.compose("up", "--no-deps", "--no-build", "setup")
    assert done.returncode == 0, done.stderr
    new = stack.read("control", f"{HOME}/keys/mesh.key")
    assert stack.read("tts", f"{HOME}/keys/mesh.key") == stack.read("runner", f"{HOME}/keys/mesh.key") == new
    status, said = stack.run("control", "concilium", "ask", "Read aloud: under the new key", timeout_s=WAIT_S)
    assert status == 0, said
    return "the mesh key, old one refused at once"


def restored(stack: Stack) -> str:
    """A backup put back by the commands of docs/compose.md, where n8n has run under a key that is not in the backup.

    What came after the backup is gone, the rest is there, n8n has the key of the backup.
    """
    kept = _ask(stack, "Read aloud: before the backup")
    status, said = stack.run("control", "concilium", "backup")
    assert status == 0, said
    archive = said.partition(":")[0]
    gone = _ask(stack, "Read aloud: after the backup")
    _keep_another_key(stack)
    for words in (
        ("stop", "control", "runner", "links"),
        ("run", "--rm", "-T", "control", "concilium", "restore", archive, "--force"),
        ("rm", "--stop", "--force", "n8n"),
        ("up", "--no-deps", "--no-build", "setup"),
    ):
        done = stack.compose(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    stack.docker("volume", "rm", f"{PROJECT}_n8n")
    stack.up()
    status, said = stack.run("control", "concilium", "tasks", "show", kept)
    assert (status, kept in said) == (0, True), said
    status, said = stack.run("control", "concilium", "tasks", "show", gone)
    assert status == 1, said
    over_the_api(stack)
    through_n8n(stack)
    return "the task before the backup is there, the one after is not; n8n with its key"


def _keep_another_key(stack: Stack) -> None:
    """Have n8n's own settings hold what it writes on a machine where another mesh began."""
    settings = stack.volume("n8n") / "config"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "encryptionKey": "of-another-mesh"}))


def _ask(stack: Stack, text: str) -> str:
    status, said = stack.run("control", "concilium", "ask", "--no-wait", text)
    assert status == 0, said
    return said.split()[-1]


def _ended(http: httpx.Client, task_id: str) -> dict[str, Any]:
    until = time.monotonic() + WAIT_S
    while True:
        task: dict[str, Any] = http.get(f"/v1/tasks/{task_id}").raise_for_status().json()
        if task["state"] in {"completed", "failed", "canceled", "rejected", "input-required"}:
            return task
        assert time.monotonic() < until, task
        time.sleep(0.2)


def _live(http: httpx.Client, path: str, **options: Any) -> None:
    """Wait until n8n has the webhook: it is ready before its workflows are."""
    until = time.monotonic() + WAIT_S
    while http.options(path, headers={"Origin": "null", "Access-Control-Request-Method": "POST"}).is_error:
        assert time.monotonic() < until, path
        time.sleep(0.5)


def _delivered(http: httpx.Client) -> float:
    """Return how many callbacks were taken."""
    lines = http.get("/metrics").raise_for_status().text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith('concilium_outbox{state="delivered"}'))


def _sound(part: dict[str, Any]) -> bool:
    return str(part["file"]["media_type"]).startswith("audio/")


def _seconds(content: bytes) -> float:
    with wave.open(io.BytesIO(content)) as sound:
        assert sound.getnframes(), "no sound"
        return sound.getnframes() / sound.getframerate()
