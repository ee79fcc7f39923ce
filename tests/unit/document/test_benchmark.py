"""The benchmark of reading documents, at its smallest."""

import asyncio

from benchmarks.document import measure_all


def test_every_kind_of_document_is_measured() -> None:
    found = asyncio.run(measure_all(0.004))
    assert [one.pages for one in found] == [1, 2, 2, 1, 1]
    assert all(one.usage.peak_mib > 0 for one in found)
