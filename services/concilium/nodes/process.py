"""How either end of the links runs as a process of its own."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine

from concilium.contracts.errors import ConciliumError
from concilium.home import Home, keep_private
from concilium.logs import configure


async def until_terminated(link: Coroutine[None, None, None]) -> None:
    """Hold a link until SIGTERM. Raises as the link."""
    held = asyncio.create_task(link)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, held.cancel)
    try:
        await held
    except asyncio.CancelledError:
        return


def run(serve: Callable[[Home], Coroutine[None, None, None]]) -> int:
    """Serve this home; return the exit code: 2 when that cannot be done."""
    keep_private()
    home = Home.find()
    try:
        configure(home.config.log, libraries=logging.WARNING)
        asyncio.run(serve(home))
    except ConciliumError as error:
        print(f"link: {error.detail}", file=sys.stderr)
        return 2
    return 0
