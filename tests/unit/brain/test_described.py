"""What the answer says of the skills whose output is no plain text."""

from typing import Any

import pytest

from concilium.brain.described import described
from concilium.contracts.states import StepState
from concilium.contracts.turn import StepRun

FINDING = {"file": "a.py", "line": 3, "column": 1, "code": "F821", "message": "Undefined name", "severity": "error"}
CASES = [
    {"name": "test_a", "outcome": "passed", "message": ""},
    {"name": "test_b", "outcome": "failed", "message": "assert 1 == 2\nmore"},
]
PICTURE = {"format": "PNG", "width": 1, "height": 2, "mode": "L", "bytes": 3}
COUNTS = {"passed": 1, "failed": 1, "errors": 0, "skipped": 0, "cases": CASES, "complete": True}


def said(skill: str, output: Any, language: str = "en") -> str:
    agent = skill.partition(".")[0]
    run = StepRun(step="s", attempt=1, agent=agent, skill=skill, state=StepState.COMPLETED, output=output)
    return described(run, language)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("skill", "output", "text"),
    [
        ("code.check", {"findings": [FINDING]}, "a.py:3:1 error: Undefined name (F821)"),
        ("code.check", {"findings": []}, "No mistakes found."),
        ("code.test", COUNTS, "tests: 1 passed, 1 failed, 0 with errors, 0 skipped\ntest_b: assert 1 == 2"),
        ("code.generate", {"source": "x = 1\n", "passed": True}, "x = 1\n\nAll given tests pass."),
        ("code.generate", {"source": "x = 1\n", "passed": None}, "x = 1\n\nIt was not tested: no tests were given."),
        ("vision.compare", {"summary": "They are the same.", "ssim": 1.0}, "They are the same."),
        ("vision.describe", {"text": "A cat.", "model": "m"}, "A cat."),
        (
            "vision.inspect",
            PICTURE | {"barcodes": [{"type": "QR", "text": "hi"}]},
            "PNG, 1 × 2 pixels, L, 3 bytes\nQR: hi",
        ),
        (
            "vision.inspect",
            PICTURE | {"frames": 4, "dpi": [72, 72], "colours": [{"hex": "#ff0000", "share": 0.5}]},
            "PNG, 1 × 2 pixels, L, 3 bytes\nframes: 4\nresolution: 72 × 72 dpi\ncolours: #ff0000 50%",
        ),
        (
            "vision.inspect",
            PICTURE | {"frames": 1, "private": ["place"]},
            "PNG, 1 × 2 pixels, L, 3 bytes\nprivate data in the file: place",
        ),
        (
            "document.extract",
            {"text": "Words", "page_count": 70, "notes": ["pages 64 to 70 were not recognised"]},
            "Words\npages: 70\nnote: pages 64 to 70 were not recognised",
        ),
        ("code.run", {"stdout": "done", "omitted": ["link"]}, "done\nnot returned: link"),
    ],
)  # fmt: skip
def test_an_output_is_told_in_words(skill: str, output: Any, text: str) -> None:
    assert said(skill, output) == text


def test_it_is_told_in_the_callers_language() -> None:
    assert said("code.check", {"findings": []}, "ru") == "Ошибок не найдено."


@pytest.mark.parametrize("skill", ["code.check", "code.test", "code.generate", "vision.inspect", "tts.speak"])
@pytest.mark.parametrize(
    "output", [None, [], {}, {"findings": 7, "cases": "x", "passed": "yes", "barcodes": [1], "notes": {}, "colours": 1}]
)
def test_an_output_of_another_shape_breaks_nothing(skill: str, output: Any) -> None:
    assert said(skill, output)
