"""Which mesh a machine belongs to: the files that joining writes into its own ``CONCILIUM_HOME``.

``node.json`` says what the machine is to be. ``keys/node.key`` is made here and never leaves: the key of the next
certificate that home signs. ``keys/node.pem`` is there once it has, with the key: what is shown on the link.
``keys/mesh-authority.pem`` is the only thing of home that is kept. ``keys/mesh.key`` is this machine's own: home shows
it to the agents here, and to no others.
"""

import secrets
import time
from contextlib import suppress
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from concilium.contracts.errors import Conflict, Invalid
from concilium.contracts.nodes import Joined
from concilium.home import Home
from concilium.keyring import write_private
from concilium.nodes.authority import (
    Role,
    certificate_from,
    fingerprint_of,
    issued_by,
    make_key,
    peer_of,
    pem_of,
    read_certificate,
    read_key,
    read_or_make_key,
    request,
    write_identity,
)
from concilium.nodes.talk import SigningRequest
from concilium.nodes.tls import Identity
from concilium.nodes.token import Token

AUTHORITY = "mesh-authority.pem"
_OWN, _INVITED = "node", "invitation"
_KEY_BYTES = 32
KEY_LIFE_S: Final = 30 * 24 * 3600
"""A key older than this is exchanged with its next certificate."""


class Membership:
    """A home that was invited, and perhaps enrolled."""

    def __init__(self, home: Home, joined: Joined) -> None:
        self._keys = home.keys
        self._home = home
        self.joined = joined
        self._own = Identity(home.keys, _OWN, AUTHORITY, own_clock=False)
        self._invited = Identity(home.keys, _INVITED, AUTHORITY, own_clock=False)

    @property
    def enrolled(self) -> bool:
        """Whether home has signed this machine's certificate."""
        return (self._keys / f"{_OWN}.pem").is_file()

    @property
    def identity(self) -> Identity:
        """What is shown on the link now."""
        return self._own if self.enrolled else self._invited

    def signing_request(self) -> SigningRequest:
        """Return what home is asked to sign: this machine's key, or a new one instead of one that is old.

        Home is asked for a new one again until it has signed it.
        """
        path = self._keys / f"{_OWN}.key"
        key = read_key(path)
        in_use = self.enrolled and _belongs(key, read_certificate(self._keys / f"{_OWN}.pem"))
        if in_use and time.time() - path.stat().st_mtime > KEY_LIFE_S:
            key = make_key(path)
        return SigningRequest(csr=request(key), agent_key=self._home.secret("mesh"))

    def certify(self, pem: str) -> None:
        """Keep a certificate that home has signed. Raises `Invalid` unless it is this machine's and the mesh's."""
        certificate = certificate_from(pem)
        peer, key = peer_of(certificate), read_key(self._keys / f"{_OWN}.key")
        if (peer.role, peer.name) != (Role.NODE, self.joined.name) or not _belongs(key, certificate):
            raise Invalid("the certificate is not of this node's key")
        if not issued_by(certificate, read_certificate(self._keys / AUTHORITY)):
            raise Invalid("the certificate is not signed by this node's mesh")
        write_identity(self._keys / f"{_OWN}.pem", key, certificate)
        (self._keys / f"{_INVITED}.pem").unlink(missing_ok=True)

    def leave(self) -> None:
        """Forget the mesh, so that this home can take another invitation."""
        (self._home.root / "node.json").unlink(missing_ok=True)
        for name in (f"{_OWN}.key", f"{_OWN}.pem", f"{_INVITED}.pem", AUTHORITY, "mesh.key"):
            with suppress(FileNotFoundError):
                (self._keys / name).unlink()


def _belongs(key: Ed25519PrivateKey, certificate: x509.Certificate) -> bool:
    return fingerprint_of(key.public_key()) == fingerprint_of(certificate.public_key())


def membership(home: Home) -> Membership | None:
    """Return what this home has joined, if it has."""
    return None if home.joined is None else Membership(home, home.joined)


def accept(home: Home, token: Token, listen: str) -> Membership:
    """Write what an invitation says into a home, before anybody is asked; the same invitation may be accepted again.

    Raises:
        Conflict: this home is a mesh's own, or has joined as something else.
        NotFound: an agent of the invitation has no folder here.
    """
    if (home.keys / "admin.key").exists() or (home.root / "ledger.sqlite3").exists():
        raise Conflict(f"{home.root} is the home of a mesh; name another folder with CONCILIUM_HOME")
    known = membership(home)
    if known is not None and known.joined.invitation != token.invitation:
        if known.enrolled:
            raise Conflict(
                f"{home.root} is node '{known.joined.name}' already; start it with `concilium nodes join` alone, "
                "or run `concilium nodes leave` first to join anew"
            )
        known.leave()
    for agent in token.agents:
        home.catalog.agent(agent)
    home.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    joined = Joined(
        name=token.name,
        invitation=token.invitation,
        until=token.until,
        dial=token.dial,
        address=token.address,
        listen=listen,
        agents=token.agents,
    )
    if not (known and known.enrolled):
        write_private(home.keys / AUTHORITY, pem_of(token.authority_certificate))
        write_identity(home.keys / f"{_INVITED}.pem", token.private_key, token.invitation_certificate)
        read_or_make_key(home.keys / f"{_OWN}.key")
        if not (home.keys / "mesh.key").is_file():
            write_private(home.keys / "mesh.key", secrets.token_urlsafe(_KEY_BYTES) + "\n")
    write_private(home.root / "node.json", joined.model_dump_json(indent=1) + "\n")
    return Membership(Home(home.root, home.environ), joined)
