"""`concilium nodes join` and what it says when it cannot."""

import socket
from pathlib import Path

import pytest

from concilium.cli import joining
from concilium.cli.app import run
from concilium.cli.errors import CliError
from concilium.cli.joining import join_mesh
from concilium.contracts.errors import Conflict
from concilium.home import Home
from concilium.nodes.node_end.membership import accept
from concilium.nodes.token import read_token
from support.guests import Enrol, Invite


@pytest.fixture(autouse=True)
def keep_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the umask and the logging of this process as they are."""
    monkeypatch.setattr(joining, "keep_private", lambda: None)
    monkeypatch.setattr(joining, "configure", lambda *_, **__: None)


def test_a_taken_port_costs_neither_the_token_nor_what_was_joined(invite: Invite, tmp_path: Path) -> None:
    _, token = invite()
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(CliError, match=f"cannot listen on {listen}") as refused:
            join_mesh(Home(tmp_path / "vps", {}), token, listen)
    assert "--listen" in refused.value.hint
    known = Home(tmp_path / "vps", {}).joined
    assert known is not None
    assert known.listen == listen


def test_a_machine_that_left_takes_a_new_invitation(
    enrol: Enrol, invite: Invite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol("vps-1")
    home = Home(tmp_path / "vps-1", {})
    again = read_token(invite(name="vps-1")[1])
    newer = again.model_copy(update={"invitation": "inv_newer"})
    with pytest.raises(Conflict, match="concilium nodes leave"):
        accept(home, newer, "")
    monkeypatch.setenv("CONCILIUM_HOME", str(home.root))
    assert run(["nodes", "leave"]) == 0
    assert not list(home.keys.iterdir())
    assert run(["nodes", "leave"]) == 1
    joined = accept(Home(home.root, {}), newer, "127.0.0.1:1")
    assert not joined.enrolled
    assert joined.joined.invitation == "inv_newer"
