"""Makes what the tests of adapters need: the environment with PyTorch, and PEFT beside it; prints where they are."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "services"), str(ROOT / "tests")]

from support import peft  # noqa: E402 - found through the path set above
from support.served_models import environment  # noqa: E402 - as above


def main() -> int:
    """Make it and return the exit status."""
    try:
        print(f"{environment.MODELS.python()}\n{peft.packages()}")
    except environment.CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
