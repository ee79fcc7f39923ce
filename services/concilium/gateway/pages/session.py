"""Browser sessions: a signed cookie that names an API key by its SHA-256 and says when it ends.

The cookie is ``<sha256>.<expiry, Unix seconds>.<HMAC-SHA256>`` (RFC 2104). The key itself never reaches the browser's
store, and it is looked up at each request, so revoking the key ends its sessions.
"""

import hashlib
import hmac
import time

COOKIE = "concilium_session"
LIFETIME_S = 12 * 3600


def sign(digest: str, secret: bytes, *, now: float | None = None) -> str:
    """Return the cookie of a session that ends `LIFETIME_S` seconds from ``now``."""
    body = f"{digest}.{int(time.time() if now is None else now) + LIFETIME_S}"
    return f"{body}.{_mac(body, secret)}"


def verify(cookie: str, secret: bytes, *, now: float | None = None) -> str | None:
    """Return the key's SHA-256 of a genuine session that has not ended, else None."""
    body, _, mac = cookie.rpartition(".")
    if not hmac.compare_digest(mac.encode(), _mac(body, secret).encode()):
        return None
    digest, _, expiry = body.rpartition(".")
    return digest if int(expiry) > (time.time() if now is None else now) else None


def _mac(body: str, secret: bytes) -> str:
    return hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()
