"""The loop's alarm clock, with a real ledger."""

import asyncio
from pathlib import Path

from concilium.brain import Brain
from concilium.brain.loop import Wake
from concilium.contracts.task import Request, Submission
from concilium.ledger import Ledger
from support.story import PNG, shipped_catalog


async def test_only_the_commit_that_asks_for_a_thought_wakes_the_loop(tmp_path: Path) -> None:
    wake = Wake(Brain(shipped_catalog(), engine_configured=True))
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    ledger = await Ledger.open(url, tmp_path / "blobs", wake.advance, on_commit=wake.committed)
    try:
        waiting = asyncio.create_task(wake.wait(60))
        sha256, size = await ledger.put_blob(b"picture", key_id="key_1")
        image = PNG.model_copy(update={"sha256": sha256, "size": size})
        sure = Request(text="Read the text in this image aloud", files=(image,))
        planned = await ledger.submit(Submission(request=sure, key_id="key_1"))
        assert planned.rings
        assert not waiting.done()
        asked = await ledger.submit(Submission(request=Request(text="Do the usual"), key_id="key_1"))
        async with asyncio.timeout(20):
            await waiting
        (thought,) = await ledger.claim_thoughts("holder", 4)
        assert (thought.task_id, thought.name) == (asked.task.id, "plan")
    finally:
        await ledger.close()
