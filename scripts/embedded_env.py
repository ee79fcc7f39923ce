"""Makes what the tests of the embedded engine need: an environment with PyTorch and this project's own packages.

python scripts/embedded_env.py          makes it when it is absent
python scripts/embedded_env.py --lock   resolves pyproject.toml's extra `embedded` again
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "services"), str(ROOT / "tests")]

from support.served_models import environment  # noqa: E402 - found through the path set above


def main() -> int:
    """Do what is asked and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", action="store_true", help="resolve the extra again")
    try:
        if parser.parse_args().lock:
            environment.EMBEDDED.lock()
        else:
            environment.EMBEDDED.python()
    except environment.CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
