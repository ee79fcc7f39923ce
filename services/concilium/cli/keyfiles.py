"""The secrets of a home, written once with mode 0600 before the first process starts."""

from pathlib import Path

from concilium.home import Home


def ensure_keys(home: Home) -> list[Path]:
    """Write the keys that are missing and return their paths; an existing key is never touched.

    ``admin`` is the owner's API key, ``runner`` the runner's (scope ``nodes``), ``mesh`` what the runner shows to
    agents, ``webhook`` what callbacks are signed with. The control plane registers the first two at its start.
    """
    # The gateway's imports take a second that no other command should wait for.
    from concilium.gateway.secrets import api_key, random_key, secret_file, signing_secret  # noqa: PLC0415

    written = []
    for name, make in {"admin": api_key, "runner": api_key, "mesh": random_key, "webhook": signing_secret}.items():
        path = home.keys / f"{name}.key"
        if not path.exists():
            secret_file(path, make)
            written.append(path)
    return written
