"""The Compose stack on a real Docker engine, as `make compose-check` runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 3600


@pytest.mark.timeout(WITHIN_S)
def test_everything_that_compose_check_looks_at_is_as_it_should_be() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, for a Docker daemon of its own")
    done = subprocess.run(
        [sys.executable, "-m", "tests.compose"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
