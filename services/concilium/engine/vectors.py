"""Embeddings on the wire of OpenAI's API."""

import math
from typing import Any

from concilium.contracts.base import JSON
from concilium.contracts.limits import MIB
from concilium.engine.errors import EngineError

LARGEST_BYTES = 64 * MIB
"""Largest answer accepted."""


def read(reply: JSON, count: int) -> list[list[float]]:
    """Return the vectors of an answer in the order of the texts.

    Raises:
        EngineError: there is not one finite vector for each of ``count`` texts, all of one length.
    """
    try:
        rows: Any = sorted(reply["data"], key=lambda row: row["index"])
        found = [[float(number) for number in row["embedding"]] for row in rows]
        indexes = [row["index"] for row in rows]
    except (LookupError, TypeError, ValueError) as error:
        raise EngineError("garbage", "the answer holds no embeddings") from error
    if indexes != list(range(count)) or len({len(vector) for vector in found}) > 1:
        raise EngineError("garbage", f"the answer does not hold {count} embeddings of one length")
    if not all(vector and all(map(math.isfinite, vector)) for vector in found):
        raise EngineError("garbage", "the answer holds an embedding that is empty or not finite")
    return found
