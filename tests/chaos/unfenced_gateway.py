"""The control plane with the fencing check off: the same seeds must turn red on it, or the checker proves nothing.

``python -m chaos.unfenced_gateway``. No configuration can do this; only this module can.
"""

from typing import Any, Self

from concilium.gateway import __main__ as process
from concilium.gateway import app
from concilium.ledger import Ledger


class UnfencedLedger(Ledger):
    """A ledger that accepts an outcome under any fence."""

    @classmethod
    async def open(cls, *args: Any, **options: Any) -> Self:
        """Open with the check off; everything else as `Ledger.open`."""
        return await super().open(*args, **{**options, "check_fence": False})


if __name__ == "__main__":
    app.Ledger = UnfencedLedger  # type: ignore[attr-defined]  # the one place where the production class is replaced
    process.main()
