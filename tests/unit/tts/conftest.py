"""What the tests of speech share: the skill as the runtime calls it, and a look into the sound it made."""

import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.workers.runtime.skill import Report, SkillContext, SkillResult
from concilium.workers.tts import skills

ROOT = Path(__file__).resolve().parents[3]
SETTINGS: dict[str, JSON] = yaml.safe_load((ROOT / "agents" / "tts" / "agent.yaml").read_text())["settings"]
Say = Callable[..., Awaitable[SkillResult]]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """``tts.speak`` with the shipped settings, changed as the test likes."""

    async def run(
        *,
        settings: dict[str, JSON] | None = None,
        engine: EngineConfig | None = None,
        files: dict[str, bytes] | None = None,
        report: Report | None = None,
        **data: JSON,
    ) -> SkillResult:
        more: dict[str, Any] = {"report": report} if report else {}
        context = SkillContext("t.s.1", files or {}, {**SETTINGS, **(settings or {})}, tmp_path / "run", engine, **more)
        return await skills["tts.speak"](context, data)

    return run


def samples_of(result: SkillResult) -> tuple[int, Any]:
    """Return the rate and the samples (between -1 and 1) of a result's file."""
    samples, rate = soundfile.read(io.BytesIO(result.files[0].data), dtype="float64")
    return rate, np.asarray(samples)
