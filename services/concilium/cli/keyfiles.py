"""The secrets of a home: written once, mode 0600, never printed."""

import base64
import os
import secrets
from pathlib import Path

from concilium.home import Home


def _bearer() -> str:
    return "ck_" + secrets.token_urlsafe(32)


def _webhook() -> str:
    """A Standard Webhooks secret: ``whsec_`` and 32 bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


_MAKERS = {"admin": _bearer, "runner": _bearer, "mesh": _bearer, "webhook": _webhook}


def ensure_keys(home: Home) -> list[Path]:
    """Write the keys that are missing and return their paths; an existing key is never touched.

    ``admin`` is the owner's API key, ``runner`` the runner's (scope ``nodes``), ``mesh`` what the runner shows to
    agents, ``webhook`` what callbacks are signed with. The control plane registers the first two at its start.
    """
    home.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = []
    for name, make in _MAKERS.items():
        path = home.keys / f"{name}.key"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make() + "\n")
        written.append(path)
    return written
