"""Makes what the tests of model-asking skills need: an environment with PyTorch, and two small models trained here.

python scripts/models_env.py          makes what is absent, prints where it is
python scripts/models_env.py --lock   resolves requirements-models.txt again
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "services"), str(ROOT / "tests")]

from support.served_models import environment, trained  # noqa: E402 - found through the path set above


def main() -> int:
    """Do what is asked and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", action="store_true", help="resolve requirements-models.txt again")
    try:
        if parser.parse_args().lock:
            environment.MODELS.lock()
        else:
            prepare()
    except environment.CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def prepare() -> None:
    """Make the environment, then both models at once: each is trained on one core."""
    environment.MODELS.python()
    with ThreadPoolExecutor() as pool:
        for found in pool.map(trained.model, (trained.VISION, trained.CODE)):
            print(f"{found}: {' '.join((found / 'report.json').read_text().split())}")


if __name__ == "__main__":
    sys.exit(main())
