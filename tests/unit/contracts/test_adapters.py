"""The words of adapters: what names one, and what a report may conclude."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from concilium.contracts.adapters import (
    Alias,
    InBoth,
    Reference,
    VerifyReport,
    digest_of,
    served_name,
    version_key,
)
from concilium.contracts.errors import Invalid


@pytest.mark.parametrize(("text", "alias"), [("sport@1.2.0", False), ("sport@live", True), ("a-1@canary", True)])
def test_a_reference_is_read_as_it_is_written(text: str, alias: bool) -> None:
    found = Reference.parse(text)
    assert str(found) == text
    assert found.is_alias is alias
    assert found.at in set(Alias) or not alias


@pytest.mark.parametrize(
    "text",
    [
        "sport", "sport@", "@live", "Sport@live", "sport@latest", "sport@1.2", "sport@1.2.0.0", "sport@01.2.0",
        "sport@1.2.0-beta", "sport@1.2.0\n", "sport@live ", "спорт@live", "1sport@live", "a" * 64 + "@live",
        "../sport@live", "sport@\u0661.2.0", "sport@9999999999.0.0",
    ],
)  # fmt: skip
def test_what_names_no_adapter_is_refused_with_the_ways_to_write_one(text: str) -> None:
    with pytest.raises(Invalid, match=r"sport@1\.2\.0, sport@live or sport@canary"):
        Reference.parse(text)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    with suppress(Invalid):
        assert str(Reference.parse(text)) == text


def test_versions_are_ordered_by_their_numbers() -> None:
    ordered = ["0.9.0", "1.2.0", "1.2.9", "1.2.10", "1.10.0", "2.0.0"]
    assert all(version_key(one) < version_key(other) for one, other in pairwise(ordered))


def test_a_served_name_changes_with_the_bytes() -> None:
    names = {served_name("sport", "1.2.0", digest_of(manifest)) for manifest in (b"{}", b"{ }")}
    assert len(names) == 2
    assert all(name.startswith("sport@1.2.0+") and len(name) == 24 for name in names)


@pytest.mark.parametrize(
    ("verdict", "gates", "fits"),
    [
        ("PASS", ["PASS", "PASS"], True),
        ("PASS", ["PASS", "INSUFFICIENT"], False),
        ("PASS", ["ERROR"], False),
        ("PASS", [], False),
        ("INSUFFICIENT", [], True),
        ("FAIL", ["PASS"], True),
    ],
)
def test_a_report_is_no_better_than_its_gates(verdict: str, gates: list[str], fits: bool) -> None:
    report = {"verdict": verdict, "gates": [{"name": f"gate-{at}", "verdict": one} for at, one in enumerate(gates)]}
    if fits:
        VerifyReport.model_validate(report)
        return
    with pytest.raises(ValidationError, match="each of them does"):
        VerifyReport.model_validate(report)


@pytest.mark.parametrize("text", ["", "  ", "…", "a\u202eb", "a\u200bb", "a\x1b[2Jb", "a\ud800"])
def test_a_warning_is_words_that_a_reader_sees(text: str) -> None:
    with pytest.raises(ValidationError):
        InBoth(en="Fine", ru=text)
