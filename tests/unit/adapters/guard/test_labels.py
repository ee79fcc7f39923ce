"""The guard's labelled requests are what they were before the matcher was written."""

import hashlib
import json
from collections import Counter
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "data" / "guard"
FROZEN = {
    "paradigms.json": "75861024719dfbfe438211ff0bde659bd479d17ea00aa2bec7b523f0f73c9649",
    "requests.jsonl": "8bfc51ffcc00b9df298cb352cd585ee89402a4e6ad583471dd462a503f879b9f",
}


def test_the_labelled_requests_are_frozen() -> None:
    assert {name: hashlib.sha256((DATA / name).read_bytes()).hexdigest() for name in FROZEN} == FROZEN


def test_there_are_four_hundred_and_more_half_of_them_russian_and_none_denied_is_labelled_private() -> None:
    cases = [json.loads(line) for line in (DATA / "requests.jsonl").read_text(encoding="utf-8").splitlines()]
    languages = Counter(case["lang"] for case in cases)
    assert len(cases) >= 400
    assert languages["ru"] == languages["en"]
    denied = [case for case in cases if any(tag.startswith("denied:") for tag in case["tags"])]
    assert {case["label"] for case in denied} == {"accepted"}
