"""A disk that fills up and is freed again: the mesh stops taking tasks, says why everywhere, and resumes by itself."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import aiohttp

from support.control_plane import Client, ControlPlane

CONCILIUM = str(Path(sys.executable).parent / "concilium")


async def command(plane: ControlPlane, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command on the control plane's home."""
    own = {"CONCILIUM_HOME": str(plane.home), "CONCILIUM_GATEWAY__PORT": str(plane.port)}
    process = await asyncio.create_subprocess_exec(
        CONCILIUM, *arguments, env={**os.environ, **plane.settings, **own}, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_disk_below_the_reserve_refuses_tasks_until_there_is_room_again(
    own_plane: ControlPlane, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    free = shutil.disk_usage(tmp_path).free
    own_plane.settings["CONCILIUM_LEDGER__MIN_FREE_BYTES"] = str(free - free // 8)
    own_plane.start()
    admin = Client(session, own_plane, own_plane.key())
    accepted = (await admin.ask("a")).json["id"]
    balloon = tmp_path / "balloon"
    with balloon.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free // 4)
    async with asyncio.timeout(20):
        refused = await admin.ask("b")
        while refused.status != 503:
            refused = await admin.ask("b")
    assert refused.problem == "disk-full"
    assert refused.json["free_bytes"] < refused.json["reserve_bytes"]
    ready = await admin.call("GET", "/ready")
    assert (ready.status, ready.json["ledger"]) == (503, "ok")
    assert "nearly full" in ready.json["disk"]
    code, out, _ = await command(own_plane, "status", "--json")
    assert code == 1
    assert "nearly full" in json.loads(out)["refusal"]
    assert json.loads(out)["accepting"] is False
    code, _, err = await command(own_plane, "status")
    assert code == 1
    assert "New tasks are refused: the disk is nearly full" in err
    code, out, _ = await command(own_plane, "doctor", "--json")
    assert code == 1
    assert "missing" in [one["grade"] for one in json.loads(out)["findings"] if one["check"] == "disk"]
    # What was accepted goes on, its result is taken.
    runner = Client(session, own_plane, own_plane.key("runner"))
    assert (await runner.complete((await runner.claim())[0], output="done")).status == 200
    assert (await admin.call("GET", f"/v1/tasks/{accepted}")).json["state"] == "completed"

    balloon.unlink()
    async with asyncio.timeout(20):
        again = await admin.ask("c")
        while again.status != 202:
            assert again.problem == "disk-full"
            again = await admin.ask("c")
    assert (await admin.call("GET", "/ready")).status == 200
