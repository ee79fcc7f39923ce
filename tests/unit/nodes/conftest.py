"""One mesh's authority, another's, and machines that were invited."""

from pathlib import Path

import pytest

from concilium.contracts.nodes import Node
from concilium.home import Home
from concilium.nodes.authority import Authority, requested_key
from concilium.nodes.node_end.membership import Membership, accept
from concilium.nodes.token import make_token, read_token
from support.guests import Enrol, Invite, invited


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "home" / "keys")
    made.ensure()
    return made


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    """The authority of another mesh."""
    made = Authority(tmp_path / "other" / "keys")
    made.ensure()
    return made


@pytest.fixture
def invite(authority: Authority) -> Invite:
    """Return a node and its token."""

    def make(by: Authority = authority, **terms: object) -> tuple[Node, str]:
        node = invited(**terms)  # type: ignore[arg-type]
        return node, make_token(by, node)

    return make


@pytest.fixture
def enrol(authority: Authority, invite: Invite, tmp_path: Path) -> Enrol:
    """Return a machine that has enrolled."""

    def make(name: str = "vps-1", *, by: Authority = authority, signed: bool = True, **terms: object) -> Membership:
        node, token = invite(by, name=name, **terms)
        known = accept(Home(tmp_path / name, {}), read_token(token), node.address)
        if signed:
            pem, _ = by.certify_node(name, requested_key(known.signing_request().csr))
            known.certify(pem)
        return known

    return make
