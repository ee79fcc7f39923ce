"""``python -m concilium.runner``: serve every agent of ``CONCILIUM_HOME`` from its queues."""

import logging
import sys

from concilium import tracing
from concilium.contracts.errors import ConciliumError
from concilium.home import Home, keep_private
from concilium.keyring import check_files
from concilium.logs import configure
from concilium.runner.worker import serve


def main() -> int:
    """Serve until SIGTERM; 2 when the home cannot be served, 75 when the consumer went deaf."""
    keep_private()
    home = Home.find()
    try:
        configure(home.config.log, libraries=logging.WARNING)
        check_files(home.keys)
        with tracing.exporting(home.config.tracing, "concilium-runner", home.config.runner.node):
            return serve(home)
    except ConciliumError as error:
        print(f"runner: {error.detail}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
