"""Releases that the reference implementation of OpenSSF model signing signed."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from concilium.adapters.trust import Code, Release, TrustRefused
from concilium.adapters.trust.bundle import manifest_of, opened
from support.trust import write_bundle

DATA = Path(__file__).parents[2] / "data" / "trust"
SIGNATURE, KEY = (DATA / "release-p256.sig").read_bytes(), (DATA / "release-p256.pem").read_bytes()
Change = Callable[[dict[str, Any]], object]


def check(folder: Path, signature: bytes = SIGNATURE, key: bytes = KEY) -> None:
    with opened(folder) as handle:
        Release(signature, key).check(manifest_of(handle))


def resigned(
    change: Change, kind: str = "application/vnd.in-toto+json", ed25519: Ed25519PrivateKey | None = None
) -> tuple[bytes, bytes]:
    """The release with a changed statement, and the key of somebody who signs that."""
    bundle = json.loads(SIGNATURE)
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(b64decode(envelope["payload"]))
    change(statement)
    payload, private = json.dumps(statement).encode(), generate_private_key(SECP256R1())
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    signature = ed25519.sign(signed) if ed25519 else private.sign(signed, ECDSA(SHA256()))
    envelope["payload"] = b64encode(payload).decode()
    envelope["signatures"] = [{"sig": b64encode(signature).decode()}]
    public = (ed25519 or private).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return json.dumps(bundle).encode(), public


def a_file_twice(statement: dict[str, Any]) -> None:
    """List a file twice, and have the sum right."""
    resources = statement["predicate"]["resources"]
    resources.append(resources[0])
    digests = b"".join(bytes.fromhex(each["digest"]) for each in resources)
    statement["subject"][0]["digest"]["sha256"] = sha256(digests).hexdigest()


@pytest.mark.parametrize("name", ["release-p256", "release-p384"])
def test_a_release_that_the_reference_implementation_signed_is_taken(tmp_path: Path, name: str) -> None:
    check(write_bundle(tmp_path / "sport"), (DATA / f"{name}.sig").read_bytes(), (DATA / f"{name}.pem").read_bytes())


def test_a_release_signed_by_another_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustRefused) as refusal:
        check(write_bundle(tmp_path / "sport"), key=(DATA / "release-p384.pem").read_bytes())
    assert refusal.value.code is Code.RELEASE_UNSIGNED


def test_a_signature_of_other_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustRefused) as refusal:
        check(write_bundle(tmp_path / "chess", "chess", "1.0.0"))
    assert refusal.value.code is Code.RELEASE_UNSIGNED


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s["predicate"]["resources"].pop(), id="a_file_is_left_out"),
        pytest.param(a_file_twice, id="a_file_is_listed_twice"),
        pytest.param(lambda s: s["subject"][0]["digest"].update(sha256="ab" * 32), id="the_sum_is_another"),
        pytest.param(lambda s: s["predicate"]["resources"][0].update(algorithm="md5"), id="a_weak_hash"),
        pytest.param(lambda s: s["predicate"]["serialization"].update(method="shards"), id="parts_of_files"),
        pytest.param(lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), id="another_statement"),
    ],
)
def test_a_well_signed_statement_that_says_something_else_is_refused(tmp_path: Path, change: Change) -> None:
    bundle = write_bundle(tmp_path / "sport")
    check(bundle, *resigned(lambda statement: None))
    with pytest.raises(TrustRefused) as refusal:
        check(bundle, *resigned(change))
    assert refusal.value.code is Code.RELEASE_UNSIGNED


def test_a_signature_for_another_purpose_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustRefused) as refusal:
        check(write_bundle(tmp_path / "sport"), *resigned(lambda statement: None, "application/json"))
    assert refusal.value.code is Code.RELEASE_UNSIGNED


def test_a_key_that_the_specification_does_not_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustRefused) as refusal:
        check(write_bundle(tmp_path / "sport"), *resigned(lambda statement: None, ed25519=Ed25519PrivateKey.generate()))
    assert refusal.value.code is Code.RELEASE_UNSIGNED


@pytest.mark.parametrize("signature", [b"", b"{}", SIGNATURE[:-40], SIGNATURE.replace(b"publicKey", b"certificate")])
def test_what_is_no_signature_by_key_is_refused(tmp_path: Path, signature: bytes) -> None:
    with pytest.raises(TrustRefused):
        check(write_bundle(tmp_path / "sport"), signature)
