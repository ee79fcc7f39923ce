"""Who may call and what it costs: one async method per operation."""

from decimal import Decimal

from concilium.contracts.costs import CostReport
from concilium.ledger import keys, reports
from concilium.ledger.models import ApiKey
from concilium.ledger.opening import OpenLedger
from concilium.ledger.reports import Asked


class Accounts(OpenLedger):
    """The ledger's API keys and costs."""

    async def create_key(
        self,
        name: str,
        scopes: tuple[str, ...],
        expires_in_s: float | None = None,
        rate_per_minute: int | None = None,
        budget: Decimal | None = None,
    ) -> tuple[ApiKey, str]:
        """Make an API key; the secret is returned once and never stored."""
        secret = keys.new_secret()
        key = await self._write(
            keys.create,
            keys.hash_of(secret),
            name,
            scopes,
            expires_in_s=expires_in_s,
            rate_per_minute=rate_per_minute,
            budget=budget,
        )
        return key, secret

    async def ensure_key(self, secret: str, name: str, scopes: tuple[str, ...]) -> ApiKey:
        """Return the key with this secret, making it when it is not known (keys kept in files of the home)."""
        known = await self.find_key(keys.hash_of(secret))
        if known is not None:
            return known
        return await self._write(keys.create, keys.hash_of(secret), name, scopes)

    async def find_key(self, sha256: str) -> ApiKey | None:
        """Return the key whose secret has this hash (`hash_of`), revoked and expired ones too."""
        return await self._look(keys.find, sha256)

    async def list_keys(self) -> list[ApiKey]:
        """Return every key, oldest first."""
        return await self._read(keys.list_all)

    async def rotate_key(self, key: str, overlap_s: float) -> tuple[ApiKey, str]:
        """Give a key (its id, or its secret's hash) another secret. Raises `NotFound`, `Conflict` when revoked."""
        secret = keys.new_secret()
        return await self._write(keys.rotate, key, keys.hash_of(secret), overlap_s), secret

    async def revoke_key(self, key_id: str) -> None:
        """Revoke a key at once. Raises `NotFound`."""
        await self._write(keys.revoke, key_id)

    async def set_budget(self, key_id: str, budget: Decimal | None) -> ApiKey:
        """Set what a key's tasks may cost a month; None: no limit of its own. Raises `NotFound`."""
        return await self._write(keys.set_budget, key_id, budget)

    async def costs(self, asked: Asked) -> CostReport:
        """Return sums of costs, and the budgets in force."""
        return await self._read(reports.report, self._store.rules, self._store.clock.now(), asked)
