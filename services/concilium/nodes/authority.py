"""The mesh's certificate authority: one key at home signs home's, the nodes' and the invitations' certificates.

What a certificate is good for is one URI in its subject alternative name (RFC 5280 section 4.2.1.6): ``home``, one
node, or one invitation. Keys are Ed25519 (RFC 8410). Certificates begin a day before they are made, since the clock of
a rented machine may be slow.
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from concilium.contracts.base import utc_now
from concilium.contracts.errors import Invalid, Unavailable
from concilium.keyring import write_private

AUTHORITY_LIFE = timedelta(days=3650)
HOME_LIFE = timedelta(days=30)
NODE_LIFE = timedelta(days=7)
"""A node that was away for longer has to be invited anew; one whose certificate was not new then, sooner."""
INVITATION_LIFE = timedelta(hours=1)
RENEW_AT = 2 / 3
"""A certificate is renewed when less than this part of its life is left."""
_EARLIER = timedelta(days=1)
_MAKING = Lock()
_PREFIX = "urn:concilium:"


class Role(StrEnum):
    """What a certificate lets its holder be."""

    HOME = "home"
    NODE = "node"
    INVITATION = "invitation"


@dataclass(frozen=True)
class Peer:
    """Who stands at the other end, as its certificate says; whether it is still welcome, the ledger says."""

    role: Role
    name: str = ""
    """Of the node, or the one invited."""
    invitation: str = ""
    fingerprint: str = ""

    @property
    def uri(self) -> str:
        """How a certificate says this."""
        return _PREFIX + ":".join(part for part in (self.role, self.name, self.invitation) if part)


def peer_of(certificate: x509.Certificate) -> Peer:
    """Return whom a certificate, verified before, speaks of. Raises `Invalid` for none of ours."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        role, *rest = uri.removeprefix(_PREFIX).split(":")
        name, invitation = (*rest, "", "")[:2]
        peer = Peer(Role(role), name, invitation, fingerprint_of(certificate.public_key()))
    except (x509.ExtensionNotFound, ValueError) as error:
        raise Invalid("the certificate says neither home nor node nor invitation") from error
    if peer.uri != uri:
        raise Invalid("the certificate says neither home nor node nor invitation")
    return peer


def fingerprint_of(key: object) -> str:
    """Return the SHA-256 of a public key in hex. Raises `Invalid` unless it is Ed25519."""
    if not isinstance(key, Ed25519PublicKey):
        raise Invalid("the key must be Ed25519")
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


@dataclass(frozen=True)
class Authority:
    """The authority of a home: ``mesh-ca.key`` and ``mesh-ca.pem`` in its folder of keys."""

    folder: Path

    @property
    def key_path(self) -> Path:
        return self.folder / "mesh-ca.key"

    @property
    def certificate_path(self) -> Path:
        return self.folder / "mesh-ca.pem"

    @property
    def exists(self) -> bool:
        return self.key_path.is_file() and self.certificate_path.is_file()

    @property
    def certificate(self) -> x509.Certificate:
        """Its own certificate. Raises `Unavailable` when there is none yet."""
        return read_certificate(self.certificate_path)

    def ensure(self) -> None:
        """Make the authority where there is none, and home's certificate where there is none or it grows old.

        One thread at a time: the first invitations may come together.
        """
        with _MAKING:
            self._ensure()

    def _ensure(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.exists:
            key = Ed25519PrivateKey.generate()
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Concilium mesh {os.urandom(4).hex()}")])
            basic = x509.BasicConstraints(ca=True, path_length=0)
            made = _builder(name, name, key.public_key(), key.public_key(), utc_now() + AUTHORITY_LIFE)
            made = made.add_extension(basic, critical=True).add_extension(_usage(signs=True), critical=True)
            write_private(self.key_path, _pem_of_key(key))
            write_private(self.certificate_path, pem_of(made.sign(key, None)))
        path = self.folder / "link.pem"
        if not path.is_file() or grows_old(read_certificate(path)):
            key = read_or_make_key(self.folder / "link.key")
            write_identity(path, key, self._issue(Peer(Role.HOME), key.public_key(), utc_now() + HOME_LIFE))

    def certify_node(self, name: str, key: Ed25519PublicKey) -> tuple[str, datetime]:
        """Return a certificate for a node's key, as PEM, and its end."""
        until = utc_now() + NODE_LIFE
        return pem_of(self._issue(Peer(Role.NODE, name), key, until)), until

    def certify_invitation(self, name: str, invitation: str) -> tuple[Ed25519PrivateKey, x509.Certificate]:
        """Return a key and certificate that are good for enrolling once, and for nothing else."""
        key = Ed25519PrivateKey.generate()
        peer = Peer(Role.INVITATION, name, invitation)
        return key, self._issue(peer, key.public_key(), utc_now() + INVITATION_LIFE)

    def sign(self, data: bytes) -> bytes:
        """Return the authority's signature of some bytes."""
        return read_key(self.key_path).sign(data)

    def _issue(self, peer: Peer, key: Ed25519PublicKey, until: datetime) -> x509.Certificate:
        own = read_key(self.key_path)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, " ".join(filter(None, (peer.role, peer.name))))])
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(peer.uri)])
        made = _builder(subject, self.certificate.subject, key, own.public_key(), until)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(_usage(signs=False), critical=True)
        return made.add_extension(uses, critical=False).add_extension(names, critical=False).sign(own, None)


def request(key: Ed25519PrivateKey) -> str:
    """Return a certificate signing request (RFC 2986) as PEM. It names nobody: home says who the key is."""
    return pem_of(x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None))


def requested_key(csr_pem: str) -> Ed25519PublicKey:
    """Return the key of a request. Raises `Invalid` unless it is an Ed25519 key, and the request is signed by it."""
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        key = csr.public_key()
        signed = csr.is_signature_valid
    except (ValueError, InvalidSignature) as error:
        raise Invalid("this is no certificate signing request") from error
    if not isinstance(key, Ed25519PublicKey) or not signed:
        raise Invalid("the request must be of an Ed25519 key, and signed by it")
    return key


def certificate_from(pem: str) -> x509.Certificate:
    """Return a certificate of PEM text. Raises `Invalid`."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise Invalid("this is no certificate") from error


def read_certificate(path: Path) -> x509.Certificate:
    """Return a certificate of a file. Raises `Unavailable` when there is none, `Invalid`."""
    try:
        return certificate_from(path.read_text(encoding="ascii"))
    except FileNotFoundError as error:
        raise Unavailable(f"no certificate {path}") from error


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return a private key of a file. Raises `Unavailable` when there is none, `Invalid`."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise Unavailable(f"no key {path}") from error
    except ValueError as error:
        raise Invalid(f"{path} is no private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid(f"{path} is not an Ed25519 key")
    return key


def read_or_make_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a file; make it when there is none."""
    return read_key(path) if path.is_file() else make_key(path)


def make_key(path: Path) -> Ed25519PrivateKey:
    """Write a new private key, readable by its owner alone, and return it."""
    key = Ed25519PrivateKey.generate()
    write_private(path, _pem_of_key(key))
    return key


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether an authority signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def grows_old(certificate: x509.Certificate) -> bool:
    """Whether less than `RENEW_AT` of a certificate's life is left."""
    begin, end = certificate.not_valid_before_utc + _EARLIER, certificate.not_valid_after_utc
    return end - utc_now() < (end - begin) * RENEW_AT


def write_identity(path: Path, key: Ed25519PrivateKey, certificate: x509.Certificate) -> None:
    """Write a certificate and its key into one file, so that no moment sees one without the other."""
    write_private(path, pem_of(certificate) + _pem_of_key(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, issuer_key: Ed25519PublicKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - _EARLIER)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def pem_of(made: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """Return a certificate or request as PEM."""
    return made.public_bytes(Encoding.PEM).decode("ascii")


def _pem_of_key(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
