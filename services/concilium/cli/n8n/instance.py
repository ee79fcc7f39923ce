"""One n8n of a home: how it is started, and what it is given before that."""

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from concilium.cli.errors import CliError
from concilium.cli.n8n.install import Installed
from concilium.cli.n8n.workflows import Workflow, credential, workflows
from concilium.cli.output import note
from concilium.cli.process import Listen, Process
from concilium.contracts.base import JSON
from concilium.home import Home

NAME = "n8n"
COMMAND_S = 300.0
PUBLISHERS = 2
"""Each is a process of 200 MB that one core is busy with."""
LIVE_S = 60.0
PASSED_ON = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
"""What n8n gets of this program's environment: no secret that lies there by chance."""


def launched(home: Home) -> Installed | None:
    """Return the n8n that belongs to the mesh of this home; None when none does."""
    try:
        return Installed(**json.loads(home.n8n_launch.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def address(home: Home) -> str:
    """Return where n8n is reached."""
    return f"http://127.0.0.1:{home.config.n8n.port}"


def process(home: Home) -> Process | None:
    """Return n8n as a process of the mesh; None when it does not belong to it."""
    installed = launched(home)
    if installed is None:
        return None
    listen = Listen("127.0.0.1", home.config.n8n.port, "n8n.port", ready="/healthz/readiness")
    return Process(NAME, (installed.node, installed.program, "start"), listen, environ=environment(home, installed))


def environment(home: Home, installed: Installed) -> dict[str, str]:
    """Return n8n's whole environment: on loopback, telling nobody, its secrets in files."""
    port = home.config.n8n.port
    url = address(home) + "/"
    own = {
        "PATH": os.pathsep.join((str(Path(installed.node).parent), os.environ.get("PATH", os.defpath))),
        "N8N_USER_FOLDER": str(home.n8n),
        "N8N_ENCRYPTION_KEY_FILE": str(home.keys / "n8n-encryption.key"),
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_HOST": "127.0.0.1",
        "N8N_PORT": str(port),
        "N8N_PROTOCOL": "http",
        "N8N_EDITOR_BASE_URL": url,
        "WEBHOOK_URL": url,
        "N8N_RUNNERS_ENABLED": "true",
        "N8N_RUNNERS_BROKER_PORT": str(port + 1),
        "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS": "true",
        "N8N_BLOCK_ENV_ACCESS_IN_NODE": "true",
        # Without TLS a browser sends no secure cookie; on loopback nobody listens in between.
        "N8N_SECURE_COOKIE": "false",
        "N8N_GRACEFUL_SHUTDOWN_TIMEOUT": "8",
        "DB_TYPE": "sqlite",
        "GENERIC_TIMEZONE": _timezone(),
        "N8N_DIAGNOSTICS_ENABLED": "false",
        "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
        "N8N_TEMPLATES_ENABLED": "false",
        "N8N_PERSONALIZATION_ENABLED": "false",
        "N8N_HIRING_BANNER_ENABLED": "false",
        "N8N_DYNAMIC_BANNERS_ENABLED": "false",
        "EXTERNAL_FRONTEND_HOOKS_URLS": "",
    }
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | own


def furnish(home: Home, installed: Installed, mesh_url: str) -> bool:
    """Give n8n its keys, its credential and the workflows that are new or changed; return whether anything was.

    A workflow that the owner changed in n8n stays as it is until its file or the mesh's address changes.

    Raises:
        CliError: n8n refused to take them.
    """
    # The gateway's imports take a second that no other command should wait for.
    from concilium.gateway.secrets import api_key, random_key, secret_file  # noqa: PLC0415

    home.n8n.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = secret_file(home.keys / f"{NAME}.key", api_key)
    _encryption_key(home.keys / "n8n-encryption.key", random_key())
    wanted = workflows(home, mesh_url)
    made = credential(secret)
    before, record = _recorded(home), {"credential": _digest(made), **{w.name: _digest(w.content) for w in wanted}}
    changed = [workflow for workflow in wanted if before.get(workflow.name) != record[workflow.name]]
    if before.get("credential") != record["credential"]:
        note("Giving n8n its key for the mesh")
        _import(home, installed, "credentials", made)
    if changed:
        note(f"Importing {', '.join(workflow.name for workflow in changed)}")
        _import(home, installed, "workflow", [workflow.content for workflow in changed])
        _publish(home, installed, changed)
    _record(home, record)
    return before != record


def wait_live(home: Home, mesh_url: str) -> list[str]:
    """Return the webhooks once n8n answers on all of them; those it does not answer on after a minute are left out."""
    wanted = [hook for workflow in workflows(home, mesh_url) for hook in workflow.webhooks]
    until = time.monotonic() + LIVE_S
    with httpx.Client(base_url=address(home), timeout=5, trust_env=False) as client:
        while True:
            live = [f"{address(home)}/webhook/{path}" for method, path in wanted if _live(client, method, path)]
            if len(live) == len(wanted) or time.monotonic() > until:
                return live
            time.sleep(0.2)


def _live(client: httpx.Client, method: str, path: str) -> bool:
    """Whether a webhook is registered, asked as a browser asks before it sends anything (CORS preflight)."""
    try:
        answer = client.options(f"/webhook/{path}", headers={"Origin": "null", "Access-Control-Request-Method": method})
    except httpx.HTTPError:
        return False
    return method in answer.headers.get("access-control-allow-methods", "")


def _publish(home: Home, installed: Installed, changed: Sequence[Workflow]) -> None:
    """Make workflows live at n8n's next start; n8n takes one at a time, and seconds for each."""
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        list(pool.map(lambda workflow: _command(home, installed, "publish:workflow", f"--id={workflow.id}"), changed))


def _import(home: Home, installed: Installed, kind: str, content: JSON) -> None:
    with tempfile.NamedTemporaryFile("w", dir=home.n8n, suffix=".json", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        said = _command(home, installed, f"import:{kind}", f"--input={file.name}")
    if "Successfully imported" not in said:
        raise CliError(f"n8n did not take the {kind}:\n{said[-2000:]}")


def _command(home: Home, installed: Installed, *arguments: str) -> str:
    """Run one of n8n's own commands and return what it said."""
    try:
        done = subprocess.run(  # noqa: S603 - n8n as installed from its lock file
            (installed.node, installed.program, *arguments),
            env=environment(home, installed),
            cwd=home.n8n,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CliError(f"n8n {arguments[0]} did not end within {COMMAND_S:g} s") from error
    said = done.stdout + done.stderr
    if done.returncode or "GOT ERROR" in said:
        raise CliError(f"n8n {arguments[0]} ended with {done.returncode}:\n{said[-2000:]}")
    return said


def _encryption_key(path: Path, key: str) -> None:
    """Write the key that n8n encrypts credentials with, unless there is one; n8n reads a line end as part of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key)


def _digest(content: JSON) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _recorded(home: Home) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((home.n8n / "imported.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _record(home: Home, record: dict[str, str]) -> None:
    new = home.n8n / "imported.json.new"
    new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    new.replace(home.n8n / "imported.json")


def _timezone() -> str:
    """Return the machine's time zone by its IANA name, UTC when it has none: schedules follow the owner's clock."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if name:
        return name
    link = os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    return link or "UTC"
