"""Replacing secrets of a home while its mesh runs.

The mesh key and the signing secret live in files alone: whoever uses them looks at the file each time. An API key is
known to the ledger by its hash: the ledger takes the new one first, then the file gets it, so that neither the command
nor the runner ever shows what is not taken.
"""

from concilium.cli.session import Session
from concilium.contracts.base import JSON
from concilium.gateway.secrets import KEY_FILES, random_key, signing_secret
from concilium.ledger import hash_of

_MADE_HERE = {"mesh": random_key, "webhook": signing_secret}
LOCAL = (*KEY_FILES, *_MADE_HERE)
"""Secrets in files of the home."""


def rotate(session: Session, key: str, overlap_s: float) -> dict[str, JSON]:
    """Replace a secret; return where the new one is, or for another's API key what it is.

    Args:
        session: the home and the mesh.
        key: one of `LOCAL`, or the id of an API key.
        overlap_s: how long the secret before is still taken, in seconds.

    Raises:
        Unavailable: the home has no such secret.
        CliError: the mesh does not answer or refuses.
    """
    if key not in LOCAL:
        made: dict[str, JSON] = session.client.call("POST", f"/v1/keys/{key}/rotate", {"overlap_s": overlap_s})
        return made
    file = session.home.key_file(key)
    if key in _MADE_HERE:
        file.replace(_MADE_HERE[key](), overlap_s)
    else:
        path = f"/v1/keys/{hash_of(file.current)}/rotate"
        # The ledger knows until when the old secret is good; the file needs no memory of it.
        file.replace(session.client.call("POST", path, {"overlap_s": overlap_s})["secret"], 0)
    return {"file": str(session.home.keys / f"{key}.key"), "overlap_s": overlap_s}
