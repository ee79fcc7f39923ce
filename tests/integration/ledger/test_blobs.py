"""Files: by content, seen only by those whose task refers to them, removed when nobody does."""

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from concilium.contracts import limits
from concilium.contracts.config import RetentionConfig
from concilium.contracts.errors import Invalid, NotFound, StaleLease, Unavailable
from concilium.contracts.parts import FileRef
from concilium.contracts.task import Request
from concilium.ledger import schema
from concilium.ledger.tx import Tx
from support.ledgers import Hands, hands, held, outcome

DAYS = 86_400


def ref(data: bytes, name: str = "a.txt") -> FileRef:
    return FileRef(sha256=hashlib.sha256(data).hexdigest(), name=name, media_type="text/plain", size=len(data))


def artifact(file: FileRef) -> dict[str, object]:
    return {"name": "out", "parts": [{"kind": "file", "file": file.model_dump()}]}


def age(mesh: Hands, file: FileRef, days: float = 2) -> Path:
    path = mesh.blobs / file.sha256[:2] / file.sha256[2:4] / file.sha256
    then = time.time() - days * DAYS
    os.utime(path, (then, then))
    return path


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_bytes_and_streams_of_one_content_are_one_blob(mesh: Hands) -> None:
    whole = await mesh.ledger.put_blob(b"hello world", key_id="key_1")
    assert whole == (ref(b"hello world").sha256, 11)
    assert await mesh.ledger.put_blob(stream(b"hello ", b"world"), expected=whole[0]) == whole
    assert (await mesh.ledger.open_blob(whole[0])).read_bytes() == b"hello world"


async def test_a_wrong_hash_or_a_broken_stream_leaves_nothing_behind(mesh: Hands) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(Invalid):
        await mesh.ledger.put_blob(stream(b"abc"), expected="0" * 64)
    with pytest.raises(Invalid):
        await mesh.ledger.put_blob(b"abc", expected="0" * 64)
    with pytest.raises(ConnectionResetError):
        await mesh.ledger.put_blob(broken())
    assert [path for path in mesh.blobs.rglob("*") if path.is_file()] == []
    with pytest.raises(NotFound):
        await mesh.ledger.open_blob("0" * 64)
    with pytest.raises(Invalid):
        await mesh.ledger.open_blob("../../etc/passwd")


async def test_a_blob_is_seen_by_who_put_it_or_owns_a_task_with_it_never_by_its_hash_alone(mesh: Hands) -> None:
    mine, made = ref(b"mine"), ref(b"made by an agent")
    await mesh.ledger.put_blob(b"mine", key_id="key_1")
    await mesh.ledger.put_blob(b"private", key_id="key_2")
    assert await mesh.ledger.blob_visible(mine.sha256, "key_1")
    assert not await mesh.ledger.blob_visible(mine.sha256, "key_2")
    await mesh.submit("a", files=(mine,))
    lease = await mesh.one()
    assert lease.inline == {mine.sha256: b"mine"}
    assert lease.files == (mine,)
    stolen = ref(b"private").model_dump()
    output = {"file": stolen}
    done = outcome(lease, artifacts=[artifact(made)], inline={made.sha256: b"made by an agent"}, output=output)
    await mesh.ledger.complete(done)
    assert await mesh.ledger.blob_visible(made.sha256, "key_1")
    assert not await mesh.ledger.blob_visible(made.sha256, "key_2")
    assert not await mesh.ledger.blob_visible(stolen["sha256"], "key_1")


async def test_a_lease_reads_the_files_of_its_task_and_no_others(mesh: Hands) -> None:
    big, other = b"x" * (limits.INLINE_ARTIFACT_BYTES + 1), b"other"
    await mesh.ledger.put_blob(big, key_id="key_1")
    await mesh.ledger.put_blob(other, key_id="key_1")
    await mesh.submit("a", files=(ref(big),))
    lease = await mesh.one()
    assert lease.inline == {}
    assert (await mesh.ledger.lease_blob(held(lease), ref(big).sha256)).stat().st_size == len(big)
    with pytest.raises(NotFound):
        await mesh.ledger.lease_blob(held(lease), ref(other).sha256)
    await mesh.complete(lease)
    with pytest.raises(StaleLease):
        await mesh.ledger.lease_blob(held(lease), ref(big).sha256)


async def test_files_that_were_never_put_are_refused(mesh: Hands) -> None:
    with pytest.raises(NotFound):
        await mesh.submit("a", files=(ref(b"nowhere"),))
    await mesh.submit("a")
    lease = await mesh.one()
    with pytest.raises(Invalid):
        await mesh.complete(lease, artifacts=[artifact(ref(b"nowhere"))])
    with pytest.raises(Invalid):
        await mesh.complete(lease, artifacts=[artifact(ref(b"one"))], inline={ref(b"one").sha256: b"two"})
    assert (await mesh.complete(lease)).finished


async def test_gc_takes_only_blobs_that_nobody_refers_to_and_nobody_touched_for_a_day(mesh: Hands) -> None:
    files = {word: ref(word.encode()) for word in ("used", "fresh", "old")}
    for word in files:
        await mesh.ledger.put_blob(word.encode(), key_id="key_1")
    await mesh.submit("a", files=(files["used"],))
    for word in ("used", "old"):
        age(mesh, files[word])
    report = await mesh.ledger.gc(RetentionConfig())
    assert (report.blobs, report.blob_bytes) == (1, 3)
    assert not await mesh.ledger.blob_visible(files["old"].sha256, "key_1")
    for word in ("used", "fresh"):
        await mesh.ledger.open_blob(files[word].sha256)
    age(mesh, files["fresh"])
    await mesh.ledger.put_blob(b"fresh")
    assert (await mesh.ledger.gc(RetentionConfig())).blobs == 0


async def test_gc_keeps_running_tasks_and_their_events_whatever_their_age(mesh: Hands) -> None:
    running = await mesh.submit("a")
    finished = await mesh.submit("a", idempotency_key="once")
    await mesh.ledger.cancel(finished.task.id)
    report = await mesh.ledger.gc(RetentionConfig(blobs_gib=1e-12))
    assert (report.tasks, report.events) == (0, 0)
    assert (await mesh.ledger.events(running.task.id))[0].seq == 1


async def test_new_tasks_are_refused_while_the_disk_is_nearly_full_but_results_are_taken(
    url: str, tmp_path: Path
) -> None:
    async with hands(url, tmp_path / "blobs") as roomy:
        await roomy.submit("a")
    async with hands(url, tmp_path / "blobs", min_free_bytes=1 << 60) as full:
        with pytest.raises(Unavailable):
            await full.submit("b")
        with pytest.raises(Unavailable):
            await full.ledger.put_blob(b"x", key_id="key_1")
        made = ref(b"result")
        await full.complete(await full.one(), artifacts=[artifact(made)], inline={made.sha256: b"result"})
        assert (await full.ledger.stats()).tasks == {"completed": 1}


async def test_a_request_keeps_its_files_through_a_replay(mesh: Hands) -> None:
    file = ref(b"kept")
    await mesh.ledger.put_blob(b"kept", key_id="key_1")
    first = await mesh.submit("a", files=(file,))
    again = await mesh.ledger.replay(first.task.id, "key_1")
    assert again.task.request == Request(text="a", files=(file,))
    assert (await mesh.claim(count=2))[1].inline == {file.sha256: b"kept"}


async def test_gc_removes_finished_tasks_past_their_age_with_their_files_and_keys(mesh: Hands) -> None:
    file = ref(b"old")
    await mesh.ledger.put_blob(b"old")
    old = await mesh.submit("a", files=(file,), idempotency_key="once")
    await mesh.complete(await mesh.one())
    young = await mesh.submit("a")
    await mesh.ledger.cancel(young.task.id)
    age(mesh, file)

    def grow_old(tx: Tx) -> None:
        then = tx.now - 31 * DAYS
        tx.conn.execute(schema.tasks.update().where(schema.tasks.c.id == old.task.id).values(updated_at=then))
        tx.conn.execute(schema.idempotency.update().values(created_at=then))

    await mesh.ledger._write(grow_old)
    report = await mesh.ledger.gc(RetentionConfig())
    assert (report.tasks, report.blobs) == (1, 1)
    with pytest.raises(NotFound):
        await mesh.ledger.get(old.task.id)
    again = await mesh.submit("a", idempotency_key="once")
    assert (again.replayed, again.task.id == old.task.id) == (False, False)
    await mesh.ledger.get(young.task.id)
