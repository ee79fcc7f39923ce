"""What the control plane writes is its owner's alone, whoever may enter the home."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from support.control_plane import Client, ControlPlane
from support.ports import free_port


@pytest.fixture
def open_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane started with the usual umask in a home that everybody may enter."""
    home = tmp_path / "home"
    before = os.umask(0o022)
    try:
        home.mkdir(mode=0o755)
        running = ControlPlane(home, free_port(), {}, module="concilium.gateway")
        running.start("/health")
    finally:
        os.umask(before)
    yield running
    running.stop()


async def test_nobody_else_reads_the_ledger_or_a_file_in_a_home_that_is_open(
    open_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    form = aiohttp.FormData({"text": "what is in this file?"})
    form.add_field("file", b"a secret", filename="notes.txt", content_type="text/plain")
    asked = await Client(session, open_plane, open_plane.key()).call("POST", "/v1/ask", data=form)
    assert asked.status == 202, asked.body
    written = [path for path in open_plane.home.rglob("*") if path != open_plane.log]
    assert {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"} <= {path.name for path in written}
    assert any(path.is_file() and path.read_bytes() == b"a secret" for path in (open_plane.home / "blobs").rglob("*"))
    open_to_others = {str(path): oct(path.stat().st_mode) for path in written if path.stat().st_mode & 0o077}
    assert open_to_others == {}
    assert stat.S_IMODE(open_plane.home.stat().st_mode) == 0o755
