"""Makes what the tests of vLLM need: an environment with a real vLLM for CPUs, and the models it serves there.

python scripts/vllm_env.py           makes what is absent, prints where it is
python scripts/vllm_env.py --lock    resolves requirements-vllm.txt again
python scripts/vllm_env.py --flags   writes the flags of this vLLM into the package (see engine/flags.py)
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "services"), str(ROOT / "tests")]

from concilium.engine.flags import SHIPPED, of_installed  # noqa: E402 - found through the path set above
from support.served_models.environment import CannotPrepare  # noqa: E402
from support.vllm import environment, models  # noqa: E402


def main() -> int:
    """Do what is asked and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", action="store_true", help="resolve requirements-vllm.txt again")
    parser.add_argument("--flags", action="store_true", help="write down the flags of this vLLM")
    options = parser.parse_args()
    try:
        if options.lock:
            environment.ENVIRONMENT.lock()
        elif options.flags:
            found = of_installed(environment.program())
            plain = found.model_copy(update={"version": found.version.partition("+")[0]})
            SHIPPED.write_text(plain.model_dump_json(indent=1) + "\n", encoding="utf-8")
        else:
            print(environment.program())
            print(models.made())
    except CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
