"""Walks the whole road twice: a picture of an invoice, then a PDF with a scanned page, each to an answer and speech.

Starts a mesh of its own in ``build/demo-home`` (on free ports when the standard ones are taken), submits the requests,
shows them step by step and leaves ``answer.txt``, ``invoice-text.txt``, ``script-output.txt`` and ``speech.wav`` in
``out/``, and ``answer.txt``, ``minutes-text.txt`` and ``speech.wav`` in ``out/minutes/``. With ``--keep`` the mesh goes
on running. The exit code is 0 only when every one of them is there.
"""

import argparse
import os
import socket
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path

import yaml

from concilium.cli import lifecycle
from concilium.cli.client import MeshClient
from concilium.cli.commands.mesh import start_mesh
from concilium.cli.errors import CliError
from concilium.cli.output import duration, line, note
from concilium.cli.process import Listen
from concilium.cli.results import ANSWER, print_result, task_files
from concilium.cli.watch import watch
from concilium.contracts.base import JSON
from concilium.contracts.errors import ConciliumError
from concilium.contracts.parts import FileRef
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import TaskView
from concilium.home import Home

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Job:
    """A request and what it must leave."""

    request: str
    files: tuple[Path, ...]
    texts: tuple[tuple[str, str, str], ...]
    """Name of the file to write, the skill whose output it is, the member that holds it."""
    folder: str = ""
    """Folder in ``out/``."""


JOBS = (
    Job(
        "Read this invoice, run this script on its text, read the result aloud",
        (EXAMPLES / "invoice.png", EXAMPLES / "total.py"),
        (("invoice-text.txt", "vision.ocr", "text"), ("script-output.txt", "code.run", "stdout")),
    ),
    Job(
        "Read these minutes aloud",
        (EXAMPLES / "minutes.pdf",),
        (("minutes-text.txt", "document.merge", "text"),),
        folder="minutes",
    ),
)


def main() -> int:
    """Run the demo; return 0 when everything it promises is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the mesh running")
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="folder for the results")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        demo(options.out, keep=options.keep)
    except CliError as error:
        note(f"error: {error.message}", style="red")
        if error.hint:
            note(error.hint)
        return 1
    except ConciliumError as error:
        note(f"error: {error.detail}", style="red")
        return 1
    except KeyboardInterrupt:
        return 130
    line(f"Done in {duration(time.monotonic() - began)}.", style="green")
    return 0


def demo(out: Path, *, keep: bool) -> None:
    """Start the mesh, do the jobs, keep the results, stop the mesh unless it is to stay or ran before."""
    home = demo_home()
    ran_before = lifecycle.running(home) is not None
    stop = not keep and not ran_before
    try:
        start_mesh(home)
        url = Listen(home.config.gateway.host, home.config.gateway.port, "gateway.port").url
        for job in JOBS:
            task = ask(MeshClient(url, home.secret("admin")), job, out / job.folder)
            line(f"\nTask {task.id}, {task.state}, trace {task.trace_id}")
    except BaseException:
        stop = not ran_before
        raise
    finally:
        if stop:
            lifecycle.stop(home)
    if not stop:
        addresses(home, url)


def ask(client: MeshClient, job: Job, out: Path) -> TaskView:
    """Submit the request, follow it, write and check what came of it; return the ended task."""
    line(f"\n{job.request}")
    for path in job.files:
        line(f"  with {path.relative_to(ROOT)}")
    task = watch(client, client.ask(job.request, job.files, {}).id)
    line()
    print_result(task)
    if task.state is not TaskState.COMPLETED or task.answer is None:
        raise CliError(f"the task ended as {task.state}")
    failed = [entry.step for entry in task.answer.provenance if entry.state is not StepState.COMPLETED]
    if failed:
        raise CliError(f"not every attempt succeeded: {', '.join(failed)}")
    out.mkdir(parents=True, exist_ok=True)
    line()
    keep_text(out / ANSWER, task.answer.text)
    for name, skill, member in job.texts:
        keep_text(out / name, output(task, skill, member))
    keep_speech(client, task, out / "speech.wav")
    return task


def output(task: TaskView, skill: str, member: str) -> str:
    """Return a text from the output of the step that used a skill."""
    assert task.answer is not None
    for entry in task.answer.provenance:
        found: JSON = task.answer.outputs.get(entry.step)
        if entry.skill == skill and isinstance(found, dict) and str(found.get(member, "")).strip():
            return str(found[member])
    raise CliError(f"no {member} of {skill} in the answer")


def keep_text(path: Path, text: str) -> None:
    """Write a text that must not be empty."""
    if not text.strip():
        raise CliError(f"nothing to write into {path.name}")
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    line(f"{path}  {len(text)} characters")


def keep_speech(client: MeshClient, task: TaskView, path: Path) -> None:
    """Download the speech and check that it can be played."""
    client.download(task.id, speech(task), path)
    try:
        with wave.open(str(path), "rb") as sound:
            seconds = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError) as error:
        raise CliError(f"{path} is not a WAV file: {error}") from error
    if not seconds:
        raise CliError(f"{path} holds no sound")
    line(f"{path}  {seconds:.1f} s of sound")


def speech(task: TaskView) -> FileRef:
    """Return the sound among a task's files."""
    for file in task_files(task):
        if file.media_type.startswith("audio/"):
            return file
    raise CliError("the answer has no sound")


def demo_home() -> Home:
    """Return the demo's home; its ports are chosen when no mesh runs in it."""
    root = ROOT / "build" / "demo-home"
    if len(os.fsencode(root / "run" / "redis.sock")) > lifecycle.SOCKET_PATH_BYTES:
        root = Path(tempfile.gettempdir()) / f"concilium-demo-{os.getuid()}"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if root.stat().st_uid != os.getuid():
        raise CliError(f"{root} belongs to somebody else")
    home = Home(root, {**os.environ, "CONCILIUM_HOME": str(root)})
    if lifecycle.running(home) is None:
        choose_ports(home)
    return Home(root, home.environ)


def choose_ports(home: Home) -> None:
    """Write the home's mesh.yaml with the standard ports, or with free ones when one of those is taken."""
    standard = Home(home.root / "none", home.environ).config
    gateway, base, count = standard.gateway.port, standard.agents.base_port, len(standard.agents.start)
    wanted = [gateway, *range(base, base + count)]
    if not all(lifecycle.free("127.0.0.1", port) for port in wanted):
        gateway, base = free_port(1), free_port(count)
    chosen = {"gateway": {"port": gateway}, "agents": {"base_port": base}}
    (home.root / "mesh.yaml").write_text(yaml.safe_dump(chosen), encoding="utf-8")


def free_port(count: int) -> int:
    """Return the first of so many free ports in a row."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port + count <= 65_000 and all(lifecycle.free("127.0.0.1", p) for p in range(port, port + count)):
            return port
    raise CliError(f"no {count} free ports in a row")


def addresses(home: Home, url: str) -> None:
    """Say where the mesh that stays can be reached and how to stop it."""
    line(f"\nThe mesh goes on at {url} (pages, API, {url}/openapi.json)")
    for entry in lifecycle.status(home):
        line(f"  {entry.name:<8} {entry.address}".rstrip())
    line(f"Key: {home.keys / 'admin.key'}")
    line(f'Use it:  CONCILIUM_HOME={home.root} .venv/bin/concilium ask "…"')
    line(f"Stop it: CONCILIUM_HOME={home.root} .venv/bin/concilium down")


if __name__ == "__main__":
    sys.exit(main())
