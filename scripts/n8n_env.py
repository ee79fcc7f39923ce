"""Installs every supported n8n from its lock file, into the cache that `concilium up --n8n` uses.

python scripts/n8n_env.py          installs what is absent, prints where it is
python scripts/n8n_env.py --lock   resolves infra/n8n/*/package.json again
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "services"))

from concilium.cli.errors import CliError  # noqa: E402 - found through the path set above
from concilium.cli.n8n.cache import run_watched  # noqa: E402
from concilium.cli.n8n.install import install, versions  # noqa: E402
from concilium.cli.n8n.node import node_for  # noqa: E402


def main() -> int:
    """Do what is asked and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", action="store_true", help="resolve the versions again")
    try:
        if parser.parse_args().lock:
            for source in sorted((ROOT / "infra" / "n8n").glob("*/package.json")):
                lock(source)
        else:
            # One core each: npm unpacks on one, and compiles on one.
            with ThreadPoolExecutor() as pool:
                for installed in pool.map(install, versions()):
                    print(installed.program, flush=True)
    except CliError as error:
        print(error.message, error.hint, file=sys.stderr)
        return 1
    return 0


def lock(source: Path) -> None:
    """Write the lock file beside a package.json, without addresses, so that any registry serves; what fits stays."""
    node = node_for(json.loads(source.read_bytes())["concilium"]["node"])
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        shutil.copyfile(source, work / "package.json")
        if source.with_name("package-lock.json").is_file():
            shutil.copyfile(source.with_name("package-lock.json"), work / "package-lock.json")
        options = ("--package-lock-only", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund")
        environ = {**node.environ, "npm_config_omit_lockfile_registry_resolved": "true"}
        run_watched((*node.npm, "install", *options), work / "log", f"resolving {source}", environ, cwd=work)
        shutil.copyfile(work / "package-lock.json", source.with_name("package-lock.json"))


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
