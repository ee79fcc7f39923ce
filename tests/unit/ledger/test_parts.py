"""The ledger's small parts."""

import asyncio
import errno
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.contracts.errors import Unavailable
from concilium.contracts.parts import FileRef
from concilium.contracts.runner import Held, ProgressNote
from concilium.contracts.task import Request, Submission
from concilium.ledger.clock import Clock
from concilium.ledger.codec import dumps, loads
from concilium.ledger.files import files_in
from concilium.ledger.pace import Pace
from concilium.ledger.store import Space, is_disk_full
from concilium.ledger.submit import digest_of
from support.ledgers import hands, until

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
FILE = {"sha256": "a" * 64, "name": "x.png", "media_type": "image/png", "size": 3}


@given(JSON_VALUES)
def test_any_json_value_survives_storing(value: object) -> None:
    text = dumps(value)
    assert loads(text) == value
    assert "\x00" not in text


def test_a_lone_surrogate_survives_storing() -> None:
    assert loads(dumps({"a": "\ud800"})) == {"a": "\ud800"}


def test_files_are_found_at_any_depth_and_named_once() -> None:
    value = {"image": FILE, "more": [{"deep": FILE}, {"sha256": "not a file", **dict.fromkeys(FILE, 1)}, "text"]}
    assert files_in(value) == (FileRef.model_validate(FILE),)


def test_the_digest_of_a_request_ignores_what_does_not_change_it() -> None:
    def digest(**changes: object) -> str:
        values = {"request": Request(text="hi", files=(FileRef.model_validate(FILE),)), "key_id": "k"} | changes
        return digest_of(Submission.model_validate(values))

    same = digest()
    assert digest(traceparent="00-x") == digest(idempotency_key="other") == same
    changed = FileRef.model_validate(FILE | {"sha256": "b" * 64})
    assert len({same, digest(deadline_s=5), digest(request=Request(text="hi", files=(changed,)))}) == 3


def test_progress_passes_at_most_once_in_half_a_second_for_each_attempt() -> None:
    def note(step: str, fraction: float) -> ProgressNote:
        return ProgressNote(held=Held(task_id="t", step=step, attempt=1, fence=1), fraction=fraction)

    pace = Pace()
    assert [n.fraction for n in pace.due([note("a", 0.1), note("a", 0.2), note("b", 0.3)])] == [0.2, 0.3]
    assert pace.due([note("a", 0.4)]) == ()


def test_a_nearly_full_disk_refuses_and_a_full_one_for_a_while(tmp_path: Path) -> None:
    Space((tmp_path,), 0).check()
    with pytest.raises(Unavailable, match="reserve"):
        Space((tmp_path,), 1 << 62).check()
    space = Space((tmp_path,), 0)
    space.filled()
    with pytest.raises(Unavailable, match="full"):
        space.check()


def test_a_full_disk_is_known_by_its_error() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "no space"))
    assert not is_disk_full(OSError(errno.EACCES, "no"))


async def test_a_full_sqlite_file_refuses_submissions_and_works_again_when_space_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Space, "FULL_FOR_S", 0.1)
    async with hands(f"sqlite:///{tmp_path / 'full.sqlite3'}", tmp_path / "blobs") as mesh:
        accepted = [(await mesh.submit("a")).task.id]
        await _limit_pages(mesh, 60)
        refusals = 0
        for _ in range(40):
            found = await asyncio.gather(*(mesh.submit("ask " + "x" * 800) for _ in range(4)), return_exceptions=True)
            accepted += [one.task.id for one in found if not isinstance(one, BaseException)]
            refusals += sum(isinstance(one, Unavailable) for one in found)
            assert all(isinstance(one, Unavailable) for one in found if isinstance(one, BaseException))
        assert refusals
        assert len(await mesh.ledger.list_tasks(limit=1000)) == len(accepted)
        await _limit_pages(mesh, 100_000)

        async def accepted_again() -> bool:
            try:
                return bool(await mesh.submit("a"))
            except Unavailable:
                return False

        assert await until(accepted_again)


async def _limit_pages(mesh, pages: int) -> None:  # type: ignore[no-untyped-def]  # reaches into the store
    """Let the database grow to so many pages; SQLite says FULL beyond them, as it does on a full disk."""
    await mesh.ledger._store.write(lambda tx: tx.conn.exec_driver_sql(f"PRAGMA max_page_count={pages}").all())


def test_the_clock_follows_the_databases_by_the_middle_of_the_question() -> None:
    clock, now = Clock(), time.time()
    clock.follow(now, now + 100.1, now + 0.2)
    assert abs(clock.now() - time.time() - 100.0) < 0.001


def test_a_clock_reading_during_which_the_process_stood_still_is_not_believed() -> None:
    clock, now = Clock(), time.time()
    clock.follow(now, now + 100.0, now)
    clock.follow(now, now, now + 5.0)  # frozen between the database's answer and the look at our own clock
    assert abs(clock.now() - time.time() - 100.0) < 0.001
