"""What ``concilium nodes join`` and ``leave`` do on the machine that becomes a node, or was one."""

import asyncio
import logging

from concilium.cli import lifecycle, supervisor
from concilium.cli.errors import CliError
from concilium.cli.output import note
from concilium.contracts.config import LogConfig
from concilium.contracts.errors import ConciliumError, Invalid
from concilium.contracts.nodes import Dial, split_address
from concilium.home import Home, keep_private
from concilium.logs import configure


def leave_mesh(home: Home) -> str:
    """Forget the mesh that this machine has joined, its key too; return the node's name there.

    Raises `CliError` when it has joined none, or runs.
    """
    from concilium.nodes.node_end.membership import membership  # noqa: PLC0415 - as below

    known = membership(home)
    if known is None:
        raise CliError(f"{home.root} has joined no mesh")
    if lifecycle.running(home) is not None:
        raise CliError(f"{home.root} runs", "stop it first: `concilium service uninstall`, or `concilium down`")
    known.leave()
    return known.joined.name


def join_mesh(home: Home, token: str, listen: str) -> int:
    """Enrol unless that was done before, then keep agents and link running until told to stop; return the exit code.

    Raises:
        CliError: there is nothing to join with, home refused, or a port is taken.
        ConciliumError: the token or this home is not fit for it.
    """
    # Certificates take a moment to import that no other command should wait for.
    from concilium.nodes.node_end.enrol import enrol  # noqa: PLC0415
    from concilium.nodes.node_end.membership import Membership, accept, membership  # noqa: PLC0415
    from concilium.nodes.token import check_fresh, read_token  # noqa: PLC0415

    keep_private()
    configure(LogConfig(level="warning", json_lines=False), libraries=logging.WARNING)
    if lifecycle.running(home) is not None:
        raise CliError(f"{home.root} runs already", "`concilium down` stops it")
    known: Membership | None = membership(home)
    read = read_token(token) if token else None
    if read and not (known and known.enrolled and known.joined.invitation == read.invitation):
        check_fresh(read)
        port = split_address(read.address)[1]
        known = accept(home, read, (listen or f"0.0.0.0:{port}") if read.dial is Dial.HOME else "")
    if known is None:
        raise CliError(f"{home.root} has joined no mesh", "run `concilium nodes join TOKEN` with a token from home")
    found = Home(home.root, home.environ)
    if not known.enrolled:
        note(f"Joining as '{known.joined.name}'; waiting for home")
        try:
            asyncio.run(enrol(known))
        except Invalid as error:  # nobody has seen the token yet: it is good still
            raise CliError(
                error.detail, "free it, or name another with --listen HOST:PORT; the same token will do"
            ) from error
        except ConciliumError as error:
            known.leave()
            raise CliError(f"home did not take this machine in: {error.detail}", "ask for another token") from error
    lifecycle.prepare_node(found)
    note(
        f"This is node '{known.joined.name}' with {', '.join(known.joined.agents)}; "
        f"logs in {found.logs}; Ctrl-C stops it"
    )
    return supervisor.main()
