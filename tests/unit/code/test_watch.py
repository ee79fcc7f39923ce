"""What the watcher counts, against processes and files it can see itself."""

import os
from pathlib import Path

from concilium.workers.code.sandbox.warden import files, watch


def test_a_folder_counts_its_files_and_those_deleted_but_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes([1]) * 100_000)
    before, _ = watch.folder_use(str(tmp_path), [])
    assert before >= 100_000
    with (tmp_path / "gone").open("wb") as file:
        file.write(bytes([1]) * 500_000)
        file.flush()
        (tmp_path / "gone").unlink()
        me = [process for process in watch.processes() if process.pid == os.getpid()]
        with_deleted, _ = watch.folder_use(str(tmp_path), me)
    assert with_deleted - before >= 500_000


def test_a_sparse_file_counts_what_it_holds(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    used, count = watch.folder_use(str(tmp_path), [])
    assert used < 1 << 20
    assert count == 1


def test_memory_is_the_resident_size_below_the_limit_and_exact_above() -> None:
    me = [process for process in watch.processes() if process.pid == os.getpid()]
    assert watch.memory(me, 1 << 40) == me[0].resident
    assert 0 < watch.memory(me, 1) <= me[0].resident * 1.1


def test_unpacked_files_are_not_collected_again_unless_changed(tmp_path: Path) -> None:
    given = files.unpack(str(tmp_path), [("work", "a", b"1"), ("work", "b", b"2"), ("script", "main.py", b"")], None)
    (tmp_path / "work" / "b").write_bytes(b"3")
    (tmp_path / "out" / "c").write_bytes(b"")
    collected = files.collect(str(tmp_path), given, files_max=10, bytes_max=10)
    assert collected.files == [("c", b""), ("b", b"3")]
    assert collected.omitted == []
