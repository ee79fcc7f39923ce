"""Releases of others, signed with OpenSSF Model Signing (OMS 1.0) and a key that is known: read, never written.

A signature is a Sigstore bundle around a DSSE envelope around an in-toto statement that lists every file with its
SHA-256. Only the method ``key`` is read (OMS 1.0 section 4.1): certificates and Sigstore ask a network whom to trust.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecuresystemslibError
from securesystemslib.signer import Signature, SSlibKey

from concilium.adapters.trust.encoding import decode_json
from concilium.adapters.trust.files import read_given
from concilium.adapters.trust.manifest import Manifest
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.contracts.adapters import MANIFEST

RELEASE_BYTES = 1024 * 1024
_PAYLOAD = "application/vnd.in-toto+json"
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Read(BaseModel):
    """Part of a format of others: what it does not name is not looked at (OMS 1.0 section 5.2.1)."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Signed(_Read):
    sig: str


class _Envelope(_Read):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: list[_Signed] = Field(min_length=1, max_length=1)


class _Material(_Read):
    public_key: dict[str, str] = Field(alias="publicKey")


class _Bundle(_Read):
    media_type: str = Field(alias="mediaType", pattern=r"^application/vnd\.dev\.sigstore\.bundle\.v0\.3\+json$")
    material: _Material = Field(alias="verificationMaterial")
    envelope: _Envelope = Field(alias="dsseEnvelope")


class _Digest(_Read):
    sha256: _Sha256


class _Subject(_Read):
    digest: _Digest


class _Resource(_Read):
    name: str
    digest: _Sha256
    algorithm: Literal["sha256"]


class _Serialization(_Read):
    method: Literal["files"]
    hash_type: Literal["sha256"]


class _Predicate(_Read):
    serialization: _Serialization
    resources: list[_Resource]


class _Statement(_Read):
    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    subject: list[_Subject] = Field(min_length=1, max_length=1)
    predicate: _Predicate


@dataclass(frozen=True)
class Release:
    """How somebody else signed a bundle."""

    signature: bytes
    """What ``model_signing sign key`` wrote."""
    public_key: bytes
    """The key that it has to be by, in PEM, on P-256, P-384 or P-521."""

    @classmethod
    def read(cls, signature: Path, public_key: Path) -> Self:
        """Read both from files.

        Raises:
            TrustRefused: `MISSING_FILE`, and what `read_given` refuses.
        """
        try:
            return cls(read_given(signature, RELEASE_BYTES), read_given(public_key, RELEASE_BYTES))
        except FileNotFoundError as error:
            raise TrustRefused(Code.MISSING_FILE, f"there is no file {error.filename}") from error

    def check(self, manifest: Manifest) -> None:
        """Check that the signature is by the key and of these files, the manifest included, and no others.

        Raises:
            TrustRefused: `RELEASE_UNSIGNED` among what `encoding.decode_json` refuses.
        """
        try:
            bundle = _Bundle.model_validate(decode_json(self.signature, RELEASE_BYTES))
            payload = b64decode(bundle.envelope.payload, validate=True)
            _verify(payload, b64decode(bundle.envelope.signatures[0].sig, validate=True), self.public_key)
            statement = _Statement.model_validate(decode_json(payload, RELEASE_BYTES))
        except (ValidationError, binascii.Error, UnsupportedAlgorithm, ValueError, SecuresystemslibError) as error:
            raise TrustRefused(Code.RELEASE_UNSIGNED, "the release is not signed by this key, in OMS 1.0") from error
        _compare(manifest, statement)


def _verify(payload: bytes, signature: bytes, public_key: bytes) -> None:
    found = load_pem_public_key(public_key)
    if not isinstance(found, EllipticCurvePublicKey):
        raise UnsupportedAlgorithm("OMS knows no such key")
    envelope = Envelope(payload, _PAYLOAD, {})
    key = SSlibKey.from_crypto(found)
    key.verify_signature(Signature(key.keyid, signature.hex()), envelope.pae())


def _compare(manifest: Manifest, statement: _Statement) -> None:
    resources = statement.predicate.resources
    root = sha256(b"".join(bytes.fromhex(each.digest) for each in resources)).hexdigest()
    signed = {each.name: each.digest for each in resources}
    files = {name: listed.sha256 for name, listed in manifest.files.items()} | {MANIFEST: manifest.digest}
    if root != statement.subject[0].digest.sha256 or len(signed) != len(resources) or signed != files:
        raise TrustRefused(Code.RELEASE_UNSIGNED, "the release's signature is of other files")
