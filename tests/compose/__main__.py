"""``make compose-check``: docker-compose.yml on a real Docker engine, with everything but vLLM and Grafana.

python -m tests.compose [--cold] [part …]

Needs root, Debian's docker.io, a Compose client and debootstrap. The engine is its own: data below
~/.cache/concilium/compose-engine, where built layers stay for the next time (--cold begins without them); it is stopped
at the end, and the project with all its volumes is removed. No registry is asked: images are built on a base made here.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "services"), str(ROOT / "tests")]

import platformdirs  # noqa: E402  # the path has to be set first

from compose import chaos, escapes, job, node, running, written  # noqa: E402
from compose.base import ensure_bases  # noqa: E402
from compose.stack import Stack, client  # noqa: E402
from support.docker import Docker, running_docker  # noqa: E402

PROGRAMS = {"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap", "iptables": "iptables"}


@dataclass(frozen=True)
class Part:
    """One part of the check; it raises, or says what it saw."""

    name: str
    about: str
    run: Callable[[], str]


def main() -> int:
    """Run the parts; return 0 when all of them passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cold", action="store_true", help="forget the layers built before")
    parser.add_argument("parts", nargs="*", metavar="part", help="what to check once everything is up; none: all")
    options = parser.parse_args()
    if why := _missing():
        print(why, file=sys.stderr)
        return 2
    folder = platformdirs.user_cache_path("concilium") / "compose-engine"
    if options.cold:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whoever ends it leaves no daemon behind
    return Check(folder, options.parts).run()


class Check:
    """The engine, the stack on it, and the table of what came out."""

    def __init__(self, folder: Path, wanted: list[str]) -> None:
        self._folder, self._wanted = folder, wanted
        self._rows: list[tuple[str, str, float, str]] = []
        self._began = time.monotonic()
        self._engine = ExitStack()

    def run(self) -> int:
        """Start the engine, run every part, clean up, print the table."""
        stack = Stack(self._start(), self.say)
        try:
            if all(self._part(part) for part in _begin(stack)):
                for part in _parts(stack, self._restart):
                    if not self._wanted or part.name in self._wanted:
                        self._part(part)
        finally:
            self.say("removing the project, stopping the engine")
            stack.down()
            self._engine.close()
        return self._table()

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        print(f"{time.monotonic() - self._began:6.0f} s  {text}", flush=True)

    def _start(self) -> Docker:
        self.say(f"Docker engine in {self._folder}")
        return self._engine.enter_context(running_docker(self._folder))

    def _restart(self) -> None:
        self._engine.close()
        self._start()

    def _part(self, part: Part) -> bool:
        self.say(f"{part.name}: {part.about}")
        began = time.monotonic()
        try:
            said, word = part.run(), "passed"
        except Exception as error:  # noqa: BLE001 - whatever breaks in a part is that part's result
            said, word = f"{type(error).__name__}: {error}", "FAILED"
            self.say(f"  {said}")
        self._rows.append((part.name, word, time.monotonic() - began, said.splitlines()[0][:100]))
        return word == "passed"

    def _table(self) -> int:
        print(f"\n{'part':<18} {'result':<7} {'time':>6}  seen")
        for name, word, seconds, said in self._rows:
            print(f"{name:<18} {word:<7} {seconds:>5.0f}s  {said}")
        failed = sum(word != "passed" for _, word, _, _ in self._rows)
        print(f"\n{len(self._rows) - failed} passed, {failed} failed, {time.monotonic() - self._began:.0f} s")
        return int(failed > 0)


def _begin(stack: Stack) -> list[Part]:
    return [
        Part("written", "the rules that every service of every profile keeps", written.hardened),
        Part("networks", "who shares a network with whom, as written", written.apart),
        Part("base", "the base image that stands in for a registry", lambda: ensure_bases(stack.docker)),
        Part("build", "every image", lambda: _said(stack.build, "all images")),
        Part("build-node", "the image of a rented node", lambda: _said(lambda: node.build(stack), "one image")),
        Part("up", "everything up and healthy", lambda: _said(stack.up, "all healthy")),
    ]


def _parts(stack: Stack, restart: Callable[[], None]) -> list[Part]:
    return [
        Part("containers", "the same rules, as the daemon has them", lambda: running.hardened(stack)),
        Part("zones", "who reaches whom, tried from inside", lambda: running.apart(stack)),
        Part("job", "the main job over the API", lambda: job.over_the_api(stack)),
        Part("n8n", "the same through n8n's webhook", lambda: job.through_n8n(stack)),
        Part("callback", "n8n answered later by the mesh", lambda: job.called_back(stack)),
        Part("command", "the owner's command in the control container", lambda: job.by_the_command(stack)),
        Part("prometheus", "the scrape of every process that has figures", lambda: job.scraped(stack)),
        Part("tls", "the mesh behind Caddy, with a certificate of its own authority", lambda: job.behind_tls(stack)),
        Part("node", "a rented node joins from a project of its own", lambda: node.joins_and_works(stack)),
        Part("rotation", "a key replaced while everything runs", lambda: job.rotated(stack)),
        Part("escapes", "every attempt to break out, in the code container", lambda: escapes.in_the_service(stack)),
        Part(
            "escapes-v2",
            "the same with an unmasked /proc, as Compose v2 starts it",
            lambda: escapes.with_open_proc(stack),
        ),
        Part("chaos", "one container after the other killed under load", lambda: chaos.one_at_a_time(stack)),
        Part("reboot", "the whole engine stopped and started under load", lambda: chaos.reboot(stack, restart)),
        Part("job-again", "the main job afterwards", lambda: job.over_the_api(stack)),
        Part("n8n-again", "n8n afterwards", lambda: job.through_n8n_again(stack)),
        Part("restore", "the ledger lost and restored", lambda: job.restored(stack)),
        Part("secrets", "no secret in docker inspect or in a log", lambda: running.secrets_kept(stack)),
        Part("readable", "secrets that are not the process's own to read", lambda: running.secrets_checked(stack)),
    ]


def _said(act: Callable[[], None], text: str) -> str:
    act()
    return text


def _missing() -> str:
    """Return why the check cannot run here; empty when it can."""
    if os.geteuid() != 0:
        return "the check starts a Docker daemon: run it as root"
    absent = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if not absent and subprocess.run([*client(), "version"], capture_output=True, check=False).returncode:
        absent = ["docker-compose"]
    return f"apt-get install --no-install-recommends {' '.join(absent)}" if absent else ""


if __name__ == "__main__":
    sys.exit(main())
