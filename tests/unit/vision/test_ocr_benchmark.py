"""The measurement of reading: its error rate, its pages, and going on after a break."""

import random
from pathlib import Path

import numpy
import pytest
from benchmarks import cer, ocr, ocr_pages

from .drawing import needs_dejavu, page


@pytest.mark.parametrize(
    ("told", "true", "count"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("счёт", "счет", 1),
        ("ab", "ba", 2),
        ("a b", "ab", 1),
    ],
)
def test_edits_are_insertions_deletions_and_substitutions(told: str, true: str, count: int) -> None:
    assert cer.edits(told, true) == cer.edits(true, told) == count


def test_the_rate_weighs_every_character_the_same() -> None:
    assert cer.rate([(1, 10), (0, 90)]) == 0.01
    assert cer.rate([]) == 0


def test_white_space_of_any_kind_counts_as_one_blank() -> None:
    assert cer.normal(" a\n\tb  c ") == "a b c"


@needs_dejavu
def test_pages_are_always_the_same_and_hold_what_is_written_on_them() -> None:
    (first, text), (again, same) = (ocr.Job("Russian", 5).drawn() for _ in range(2))
    assert (first.tobytes(), text) == (again.tobytes(), same)
    assert len(text) > 100
    assert "{" not in text


@needs_dejavu
@pytest.mark.parametrize("kind", ["noise", "skew", "blur", "jpeg"])
def test_damage_grows_with_its_strength(kind: str) -> None:
    clean = page("The harbour was quiet")
    off = []
    for strength in (1, 2, 3):
        spoilt = ocr_pages.damaged(clean, ocr_pages.Condition(kind, strength), random.Random(1))
        if kind == "skew":
            off.append(float(spoilt.height))
        else:
            off.append(float(numpy.abs(numpy.asarray(spoilt, float) - numpy.asarray(clean, float)).mean()))
    assert off == sorted(off)
    assert len(set(off)) == 3


def test_every_condition_has_as_many_pages() -> None:
    conditions = [ocr.Job("English", number).condition for number in range(208)]
    assert {conditions.count(condition) for condition in ocr_pages.CONDITIONS} == {16}


def test_a_run_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    job, result = ocr.Job("English", 3), ocr.Result(2, 100, 0.5, refused=False)
    ocr.Kept(tmp_path).put(job, ocr.TESSERACT, result)
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"key": "cut sh')
    kept = ocr.Kept(tmp_path)
    assert kept.get(job, ocr.TESSERACT) == result
    assert kept.get(job, ocr.OURS) is None
