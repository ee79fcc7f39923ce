"""``python -m concilium.nodes.home_end``: hold home's end of every link."""

import sys

from concilium.home import Home
from concilium.nodes.home_end.control_plane import ControlPlane
from concilium.nodes.home_end.link import HomeLink
from concilium.nodes.process import run, until_terminated


async def serve(home: Home) -> None:
    """Serve until SIGTERM. Raises as `HomeLink.run`."""
    control = ControlPlane(home.control_url, home.key_file("runner"))
    try:
        await until_terminated(HomeLink(home, control).run())
    finally:
        await control.close()


if __name__ == "__main__":
    sys.exit(run(serve))
