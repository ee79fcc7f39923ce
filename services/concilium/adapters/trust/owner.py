"""What the owner does, from the keys in files to the state of this home."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Root

from concilium.adapters.trust import author, update
from concilium.adapters.trust.bundle import check_files, manifest_of, opened
from concilium.adapters.trust.encoding import canonical
from concilium.adapters.trust.keys import ROLES, KeyFolder, Kind, make_key
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.release import Release
from concilium.adapters.trust.state import TrustState
from concilium.adapters.trust.targets import Reference, Target, check_name, reason
from concilium.adapters.trust.update import Index, Trusted


@dataclass(frozen=True)
class Owner:
    """A home that signs.

    Attributes:
        state: what it believes.
        keys: where its index and freshness keys are; root keys are on sticks.
        now: the moment.
    """

    state: TrustState
    keys: KeyFolder
    now: datetime

    def found(self, sticks: Sequence[KeyFolder], threshold: int) -> Trusted:
        """Make all keys and an empty index, one root key on each stick, and trust it.

        Raises:
            TrustRefused: `STATE_UNSAFE` when this home trusts somebody already; `UNREACHABLE_THRESHOLD`,
                `KEY_UNUSABLE`.
        """
        with self.state.changing():
            if self.state.exists:
                raise TrustRefused(Code.STATE_UNSAFE, f"{self.state.folder} holds an index already; it is kept")
            if len({stick.folder.resolve() for stick in sticks}) < len(sticks):
                raise TrustRefused(Code.KEY_UNUSABLE, "two root keys on one stick are lost and stolen as one")
            if not 1 <= threshold <= len(sticks):
                raise TrustRefused(Code.UNREACHABLE_THRESHOLD, f"{threshold} of {len(sticks)} root keys cannot sign")
            for folder in (self.keys, *sticks):
                folder.check_passphrase()
            roots = [make_key() for _ in sticks]
            index, freshness = make_key(), make_key()
            for stick, signer in zip(sticks, roots, strict=True):
                stick.write(Kind.ROOT, signer)
            self.keys.write(Kind.INDEX, index)
            self.keys.write(Kind.FRESHNESS, freshness)
            trusted = update.begin(author.first_root(roots, threshold, index, freshness, self.now), self.now)
            offered = author.publish(trusted, None, (), author.Signers(index, freshness), self.now)
            return self._believe(trusted, offered)

    def sign(
        self, bundles: Iterable[Path], models: Collection[str], release: Release | None = None
    ) -> tuple[Target, ...]:
        """Take bundles into the index, after a look at every byte of them, and return what it says of them.

        Args:
            models: what the mesh calls its base models.
            release: how somebody else signed the bundle.

        Raises:
            TrustRefused: `VERSION_REUSED` for a version that the index names with other bytes or as revoked,
                `NAME_TAKEN`, and what a bundle is refused for.
        """
        found = [_examine(bundle, models, release) for bundle in bundles]
        with self.state.changing():
            trusted = self.state.load()
            entries = dict(trusted.index.entries) if trusted.index else {}
            for target in found:
                if entries.setdefault(target.reference, target) != target:
                    raise TrustRefused(Code.VERSION_REUSED, f"{target.reference} is taken; raise the version")
            self._publish(trusted, trusted.index, entries.values())
        return tuple(found)

    def revoke(self, reference: Reference, why: str) -> Target:
        """Take a version out of use for good. Raises `TrustRefused` (`NOT_IN_INDEX`, `BAD_TARGET` for the reason)."""
        with self.state.changing():
            trusted = self.state.load()
            entries = dict(trusted.index.entries) if trusted.index else {}
            if reference not in entries:
                raise TrustRefused(Code.NOT_IN_INDEX, f"the index does not name {reference}")
            entries[reference] = replace(entries[reference], revoked=reason(why))
            self._publish(trusted, trusted.index, entries.values())
            return entries[reference]

    def refresh(self) -> Trusted:
        """Sign the index anew with the freshness key alone, so that it is good for a while longer."""
        with self.state.changing():
            trusted = self.state.load()
            if trusted.index is None:
                raise TrustRefused(Code.NO_INDEX, "there is no index to sign anew")
            freshness = self.keys.signer(Kind.FRESHNESS, trusted.root.signed)
            offered = author.refresh(trusted, trusted.index, trusted.index.targets, freshness, self.now)
            return self._believe(trusted, offered)

    def draft(self, kind: Kind, drop: Iterable[str], new_sticks: Sequence[KeyFolder]) -> bytes:
        """Return the next root, unsigned, with new keys of a kind; the private ones are written.

        Of the index and freshness kind every key is replaced by one; of the root kind those to drop by one for each
        new stick.
        """
        current = self.state.load().root
        folders = new_sticks if kind == Kind.ROOT else [self.keys]
        old = drop if kind == Kind.ROOT else list(current.signed.roles[ROLES[kind][0]].keyids)
        added = [make_key() for _ in folders]
        root = author.next_root(current, kind, old, added, self.now)
        for folder, signer in zip(folders, added, strict=True):
            folder.write(kind, signer)
        return canonical(root.to_dict())

    def adopt(self, raw: bytes) -> Trusted:
        """Believe a root that enough keys have signed, and sign the index anew with the keys that it names.

        Raises:
            TrustRefused: `NOT_ENOUGH_SIGNATURES` among others.
        """
        with self.state.changing():
            before = self.state.load()
            trusted = update.follow(before, [raw])
            signers = self._signers(trusted)
            entries = before.index.entries.values() if before.index else ()
            done = self._believe(trusted, author.publish(trusted, before.index, entries, signers, self.now))
        self._forget(done.root.signed)
        return done

    def _publish(self, trusted: Trusted, before: Index | None, entries: Iterable[Target]) -> Trusted:
        return self._believe(trusted, author.publish(trusted, before, entries, self._signers(trusted), self.now))

    def _signers(self, trusted: Trusted) -> author.Signers:
        root = trusted.root.signed
        return author.Signers(self.keys.signer(Kind.INDEX, root), self.keys.signer(Kind.FRESHNESS, root))

    def _believe(self, trusted: Trusted, offered: update.Offered) -> Trusted:
        done = update.accept(trusted, update.assemble(trusted.root, offered), self.now)
        self.state.store(done)
        return done

    def _forget(self, root: Root) -> None:
        """Remove the private keys that no longer sign anything."""
        for kind in (Kind.INDEX, Kind.FRESHNESS):
            good = {self.keys.path(kind, key_id) for key_id in root.roles[ROLES[kind][0]].keyids}
            for path in set(self.keys.folder.glob(f"{kind}-*.key")) - good:
                path.unlink()


def _examine(bundle: Path, models: Collection[str], release: Release | None) -> Target:
    with opened(bundle) as handle:
        manifest = manifest_of(handle)
        check_name(manifest.reference, models)
        check_files(handle, manifest)
    if release:
        release.check(manifest)
    return manifest.target
