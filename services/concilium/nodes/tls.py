"""Contexts for mutual TLS 1.3 (RFC 8446) of key files that may be replaced while links stand."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from concilium.contracts.errors import Invalid, Unavailable
from concilium.nodes.authority import Peer, peer_of

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, which Python does not name."""
_Marks = tuple[int, ...]


@dataclass
class Identity:
    """Key, certificate and authority of one end, as their files have them now."""

    folder: Path
    name: str
    """Of ``<name>.pem``, which holds certificate and key."""
    authority: str
    """File name of the authority's certificate."""
    own_clock: bool = True
    """Whether the dates of the other end's certificate are judged by this machine's clock. A node has only home to
    tell it the time, and what is refused to a node is refused by home: it judges none."""
    _contexts: dict[bool, tuple[_Marks, ssl.SSLContext]] = field(default_factory=dict)

    def context(self, *, listens: bool) -> ssl.SSLContext:
        """Return a context for a new connection; both ends have to show a certificate of the authority.

        Raises `Unavailable` while there is no key or certificate.
        """
        paths = [self.folder / name for name in (f"{self.name}.pem", self.authority)]
        try:
            marks = tuple(path.stat().st_mtime_ns for path in paths)
        except FileNotFoundError as error:
            raise Unavailable(f"no {error.filename}") from error
        known = self._contexts.get(listens)
        if known is not None and known[0] == marks:
            return known[1]
        own, authority = map(str, paths)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Who the other end is, its certificate's role says; a rented machine's name and address prove nothing.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        if not self.own_clock:
            context.verify_flags |= _NO_CHECK_TIME
        context.load_verify_locations(authority)
        context.load_cert_chain(own)
        if listens:
            context.num_tickets = 0  # every connection shows its certificate anew
        self._contexts[listens] = marks, context
        return context


def peer_behind(connection: ssl.SSLObject | ssl.SSLSocket) -> Peer:
    """Return who is at the other end of a connection that was made. Raises `Invalid`."""
    return peer_of(certificate_behind(connection))


def certificate_behind(connection: ssl.SSLObject | ssl.SSLSocket) -> x509.Certificate:
    """Return the certificate that the other end of a connection has shown. Raises `Invalid`."""
    shown = connection.getpeercert(binary_form=True)
    if shown is None:
        raise Invalid("no certificate was shown")
    return x509.load_der_x509_certificate(shown)
