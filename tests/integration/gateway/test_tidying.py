"""What is too old goes by itself."""

import asyncio
import os
import sqlite3
from pathlib import Path

import aiohttp

from support.control_plane import Client, ControlPlane

LONG_AGO = 1_600_000_000


def age(home: Path, *tasks: str) -> None:
    """Make tasks, and all files, look as if nobody had touched them for years."""
    with sqlite3.connect(home / "ledger.sqlite3") as conn:
        for task in tasks:
            conn.execute(
                "UPDATE tasks SET updated_at = ?, paused_at = paused_at * 0 + ? WHERE id = ?",
                (LONG_AGO, LONG_AGO, task),
            )
    conn.close()
    for path in (home / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))


async def test_old_tasks_and_their_files_go_without_being_asked_and_backups_stay(
    own_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    own_plane.settings["CONCILIUM_RETENTION__EVERY_HOURS"] = "0"
    own_plane.start()
    admin = Client(session, own_plane, own_plane.key())
    runner = Client(session, own_plane, own_plane.key("runner"))
    file = {"name": "a.txt", "data": "b2xk"}
    old, kept = [(await admin.ask("a", files=[{**file, "data": data}])).json["id"] for data in ("b2xk", "a2VwdA==")]
    for _ in range(2):
        await runner.complete((await runner.claim())[0], output="done")
    asking = (await admin.ask("ask")).json["id"]
    own_plane.stop()
    backup = own_plane.home / "backups" / "concilium.tar.gz"
    backup.parent.mkdir()
    backup.write_bytes(b"x" * 1000)
    os.utime(backup, (LONG_AGO, LONG_AGO))
    age(own_plane.home, old, asking)

    own_plane.settings["CONCILIUM_RETENTION__EVERY_HOURS"] = "0.0001"
    own_plane.settings["CONCILIUM_RETENTION__BLOBS_GIB"] = "0.0000005"  # 537 bytes: less than the backup
    own_plane.start()
    async with asyncio.timeout(20):
        while (await admin.call("GET", f"/v1/tasks/{old}")).status != 404:
            assert '"event": "gc.refused"' not in own_plane.log.read_text()
        while len([path for path in (own_plane.home / "blobs").rglob("*") if path.is_file()]) > 1:
            await admin.call("GET", "/health")
    assert (await admin.call("GET", f"/v1/tasks/{kept}")).json["state"] == "completed"
    asked = (await admin.call("GET", f"/v1/tasks/{asking}")).json
    assert asked["state"] == "canceled"
    assert "nobody answered" in asked["problem"]["detail"]
    assert backup.exists()
