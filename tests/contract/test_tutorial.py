"""``docs/write-an-agent.md`` as a person follows it: every file written, every command run, shown lines compared."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.agents import ROOT
from support.ports import free_port

PAGE = ROOT / "docs" / "write-an-agent.md"
COMMAND_S = 180
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"`(~/[^`]+)`:\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block and the paragraph before it."""

    kind: str
    text: str
    before: str

    @property
    def target(self) -> str:
        """The file it is the content of; empty when it is none."""
        found = _TARGET.search(self.before)
        return found[1] if found else ""


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in order."""
    found, end = [], 0
    for match in _BLOCK.finditer(page):
        found.append(Block(match[1], match[2], page[end : match.start()].strip().rpartition("\n")[2]))
        end = match.end()
    return found


def missing_line(shown: str, printed: str) -> str | None:
    """Return the first shown line that was not printed after those before it; ``…`` stands for anything."""
    lines = [_squeezed(line) for line in printed.splitlines()]
    for wanted in shown.splitlines():
        pattern = re.compile(".*".join(map(re.escape, _squeezed(wanted).split("…"))))
        place = next((n for n, line in enumerate(lines) if pattern.fullmatch(line)), None)
        if place is None:
            return wanted
        lines = lines[place + 1 :]
    return None


def _squeezed(line: str) -> str:
    return re.sub(r"\s*…\s*", "…", " ".join(line.split()))


@pytest.fixture
def person() -> Iterator[tuple[Path, dict[str, str]]]:
    """A home directory with nothing in it, and the environment of its owner; what still runs at the end is stopped."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("CONCILIUM_", "PYTEST_"))}
    with tempfile.TemporaryDirectory(prefix="person-", ignore_cleanup_errors=True) as folder:
        home = Path(folder).resolve()
        environ = {
            **plain,
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
        }
        try:
            yield home, environ
        finally:
            subprocess.run(["concilium", "down"], env=environ, check=False, capture_output=True, timeout=COMMAND_S)
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((home / "shout" / "pid").read_text()), 15)


def test_no_block_of_the_tutorial_is_left_unproved() -> None:
    found = blocks(PAGE.read_text())
    assert len(found) > 15
    for number, block in enumerate(found):
        proved = {
            "sh": not block.target,
            "text": number > 0 and found[number - 1].kind == "sh",
            "yaml": bool(block.target),
            "python": bool(block.target),
        }
        assert proved.get(block.kind), f"this block is neither run, nor written, nor compared: {block}"
    assert PAGE.read_text().count("```") == 2 * len(found)


@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here; sudo apt-get install curl")
def test_a_person_who_follows_the_tutorial_gets_what_it_shows(person: tuple[Path, dict[str, str]]) -> None:
    home, environ = person
    # Its ports may be taken here.
    ports = {"8400": free_port(), "9100": free_port()}
    environ |= {"CONCILIUM_GATEWAY__PORT": str(ports["8400"]), "CONCILIUM_AGENTS__BASE_PORT": str(free_port())}
    page = PAGE.read_text()
    for written, port in ports.items():
        page = page.replace(written, str(port))
    printed = ""
    for block in blocks(page):
        if block.kind == "sh":
            printed = _run(block.text, home, environ)
        elif block.kind == "text":
            missing = missing_line(block.text, printed)
            assert missing is None, f"not printed: {missing!r}\n{printed}"
        else:
            path = home / block.target.removeprefix("~/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)


def _run(script: str, home: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=home,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n→ {done.returncode}\n{done.stdout}"
    return done.stdout
