"""The secrets in ``CONCILIUM_HOME/keys``: made once, readable by their owner alone."""

import os
import secrets
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from concilium.gateway.auth import Scope
from concilium.ledger import Ledger

RANDOM_BYTES = 32
"""256 bits, for every secret here."""

KEY_FILES = {
    "admin": (Scope.ADMIN,),
    "runner": (Scope.NODES,),
}
"""API keys kept in files, with their scopes: for the owner's command and for this node's runner."""
GUEST_KEY_FILES = {
    "n8n": (Scope.READ, Scope.WRITE),
}
"""The same for what the owner may start beside the mesh; such a key exists once its file does."""


def secret_file(path: Path, make: Callable[[], str]) -> str:
    """Return the secret a file holds; write a new one with mode 0600 when there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(make() + "\n")
    return path.read_text(encoding="ascii").strip()


def api_key() -> str:
    """Return a new API key: ``ck_`` and 43 base64url characters."""
    return "ck_" + secrets.token_urlsafe(RANDOM_BYTES)


def signing_secret() -> str:
    """Return a new signing secret in the form of Standard Webhooks (``whsec_`` and base64)."""
    return "whsec_" + b64encode(secrets.token_bytes(RANDOM_BYTES)).decode("ascii")


def random_key() -> str:
    """Return a new key: 256 random bits in base64url."""
    return secrets.token_urlsafe(RANDOM_BYTES)


async def ensure_api_keys(folder: Path, ledger: Ledger) -> None:
    """Make the keys of `KEY_FILES` where missing and make all key files known to the ledger; revoked ones stay so."""
    guests = {name: scopes for name, scopes in GUEST_KEY_FILES.items() if (folder / f"{name}.key").is_file()}
    for name, scopes in (KEY_FILES | guests).items():
        secret = secret_file(folder / f"{name}.key", api_key)
        await ledger.ensure_key(secret, name, tuple(map(str, scopes)))
