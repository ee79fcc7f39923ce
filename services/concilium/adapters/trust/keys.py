"""Private keys in files: Ed25519, PKCS #8 (RFC 5958), encrypted with a passphrase.

PKCS #8 as OpenSSL writes it stretches a passphrase 2048 times only, too little for a stick that was found. So what
encrypts the key is not the passphrase but what scrypt (RFC 7914) makes of it, with the salt in the file's first line.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from concilium.adapters.trust.files import read_given, sync_folder
from concilium.adapters.trust.refusals import Code, TrustRefused


class Kind(StrEnum):
    """What a key is for."""

    ROOT = "root"
    """Says whose keys sign what; kept off this machine."""
    INDEX = "index"
    """Signs the list of adapters."""
    FRESHNESS = "freshness"
    """Signs that the list is the newest."""


ROLES: Mapping[Kind, tuple[str, ...]] = {
    Kind.ROOT: (Root.type,),
    Kind.INDEX: (Targets.type,),
    Kind.FRESHNESS: (Snapshot.type, Timestamp.type),
}
"""The roles of TUF that the keys of a kind sign."""
PASSPHRASE_CHARACTERS = 12
_SALT = "concilium-scrypt-salt: "
_SALT_BYTES = 16
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**16, 8, 1
_LIMIT = 4096


def make_key() -> CryptoSigner:
    """Return a new key."""
    return CryptoSigner.generate_ed25519()


@dataclass(frozen=True)
class KeyFolder:
    """A folder with private keys, at home or on a stick, and the passphrase that opens them."""

    folder: Path
    passphrase: str = field(repr=False)

    def path(self, kind: Kind, key_id: str) -> Path:
        """Return where a key is kept."""
        return self.folder / f"{kind}-{key_id[:16]}.key"

    def write(self, kind: Kind, signer: CryptoSigner) -> Path:
        """Write a private key, encrypted and readable by its owner alone, where there is none; return the file.

        Raises:
            TrustRefused: `KEY_UNUSABLE` when the passphrase is short, the file is there, or the folder takes none.
        """
        self.check_passphrase()
        salt = os.urandom(_SALT_BYTES)
        private = load_pem_private_key(signer.private_bytes, None)
        encrypted = BestAvailableEncryption(_stretched(self.passphrase, salt))
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encrypted)
        path = self.path(kind, signer.public_key.keyid)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(f"{_SALT}{salt.hex()}\n".encode() + pem)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self.folder)
        except OSError as error:
            raise TrustRefused(Code.KEY_UNUSABLE, f"{path} cannot be written: {error.strerror}") from error
        return path

    def check_passphrase(self) -> None:
        """Raises `TrustRefused` (`KEY_UNUSABLE`) for a passphrase that is too short to encrypt with."""
        if len(self.passphrase) < PASSPHRASE_CHARACTERS:
            raise TrustRefused(Code.KEY_UNUSABLE, f"a passphrase has at least {PASSPHRASE_CHARACTERS} characters")

    def load(self, kind: Kind, key_ids: Iterable[str]) -> list[CryptoSigner]:
        """Return those of some keys that are here.

        Raises:
            TrustRefused: `KEY_UNUSABLE` when none is, one is damaged, or the passphrase is wrong.
        """
        found = [path for key_id in key_ids if (path := self.path(kind, key_id)).exists()]
        if not found:
            raise TrustRefused(Code.KEY_UNUSABLE, f"{self.folder} holds no {kind} key that is asked for")
        return [self._open(path) for path in found]

    def signer(self, kind: Kind, root: Root) -> CryptoSigner:
        """Return the key with which a kind signs under a root. Raises `TrustRefused` (`KEY_UNUSABLE`)."""
        return self.load(kind, root.roles[ROLES[kind][0]].keyids)[0]

    def _open(self, path: Path) -> CryptoSigner:
        try:
            head, _, pem = read_given(path, _LIMIT).partition(b"\n")
            salt = bytes.fromhex(head.decode().removeprefix(_SALT))
            key = load_pem_private_key(pem, _stretched(self.passphrase, salt))
        except (ValueError, TypeError) as error:
            raise TrustRefused(Code.KEY_UNUSABLE, f"{path} does not open with this passphrase") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise TrustRefused(Code.KEY_UNUSABLE, f"{path} is not an Ed25519 key")
        return CryptoSigner(key)


def read_passphrase(path: Path) -> str:
    """Return the first line of a file as a passphrase.

    Raises:
        TrustRefused: `KEY_UNUSABLE` when there is no such file, or everybody may read it.
    """
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise TrustRefused(Code.KEY_UNUSABLE, f"everybody may read {path}; chmod o-rwx it")
        return read_given(path, _LIMIT).decode().splitlines()[0]
    except (FileNotFoundError, UnicodeDecodeError, IndexError) as error:
        raise TrustRefused(Code.KEY_UNUSABLE, f"{path} holds no passphrase") from error


def _stretched(passphrase: str, salt: bytes) -> bytes:
    scrypt = Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)
    return scrypt.derive(passphrase.encode()).hex().encode()
