"""Keys are judged from what the ledger says, remembered briefly, and limited evenly."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from concilium.contracts.errors import Forbidden, RateLimited, Unauthorized
from concilium.gateway.auth import CACHE_S, Authenticator, Scope
from concilium.ledger import ApiKey, hash_of

SECRET = "ck_" + "a" * 43


@dataclass
class Keys:
    """Stored keys by hash, and a clock that the test moves."""

    stored: dict[str, ApiKey] = field(default_factory=dict)
    asked: int = 0
    now: float = 1000.0

    async def find(self, sha256: str) -> ApiKey | None:
        self.asked += 1
        return self.stored.get(sha256)

    def put(self, **changes: object) -> None:
        base = {"id": "key_1", "name": "n", "scopes": ("tasks:read",), "created_at": datetime.now(UTC)}
        self.stored[hash_of(SECRET)] = ApiKey.model_validate({**base, **changes})


@pytest.fixture
def keys() -> Keys:
    known = Keys()
    known.put()
    return known


@pytest.fixture
def auth(keys: Keys) -> Authenticator:
    return Authenticator(keys.find, rate_per_minute=60, clock=lambda: keys.now)


async def test_a_revocation_elsewhere_acts_within_two_seconds(auth: Authenticator, keys: Keys) -> None:
    await auth.check(SECRET, Scope.READ)
    keys.put(revoked_at=datetime.now(UTC))
    assert (await auth.check(SECRET, Scope.READ)).key_id == "key_1"
    assert keys.asked == 1
    keys.now += CACHE_S
    assert CACHE_S <= 2.0
    with pytest.raises(Unauthorized, match="revoked"):
        await auth.check(SECRET, Scope.READ)


async def test_a_remembered_key_still_ends_when_it_expires(auth: Authenticator, keys: Keys) -> None:
    keys.put(expires_at=datetime.now(UTC) + timedelta(microseconds=1))
    with pytest.raises(Unauthorized, match="expired"):
        await auth.check(SECRET, Scope.READ)


async def test_a_malformed_key_never_reaches_the_ledger(auth: Authenticator, keys: Keys) -> None:
    for secret in ("", "ck_", SECRET + "a", SECRET[:-1], SECRET[:-1] + "!", SECRET + "\n"):
        with pytest.raises(Unauthorized):
            await auth.check(secret, Scope.READ)
    assert keys.asked == 0


async def test_admin_includes_every_scope_and_no_other_does(auth: Authenticator, keys: Keys) -> None:
    with pytest.raises(Forbidden):
        await auth.check(SECRET, Scope.WRITE)
    keys.now += CACHE_S
    keys.put(scopes=("admin",))
    for scope in Scope:
        await auth.check(SECRET, scope)


async def test_tokens_refill_evenly_up_to_one_minutes_worth(auth: Authenticator, keys: Keys) -> None:
    keys.put(rate_per_minute=4)
    for _ in range(4):
        await auth.check(SECRET, Scope.READ)
    with pytest.raises(RateLimited) as refused:
        await auth.check(SECRET, Scope.READ)
    assert refused.value.extra["retry_after_s"] == pytest.approx(15.0)
    keys.now += 15.0
    await auth.check(SECRET, Scope.READ)
    with pytest.raises(RateLimited):
        await auth.check(SECRET, Scope.READ)
    keys.now += 600.0
    for _ in range(4):
        await auth.check(SECRET, Scope.READ)
    with pytest.raises(RateLimited):
        await auth.check(SECRET, Scope.READ)


async def test_a_runner_is_limited_only_by_a_rate_of_its_own(auth: Authenticator, keys: Keys) -> None:
    keys.put(scopes=("nodes",))
    for _ in range(100):
        await auth.check(SECRET, Scope.NODES)
    keys.put(scopes=("nodes",), rate_per_minute=1)
    keys.now += CACHE_S
    await auth.check(SECRET, Scope.NODES)
    with pytest.raises(RateLimited):
        await auth.check(SECRET, Scope.NODES)
