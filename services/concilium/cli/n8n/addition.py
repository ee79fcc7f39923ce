"""n8n joins the mesh of a home, or leaves it: what ``concilium up --n8n`` and ``--no-n8n`` do."""

import os

from concilium.cli import lifecycle, pidfile
from concilium.cli.n8n.install import install
from concilium.cli.n8n.instance import NAME, address, furnish, launched, wait_live
from concilium.cli.processes import pid_file
from concilium.cli.supervisor import CHANGED, GRACE_S
from concilium.home import Home

__all__ = ["address", "settle", "wait_live"]


def settle(home: Home, mesh_url: str, *, wanted: bool | None) -> bool:
    """Bring n8n into the mesh of a home or take it out; return whether it belongs to it.

    Installs n8n when it is not there and imports what is new or changed. A mesh that runs takes it up at once.

    Args:
        home: the home.
        mesh_url: where n8n reaches the mesh.
        wanted: None leaves things as they are, and mends what is missing.

    Raises:
        CliError: n8n cannot be installed or refuses what it is given.
    """
    if wanted is False or (wanted is None and launched(home) is None):
        _leave(home)
        return False
    before = launched(home)
    installed = install(home.config.n8n.version)
    changed = furnish(home, installed, mesh_url)
    if before != installed:
        new = home.n8n_launch.with_suffix(".new")
        new.write_text(installed.dump(), encoding="utf-8")
        new.replace(home.n8n_launch)
    if before is None:
        # The control plane learns at its start of n8n's key and of where n8n may be called back.
        pidfile.stop(pid_file(home, "control"), GRACE_S)
    if changed:
        # n8n takes up imported workflows at its start.
        pidfile.stop(pid_file(home, NAME), GRACE_S)
    if before != installed:
        _tell_supervisor(home)
    return True


def _leave(home: Home) -> None:
    if home.n8n_launch.is_file():
        home.n8n_launch.unlink()
        pidfile.stop(pid_file(home, "control"), GRACE_S)
        _tell_supervisor(home)


def _tell_supervisor(home: Home) -> None:
    supervisor = lifecycle.running(home)
    if supervisor is not None:
        os.kill(supervisor, CHANGED)
