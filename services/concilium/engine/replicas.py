"""Which of several equal replicas gets a request: one that has its prefix in the cache, unless that has too much to do.

Rendezvous hashing (Thaler and Ravishankar 1998) orders the replicas for each key, so that one that comes or goes moves
its own share of the keys and no others; a bound on the load (Mirrokni, Thorup and Zadimoghaddam, arXiv:1608.01350)
hands requests on to the next in that order. Requests without a key go to the least loaded replica.
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from concilium.engine.breaker import Breaker
from concilium.engine.errors import EngineError
from concilium.engine.messages import Message

SPREAD = 1.5
"""A replica takes at most this times its even share of what is under way before its keys spill over."""
ALWAYS = 8
"""Requests under way that a replica takes whatever its share: an engine batches them, and a warm prefix is worth it."""
PREFIX_CHARS = 4096
"""Of the messages' beginning: what makes the key."""

log = structlog.get_logger("concilium.engine")


@dataclass(eq=False)
class Replica:
    """One server."""

    url: str
    """Its base URL, without a slash at the end."""
    breaker: Breaker = field(default_factory=Breaker)
    load: int = 0
    """Requests under way."""

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request as under way."""
        self.load += 1
        try:
            yield
        finally:
            self.load -= 1

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Let the breaker know how the request inside went."""
        before = self.breaker.state
        self.breaker.begin()
        try:
            yield
        except EngineError as error:
            if error.broke:
                self.breaker.failed()
            else:
                self.breaker.given_up()
            if self.breaker.state == "open" and before != "open":
                log.warning("replica.left-alone", reason=error.kind, seconds=round(self.breaker.wait_s, 1))
            raise
        except BaseException:
            self.breaker.given_up()
            raise
        self.breaker.succeeded()
        if before != "closed":
            log.info("replica.back")


class Replicas:
    """The replicas of one engine."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._all = [Replica(url) for url in urls]

    def __len__(self) -> int:
        return len(self._all)

    def choose(self, key: bytes | None, tried: Collection[Replica] = ()) -> Replica:
        """Return the replica for a request.

        Args:
            key: of `affinity_key`; None: any will do.
            tried: those that failed this request already.

        Raises:
            EngineError: ``unreachable``: all failed too often just now.
        """
        open_to = [replica for replica in self._all if replica not in tried and replica.breaker.allows]
        if not open_to:
            wait_s = min((replica.breaker.wait_s for replica in self._all if replica not in tried), default=0.0)
            raise EngineError("unreachable", f"it failed too often just now and is tried again in {wait_s:.1f} s")
        if key is None:
            return min(open_to, key=lambda replica: replica.load)
        bound = max(ALWAYS, math.ceil(SPREAD * (1 + sum(replica.load for replica in open_to)) / len(open_to)))
        free = [replica for replica in open_to if replica.load < bound]
        return max(free, key=lambda replica: _weight(key, replica.url))

    def others(self, tried: Collection[Replica]) -> bool:
        """Whether there is a replica that this request has not tried and that may be asked."""
        return any(replica not in tried and replica.breaker.allows for replica in self._all)


def affinity_key(model: str, messages: Sequence[Message]) -> bytes:
    """Return what requests have in common whose prefix an engine can take from its cache.

    That is the model (an adapter's served name has a cache of its own) and the beginning of the conversation up to the
    first thing the user said: later turns of one conversation have the same key.
    """
    digest = hashlib.blake2b(model.encode(), digest_size=16)
    for message in messages:
        said = message["content"]
        texts = [said] if isinstance(said, str) else [_text(part) for part in said]
        digest.update(b"\0" + message["role"].encode())
        for text in texts:
            digest.update(b"\0" + text[:PREFIX_CHARS].encode("utf-8", "surrogatepass"))
        if message["role"] == "user":
            break
    return digest.digest()


def _text(part: object) -> str:
    """Return the text of a part of a message, or the URL of its image."""
    if not isinstance(part, dict):
        return ""
    found = part.get("text") if part.get("type") == "text" else part.get("image_url", {}).get("url")
    return found if isinstance(found, str) else ""


def _weight(key: bytes, url: str) -> bytes:
    return hashlib.blake2b(url.encode(), key=key, digest_size=8).digest()
