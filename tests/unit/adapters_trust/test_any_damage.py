"""Damage that nobody thought of: any byte of any file flipped, and a process killed in the middle of a write."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concilium.adapters.trust import TrustRefused, import_from
from support.trust import Mesh, write_bundle

FILES = ("timestamp.json", "snapshot.json", "targets.json", "root.json")


class Parcel:
    """A home, and an index for it that is newer and has a newer root."""

    def __init__(self, folder: Path) -> None:
        self.mesh = Mesh(folder)
        before = self.mesh.state_file.read_bytes()
        root = self.mesh.rotated("index")
        target = self.mesh.target_of(write_bundle(folder / "other", "cooking", "1.0.0"))
        self.folder = self.mesh.parcel(self.mesh.next_index(target), root)
        self.before = before

    def names(self, kind: str) -> Path:
        """The newest file of a kind."""
        return max(self.folder.glob(f"*{kind}"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def parcel() -> Iterator[Parcel]:
    with tempfile.TemporaryDirectory() as folder:
        yield Parcel(Path(folder))


def flipped(path: Path, at: float, bit: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1 << bit
    return bytes(data)


WHERE = st.floats(min_value=0, max_value=1, exclude_max=True)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(FILES), at=WHERE, bit=st.integers(0, 7))
def test_an_index_with_any_flipped_byte_is_refused_and_what_was_believed_stays(
    parcel: Parcel, kind: str, at: float, bit: int
) -> None:
    mesh, path = parcel.mesh, parcel.names(kind)
    mesh.state_file.write_bytes(parcel.before)
    before, whole = mesh.state.load(), path.read_bytes()
    path.write_bytes(flipped(path, at, bit))
    try:
        with pytest.raises(TrustRefused):
            import_from(mesh.state, parcel.folder, mesh.now)
    finally:
        path.write_bytes(whole)
    after = mesh.state.load()
    assert after.index in {before.index, None}
    assert after.roots[0] == before.roots[0]
    assert kind != "root.json" or after.root == before.root


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=WHERE, bit=st.integers(0, 7))
def test_what_is_believed_is_never_read_with_a_flipped_byte(parcel: Parcel, at: float, bit: int) -> None:
    mesh = parcel.mesh
    mesh.state_file.write_bytes(parcel.before)
    mesh.state_file.write_bytes(flipped(mesh.state_file, at, bit))
    with pytest.raises(TrustRefused):
        mesh.state.load()


WRITER = """
import sys
from pathlib import Path
from concilium.adapters.trust import TrustState, import_from
from support.trust import NOW
state = TrustState(Path(sys.argv[1]))
trusted = state.load()
print("ready", flush=True)
while True:
    import_from(state, Path(sys.argv[2]), NOW)
    with state.changing():
        state.store(trusted)
"""


def test_a_process_killed_in_the_middle_of_updates_leaves_one_whole_belief(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    target = mesh.target_of(write_bundle(tmp_path / "other", "cooking", "1.0.0"))
    folder, old = mesh.parcel(mesh.next_index(target)), mesh.state.load()
    import_from(mesh.state, folder, mesh.now)
    new = mesh.state.load()
    for changes in range(1, 9):
        with mesh.state.changing():
            mesh.state.store(old)
        command = [sys.executable, "-c", WRITER, str(mesh.state.folder), str(folder)]
        path = os.pathsep.join(sys.path)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path})
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(changes):  # it has replaced the file so often, and is about to do so again
            seen = mesh.state_file.stat().st_ino
            while mesh.state_file.stat().st_ino == seen:
                assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with mesh.state.changing():  # nobody holds the lock any more
            found = mesh.state.load()
        assert found.index in {old.index, new.index}
        import_from(mesh.state, folder, mesh.now)
        assert mesh.state.load() == new
