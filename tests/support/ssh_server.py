"""An SSH server that gives one key nothing but a port on its loopback: a VPS as the way in needs it."""

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh


class _Guest(asyncssh.SSHServer):
    """Lets its guest open a port on the loopback, and nothing else."""

    def server_requested(self, listen_host: str, listen_port: int) -> bool | Awaitable[bool]:
        return listen_host == "127.0.0.1"


@dataclass(frozen=True)
class SshServer:
    """A running server and what a client needs to trust it and to be let in."""

    port: int
    folder: Path

    def tunnel(self, listen_port: int, home_port: int) -> list[str]:
        """Return the command, run at home, that opens a port of the server's loopback to a port at home."""
        options = ("-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15", "-o", "BatchMode=yes")
        trust = ("-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "GlobalKnownHostsFile=/dev/null")
        who = ("-F", "/dev/null", "-i", str(self.folder / "key"), "-o", "IdentitiesOnly=yes", "-p", str(self.port))
        way = ("-R", f"127.0.0.1:{listen_port}:127.0.0.1:{home_port}")
        return ["ssh", "-N", *options, *trust, *who, *way, "concilium@127.0.0.1"]


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Yield a server on a free port of the loopback, with a client key and the host's key in ``folder``."""
    host, guest = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    guest.write_private_key(str(folder / "key"))
    (folder / "key").chmod(0o600)
    guest.write_public_key(str(folder / "authorized_keys"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = asyncio.run_coroutine_threadsafe(_serve(host, folder / "authorized_keys"), loop).result(30)
    port = serving.get_port()
    known = host.export_public_key().decode().strip()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n")
    try:
        yield SshServer(port, folder)
    finally:
        asyncio.run_coroutine_threadsafe(_close(serving), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(host: asyncssh.SSHKey, guests: Path) -> asyncssh.SSHAcceptor:
    return await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=_Guest,
        server_host_keys=[host],
        authorized_client_keys=str(guests),
        password_auth=False,
    )


async def _close(serving: asyncssh.SSHAcceptor) -> None:
    serving.close()
    await serving.wait_closed()
