"""Composition: a core adapter and topic adapters as one, made once and kept under an id of what went in.

``cat`` sets the factors side by side, so that the product is the weighted sum itself; ranks add up. ``svd`` cuts the
sum to the engine's largest rank, as close as any matrices of that rank can be (Eckart and Young 1936), and reports
what was lost. ``linear``, which adds A to A and B to B, is neither: (B1 + B2)(A1 + A2) has cross terms.
"""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path

import numpy as np

from concilium.adapters import strict_json
from concilium.adapters.arrays import Floats, read_floats
from concilium.adapters.bundle import TEXT_BYTES, Bundle, open_bundle
from concilium.adapters.folder import PlainFile, read
from concilium.adapters.modules import natural
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.adapters.writing import SERVED_RANKS, new_folder, seal, served_rank, write_file, write_lora
from concilium.contracts.adapters import (
    LICENSE,
    PARENTS_MAX,
    README,
    AdapterFacts,
    BaseFingerprint,
    Composition,
    Verdict,
    VerifyReport,
)
from concilium.contracts.errors import Invalid

METHODS = ("cat", "svd")


@dataclass(frozen=True)
class Recipe:
    """What to make an adapter of.

    Attributes:
        parents: the adapters, the core first.
        weights: by which each of them counts.
        method: ``cat`` or ``svd``; another is refused.
        rank_max: the largest rank the engine has room for.
    """

    parents: Sequence[Bundle]
    weights: Sequence[float]
    method: str
    rank_max: int

    @property
    def room(self) -> int:
        """The largest rank that is served and fits."""
        return max(rank for rank in SERVED_RANKS if rank <= self.rank_max)

    @property
    def id(self) -> str:
        """The composite id: over the parents' digests in their order, the weights, and the method."""
        cut = self.room if self.method == "svd" else None
        parts = [
            "composition 1",
            self.method,
            cut,
            [one.digest for one in self.parents],
            list(map(float, self.weights)),
        ]
        return hashlib.sha256(strict_json.dump(parts)).hexdigest()


def compose(recipe: Recipe, store: Path) -> Bundle:
    """Return the composite of a recipe: from the store when it was made before, else made now.

    Args:
        recipe: what to make it of.
        store: the folder of composites; each is in a folder named by its composite id.

    Raises:
        Invalid: the number of parents or a weight makes no sense.
        BundleRefused: ``linear``, ``rank-too-high``, ``bases-differ``, ``paradigms-differ``, or what is wrong with a
            composite that lies in the store.
    """
    _check(recipe)
    target = store / recipe.id
    if not target.exists():
        try:
            _make(recipe, target)
        except BundleRefused as error:
            # Another process was first: what it made is the same.
            if error.code is not Refusal.EXISTS:
                raise
    return open_bundle(target)


def _check(recipe: Recipe) -> None:
    if recipe.method not in METHODS:
        detail = (
            f"{recipe.method!r} is not taken: it merges the factors A and B apart, which is not the adapters' sum; "
            "use cat, or svd when the ranks add up to more than the engine serves"
        )
        raise BundleRefused(Refusal.LINEAR, detail)
    if not 2 <= len(recipe.parents) <= PARENTS_MAX or len(recipe.weights) != len(recipe.parents):
        raise Invalid(f"name 2 to {PARENTS_MAX} parents with one weight each")
    if recipe.rank_max < 1:
        raise Invalid("the engine's largest rank is at least 1")
    if any(not isfinite(weight) or weight == 0 for weight in recipe.weights):
        raise Invalid("a weight is a finite number other than zero")
    _base(recipe.parents)
    _facts(recipe)
    total = sum(parent.manifest.rank for parent in recipe.parents)
    if recipe.method == "cat" and total > recipe.room:
        ranks = " + ".join(str(parent.manifest.rank) for parent in recipe.parents)
        detail = f"cat makes rank {ranks} = {total}; the engine has room for {recipe.room}. Use svd, which cuts to that"
        raise BundleRefused(Refusal.RANK_TOO_HIGH, detail)


def _make(recipe: Recipe, target: Path) -> None:
    factors = _factors(recipe)
    if recipe.method == "svd":
        rank = recipe.room
        factors, error = _cut(factors, rank)
    else:
        rank, error = served_rank(sum(parent.manifest.rank for parent in recipe.parents)), 0.0
    types = {module.a.dtype for parent in recipe.parents for module in parent.modules.values()}
    dtype = types.pop() if len(types) == 1 else "F32"
    with new_folder(target) as folder:
        write_lora(folder, factors, rank, dtype, recipe.parents[0].config.task)
        write_file(folder, LICENSE, _licenses(recipe.parents))
        write_file(folder, README, _about(recipe, error))
        seal(
            folder,
            _facts(recipe),
            _base(recipe.parents),
            rank=rank,
            verdict=VerifyReport(verdict=Verdict.INSUFFICIENT),
            composition=Composition(method=recipe.method, weights=tuple(recipe.weights), error=error),
        )
        open_bundle(folder)


def _factors(recipe: Recipe) -> dict[str, tuple[Floats, Floats]]:
    """Return for each module the parents' A below each other, and their scaled and weighted B beside each other."""
    with ExitStack() as stack:
        files = [stack.enter_context(parent.weights()) for parent in recipe.parents]
        names = sorted({name for parent in recipe.parents for name in parent.modules}, key=natural)
        return {name: _side_by_side(recipe, files, name) for name in names}


def _side_by_side(recipe: Recipe, files: Sequence[PlainFile], name: str) -> tuple[Floats, Floats]:
    left, right = [], []
    for parent, weight, file in zip(recipe.parents, recipe.weights, files, strict=True):
        module = parent.modules.get(name)
        if module is not None:
            scale = weight * parent.config.scale(name)
            left.append(read_floats(file, module.a))
            right.append((read_floats(file, module.b).astype(np.float64) * scale).astype(np.float32))
    shapes = {(b.shape[0], a.shape[1]) for a, b in zip(left, right, strict=True)}
    if len(shapes) != 1:
        detail = f"{name} has the shapes {sorted(shapes)} in the parents, so they are not of one base model"
        raise BundleRefused(Refusal.BASES_DIFFER, detail, module=name)
    return np.concatenate(left, axis=0), np.concatenate(right, axis=1)


def _cut(factors: dict[str, tuple[Floats, Floats]], rank: int) -> tuple[dict[str, tuple[Floats, Floats]], float]:
    """Return the nearest factors of a rank, and the Frobenius norm of what is lost relative to that of the sum."""
    found, lost, total = {}, 0.0, 0.0
    for name, (a, b) in factors.items():
        # B·A = Qb (Rb·Raᵀ) Qaᵀ: the middle is as small as the ranks, the product is never made.
        qb, rb = np.linalg.qr(b.astype(np.float64))
        qa, ra = np.linalg.qr(a.T.astype(np.float64))
        u, values, vt = np.linalg.svd(rb @ ra.T, full_matrices=False)
        kept = min(rank, len(values))
        root = np.sqrt(values[:kept])
        cut_b, cut_a = (qb @ u[:, :kept]) * root, (root[:, None] * vt[:kept]) @ qa.T
        found[name] = cut_a.astype(np.float32), cut_b.astype(np.float32)
        lost += float(np.sum(values[kept:] ** 2))
        total += float(np.sum(values**2))
    return found, sqrt(lost / total) if total else 0.0


def _base(parents: Sequence[Bundle]) -> BaseFingerprint:
    """Return the base of all parents, with its weights' hash when one of them knows it."""
    bases = [parent.manifest.base for parent in parents]
    weights = {base.weights for base in bases if base.weights}
    if len({(base.architecture, base.shapes) for base in bases}) != 1 or len(weights) > 1:
        names = ", ".join(f"{one.manifest.reference} on {one.manifest.base.name}" for one in parents)
        raise BundleRefused(Refusal.BASES_DIFFER, f"the parents are made for different base models: {names}")
    return bases[0].model_copy(update={"weights": next(iter(weights), None)})


def _facts(recipe: Recipe) -> AdapterFacts:
    """Return what holds of the composite: it is as private and as restricted as any of its parents."""
    manifests = [parent.manifest for parent in recipe.parents]
    paradigms = {manifest.paradigm for manifest in manifests if manifest.paradigm is not None}
    if len(paradigms) > 1:
        names = ", ".join(sorted(paradigm.id for paradigm in paradigms))
        detail = f"the parents speak for different paradigms ({names}), and an answer carries the warning of one"
        raise BundleRefused(Refusal.PARADIGMS_DIFFER, detail)
    return AdapterFacts(
        id=f"composite-{recipe.id[:16]}",
        version="1.0.0",
        capability="composite",
        parents=tuple(parent.digest for parent in recipe.parents),
        data_hashes=tuple(dict.fromkeys(one for manifest in manifests for one in manifest.data_hashes)),
        paradigm=next(iter(paradigms), None),
        restricted=any(manifest.restricted for manifest in manifests),
    )


def _licenses(parents: Sequence[Bundle]) -> bytes:
    """Return the parents' licences, each text once."""
    texts: dict[bytes, list[str]] = {}
    for parent in parents:
        texts.setdefault(read(parent.folder, LICENSE, TEXT_BYTES), []).append(str(parent.manifest.reference))
    return b"\n".join(f"Of {', '.join(names)}:\n\n".encode() + text for text, names in texts.items())


def _about(recipe: Recipe, error: float) -> bytes:
    pairs = zip(recipe.parents, recipe.weights, strict=True)
    lines = [f"- {weight:g} × {parent.manifest.reference}, `{parent.digest}`" for parent, weight in pairs]
    loss = f"; relative Frobenius error {error:.3g}" if recipe.method == "svd" else ""
    return ("\n".join(["# A composite", "", f"By {recipe.method}{loss}, of", "", *lines]) + "\n").encode()
