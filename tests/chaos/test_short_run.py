"""The short run of ``make chaos``: green on both databases, and red once the fencing check is off."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_a_short_run_loses_nothing_and_its_checker_notices_missing_fences(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--short", "--logs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert done.stdout.count("green;") == 2
    assert "red as it must be" in done.stdout
