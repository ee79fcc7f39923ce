"""The token of an invitation: all that a machine needs to enrol once, as one word to paste.

``cn1.`` and base64url of the mesh authority's signature (64 bytes) and the compressed JSON that it signs. Whoever holds
it can become that node until it was used or its hour is over; it opens nothing else.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from concilium.contracts.base import Model, utc_now
from concilium.contracts.errors import Invalid
from concilium.contracts.nodes import Address, Dial, Node, NodeName
from concilium.contracts.skill import AgentName
from concilium.nodes.authority import Authority, Role, peer_of

PREFIX: Final = "cn1."
CHARS_MAX: Final = 8192
_SIGNATURE: Final = 64
_BYTES_MAX: Final = 16 * 1024
_DAMAGED: Final = "this is no whole invitation token; copy it again from `concilium nodes invite`"


class Token(Model):
    """What an invitation's token holds."""

    name: NodeName
    invitation: str
    dial: Dial
    address: Address
    agents: tuple[AgentName, ...]
    until: datetime
    authority: bytes
    """The mesh authority's certificate, DER."""
    certificate: bytes
    """The invitation's, DER."""
    key: bytes
    """Its private key, the 32 bytes of Ed25519."""

    @property
    def authority_certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.authority)

    @property
    def invitation_certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.certificate)

    @property
    def private_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.key)


def make_token(authority: Authority, node: Node) -> str:
    """Return the token of a node's newest invitation."""
    key, certificate = authority.certify_invitation(node.name, node.invitation)
    token = Token(
        name=node.name,
        invitation=node.invitation,
        dial=node.dial,
        address=node.address,
        agents=node.agents,
        until=node.invited_until,
        authority=authority.certificate.public_bytes(Encoding.DER),
        certificate=certificate.public_bytes(Encoding.DER),
        key=key.private_bytes_raw(),
    )
    body = zlib.compress(token.model_dump_json().encode(), 9)
    return PREFIX + urlsafe_b64encode(authority.sign(body) + body).decode("ascii").rstrip("=")


def read_token(text: str) -> Token:
    """Return what a token holds.

    Raises:
        Invalid: it is damaged, or was changed after it was signed.
    """
    text = text.strip()
    if not text.startswith(PREFIX) or len(text) > CHARS_MAX:
        raise Invalid(_DAMAGED)
    try:
        raw = urlsafe_b64decode(text.removeprefix(PREFIX) + "===")
        signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
        token = Token.model_validate_json(_inflated(body))
        owner = token.authority_certificate.public_key()
        if not isinstance(owner, Ed25519PublicKey):
            raise Invalid(_DAMAGED)
        owner.verify(signature, body)
        token.invitation_certificate.verify_directly_issued_by(token.authority_certificate)
        peer = peer_of(token.invitation_certificate)
    except InvalidSignature as error:
        raise Invalid("this token was changed after the mesh had signed it; ask for another") from error
    except (ValueError, TypeError, ValidationError, zlib.error) as error:
        raise Invalid(_DAMAGED) from error
    if (peer.role, peer.name, peer.invitation) != (Role.INVITATION, token.name, token.invitation):
        raise Invalid(_DAMAGED)
    return token


def check_fresh(token: Token) -> None:
    """Raise `Invalid` when a token has expired by this machine's clock; home's decides in any case."""
    if token.until <= utc_now():
        raise Invalid(
            f"this token expired at {token.until:%Y-%m-%d %H:%M} UTC, and this machine's clock says "
            f"{utc_now():%Y-%m-%d %H:%M}; make another with `concilium nodes invite`"
        )


def _inflated(body: bytes) -> bytes:
    stream = zlib.decompressobj()
    data = stream.decompress(body, _BYTES_MAX)
    if not stream.eof:
        raise Invalid(_DAMAGED)
    return data
