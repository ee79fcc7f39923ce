"""The network between a runner and the control plane, as a process that can be frozen: a plain TCP relay.

``python -m chaos.link <listen-port> <to-port>``. While it is stopped, what either side has sent stays on its way; once
it goes on, requests arrive that their sender has long given up. That is how a completion comes after its lease.
"""

import asyncio
import sys

_CHUNK = 1 << 16


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until either side ends, then close the other."""
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass  # one side is gone; closing tells the other
    finally:
        writer.close()


async def relay(listen: int, to: int) -> None:
    """Serve until killed."""
    open_pumps: set[asyncio.Future[tuple[None, None]]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        except OSError:
            writer.close()
            return
        pumps = asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        open_pumps.add(pumps)
        pumps.add_done_callback(open_pumps.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", listen)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), int(sys.argv[2])))
