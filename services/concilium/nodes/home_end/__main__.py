"""``python -m concilium.nodes.home_end``: hold home's end of every link."""

import asyncio
import logging
import signal
import sys

from concilium.contracts.errors import ConciliumError
from concilium.home import Home, keep_private
from concilium.logs import configure
from concilium.nodes.home_end.control_plane import ControlPlane
from concilium.nodes.home_end.link import HomeLink


async def serve(home: Home) -> None:
    """Serve until SIGTERM. Raises as `HomeLink.run`."""
    control = ControlPlane(home.control_url, home.key_file("runner"))
    link = asyncio.create_task(HomeLink(home, control).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, link.cancel)
    try:
        await link
    except asyncio.CancelledError:
        return
    finally:
        await control.close()


def main() -> int:
    """Hold the links; 2 when that cannot be done."""
    keep_private()
    home = Home.find()
    try:
        configure(home.config.log, libraries=logging.WARNING)
        asyncio.run(serve(home))
    except ConciliumError as error:
        print(f"link: {error.detail}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
