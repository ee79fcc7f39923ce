"""Who gets the canary: a share of the contexts, by a hash that stays."""

import hashlib

from concilium.contracts.adapter_life import Line
from concilium.contracts.adapters import Alias


def gets_canary(line: Line, context: str) -> bool:
    """Whether a context (a conversation, or a user) gets the canary, while it is under way.

    The same context always gets the same; another canary of the adapter takes another share of the contexts.
    """
    if line.canary is None:
        return False
    key = f"{line.id}\0{line.canary.digest}\0{context}".encode()
    drawn = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())
    return drawn < line.canary.terms.share * 2**64


def alias_for(line: Line, context: str) -> Alias:
    """Return the alias that serves a context which asks for what is live."""
    return Alias.CANARY if gets_canary(line, context) else Alias.LIVE
