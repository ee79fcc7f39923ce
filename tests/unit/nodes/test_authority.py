"""Certificates say what their holder may be, and keys stay where they were made."""

import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from concilium.contracts.base import utc_now
from concilium.contracts.errors import Conflict, Invalid
from concilium.home import Home
from concilium.keyring import write_private
from concilium.nodes import authority as room
from concilium.nodes.authority import Authority, Role, certificate_from, issued_by, peer_of, read_certificate, request
from concilium.nodes.node_end.membership import accept
from concilium.nodes.token import read_token
from support.guests import Enrol, Invite


def test_a_certificate_names_home_a_node_or_an_invitation_and_nothing_else(authority: Authority) -> None:
    home = peer_of(read_certificate(authority.folder / "link.pem"))
    assert (home.role, home.name) == (Role.HOME, "")
    key = Ed25519PrivateKey.generate()
    pem, until = authority.certify_node("vps-1", key.public_key())
    node = peer_of(certificate_from(pem))
    assert (node.role, node.name, node.invitation) == (Role.NODE, "vps-1", "")
    assert node.fingerprint == room.fingerprint_of(key.public_key())
    assert timedelta(days=6) < until - utc_now() <= room.NODE_LIFE
    _, certificate = authority.certify_invitation("vps-1", "inv_1")
    assert (peer_of(certificate).role, peer_of(certificate).invitation) == (Role.INVITATION, "inv_1")
    with pytest.raises(Invalid):
        peer_of(authority.certificate)


def test_keys_can_be_read_by_their_owner_alone_and_are_made_once(authority: Authority) -> None:
    before = {path.name: path.read_bytes() for path in authority.folder.iterdir()}
    authority.ensure()
    assert {path.name: path.read_bytes() for path in authority.folder.iterdir()} == before
    for name in ("mesh-ca.key", "link.key"):
        assert stat.S_IMODE((authority.folder / name).stat().st_mode) == 0o600


def test_first_invitations_at_once_make_one_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = Barrier(2)

    def write_together(path: Path, text: str) -> None:
        with suppress(BrokenBarrierError):  # nobody else is making one
            together.wait(0.5)
        write_private(path, text)

    monkeypatch.setattr(room, "write_private", write_together)
    made = Authority(tmp_path / "keys")
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(made.ensure) for _ in range(2)]:
            done.result()
    assert made.certificate.public_key() == room.read_key(made.key_path).public_key()
    assert issued_by(read_certificate(made.folder / "link.pem"), made.certificate)


def test_homes_certificate_is_replaced_in_time_and_its_key_stays(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = authority.folder / "link.pem", (authority.folder / "link.key").read_bytes()
    before = path.read_bytes()
    for days, renewed in ((9, False), (11, True)):
        later = utc_now() + timedelta(days=days)
        monkeypatch.setattr(room, "utc_now", lambda later=later: later)
        authority.ensure()
        assert (path.read_bytes() != before) is renewed
    assert (authority.folder / "link.key").read_bytes() == key


def test_a_node_takes_only_a_certificate_of_its_own_key_and_mesh(
    authority: Authority, foreign: Authority, enrol: Enrol
) -> None:
    node = enrol(signed=False)
    own = room.requested_key(node.signing_request().csr)
    for pem in (
        foreign.certify_node("vps-1", own)[0],
        authority.certify_node("vps-2", own)[0],
        authority.certify_node("vps-1", Ed25519PrivateKey.generate().public_key())[0],
        (authority.folder / "link.pem").read_text(),
        "no certificate",
    ):
        with pytest.raises(Invalid):
            node.certify(pem)
        assert not node.enrolled
    node.certify(authority.certify_node("vps-1", own)[0])
    assert node.enrolled


def test_a_request_without_its_own_signature_or_of_another_kind_of_key_is_refused() -> None:
    good = request(Ed25519PrivateKey.generate())
    assert room.requested_key(good)
    for bad in ("", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"):
        with pytest.raises(Invalid):
            room.requested_key(bad)


def test_what_a_joining_machine_keeps_of_home_is_the_authoritys_certificate(
    authority: Authority, invite: Invite, tmp_path: Path
) -> None:
    _, token = invite()
    known = accept(Home(tmp_path / "vps", {}), read_token(token), "127.0.0.1:1")
    pem, _ = authority.certify_node("vps-1", room.requested_key(known.signing_request().csr))
    known.certify(pem)
    kept = {path.name for path in (tmp_path / "vps" / "keys").iterdir()}
    assert kept == {"mesh-authority.pem", "node.key", "node.pem", "mesh.key"}
    assert issued_by(read_certificate(tmp_path / "vps" / "keys" / "node.pem"), authority.certificate)


def test_a_home_of_a_mesh_or_of_another_node_does_not_join(invite: Invite, enrol: Enrol, tmp_path: Path) -> None:
    _, token = invite(name="vps-9")
    mesh = Home(tmp_path / "mesh", {})
    mesh.keys.mkdir(parents=True)
    (mesh.keys / "admin.key").write_text("ck_\n")
    with pytest.raises(Conflict, match="home of a mesh"):
        accept(mesh, read_token(token), "")
    enrol("vps-1")
    with pytest.raises(Conflict, match="is node 'vps-1' already"):
        accept(Home(tmp_path / "vps-1", {}), read_token(token), "")
