"""A control plane of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_plane import ControlPlane
from support.ports import free_port


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of the test's own, not started: the test says with which settings."""
    prepared = ControlPlane(tmp_path / "home", free_port(), {})
    yield prepared
    prepared.stop()
