"""API keys: who calls, what they may do, how often.

A key is ``ck_`` and 43 base64url characters (256 random bits), stored as its SHA-256 alone. A looked-up key is
remembered for at most `CACHE_S` seconds, so a revocation acts within that time; its end is checked at every use.
"""

import hmac
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import HTTPConnection

from concilium.contracts.base import utc_now
from concilium.contracts.errors import Forbidden, RateLimited, Unauthorized
from concilium.ledger import ApiKey, hash_of

CACHE_S = 2.0
CACHE_KEYS = 4096
KEY_PATTERN = re.compile(r"ck_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a key may do. ``admin`` includes the rest."""

    READ = "tasks:read"
    WRITE = "tasks:write"
    NODES = "nodes"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The key a request came with."""

    key_id: str
    scopes: frozenset[str]

    @property
    def admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def owns(self, key_id: str) -> bool:
        """Whether a thing of that key is visible to the caller."""
        return self.admin or hmac.compare_digest(key_id.encode(), self.key_id.encode())


@dataclass(slots=True)
class _Known:
    key: ApiKey
    until: float
    """Monotonic second after which the ledger is asked again."""


@dataclass(slots=True)
class _Bucket:
    """A token bucket: one minute's worth of requests at once, refilled evenly."""

    tokens: float
    at: float

    def take(self, per_minute: int, now: float) -> float:
        """Take one token; return 0, or the seconds until there is one."""
        self.tokens = min(float(per_minute), self.tokens + (now - self.at) * per_minute / 60.0)
        self.at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) * 60.0 / per_minute


class Authenticator:
    """Turns a request's credentials into a `Caller`, or refuses."""

    def __init__(
        self, find: Callable[[str], Awaitable[ApiKey | None]], rate_per_minute: int, clock: Callable[[], float]
    ) -> None:
        self._find = find
        self._rate = rate_per_minute
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._buckets: dict[str, _Bucket] = {}

    async def require(self, request: HTTPConnection, scope: Scope) -> Caller:
        """Return the caller of a request.

        Raises:
            Unauthorized: no key, or one that is unknown, expired or revoked.
            Forbidden: the key lacks ``scope``.
            RateLimited: the key's requests exceed its rate.
        """
        return await self.check(presented(request), scope)

    async def check(self, secret: str, scope: Scope) -> Caller:
        """Return the caller a secret belongs to; raises like `require`."""
        if not KEY_PATTERN.fullmatch(secret):
            raise Unauthorized("send an API key as 'Authorization: Bearer ck_…'")
        return await self.check_digest(hash_of(secret), scope)

    async def check_digest(self, sha256: str, scope: Scope) -> Caller:
        """Return the caller whose secret has that hash, e.g. of a browser session; raises like `require`."""
        key = await self._lookup(sha256)
        if key.revoked_at is not None:
            raise Unauthorized("this key was revoked; ask an admin for a new one")
        if key.expires_at is not None and key.expires_at <= utc_now():
            raise Unauthorized("this key has expired; ask an admin for a new one")
        if scope not in key.scopes and Scope.ADMIN not in key.scopes:
            raise Forbidden(f"this needs a key with scope '{scope}'", scope=str(scope))
        self._limit(key, scope)
        return Caller(key.id, frozenset(key.scopes))

    def forget(self, key_id: str) -> None:
        """Drop what is remembered of a key, so that a revocation made here acts at once."""
        self._known = {digest: known for digest, known in self._known.items() if known.key.id != key_id}

    async def _lookup(self, digest: str) -> ApiKey:
        now = self._clock()
        known = self._known.get(digest)
        if known is not None and known.until > now:
            return known.key
        # Timing tells nothing: what is compared is the hash of 256 random bits, never the secret.
        key = await self._find(digest)
        if key is None:
            self._known.pop(digest, None)
            raise Unauthorized("this key is not known")
        if len(self._known) >= CACHE_KEYS:
            self._known.clear()
        self._known[digest] = _Known(key, now + CACHE_S)
        return key

    def _limit(self, key: ApiKey, scope: Scope) -> None:
        per_minute = key.rate_per_minute
        if per_minute is None:
            # A runner's requests follow the work, not a caller's will; only a rate set on its key binds it.
            if scope is Scope.NODES:
                return
            per_minute = self._rate
        now = self._clock()
        bucket = self._buckets.get(key.id)
        if bucket is None:
            if len(self._buckets) >= CACHE_KEYS:
                self._buckets.clear()
            bucket = self._buckets[key.id] = _Bucket(float(per_minute), now)
        wait = bucket.take(per_minute, now)
        if wait > 0:
            raise RateLimited(f"more than {per_minute} requests a minute; wait {wait:.1f} s", retry_after_s=wait)


def presented(request: HTTPConnection) -> str:
    """Return the secret of ``Authorization: Bearer …`` or ``X-API-Key``, empty when there is none."""
    authorization = request.headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("x-api-key", "")


def make_authenticator(find: Callable[[str], Awaitable[ApiKey | None]], rate_per_minute: int) -> Authenticator:
    """Return an authenticator over the ledger's keys, on the monotonic clock."""
    return Authenticator(find, rate_per_minute, time.monotonic)
