"""The probe: proof that an engine serves an adapter, and not its base, another one, or nothing at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from concilium.adapters.reconcile.admin import AdminError, EngineAdmin
from concilium.contracts.adapters import Probe


@dataclass(frozen=True)
class Proven:
    """What a probe measured.

    Attributes:
        holds: whether the engine serves the adapter.
        detail: the figures, and what is wrong when it does not.
    """

    holds: bool
    detail: str


async def prove(admin: EngineAdmin, served: str, base: str, probe: Probe) -> Proven:
    """Ask an engine for an adapter's stored continuation, under the adapter and under its base."""
    tokens = (*probe.prompt, *probe.continuation)
    try:
        adapter = await admin.score(served, tokens)
        alone = await admin.score(base, tokens)
    except AdminError as error:
        return Proven(False, f"the engine lists it but does not answer for it ({error})")
    count = len(probe.continuation)
    return compare(probe, adapter[-count:], alone[-count:])


def compare(probe: Probe, adapter: Sequence[float], base: Sequence[float]) -> Proven:
    """Return whether measured log-probabilities are the adapter's."""
    count = len(probe.continuation)
    off = sum(abs(mine - its) for mine, its in zip(adapter, probe.adapter, strict=True)) / count
    margin = sum(mine - its for mine, its in zip(adapter, base, strict=True)) / count
    figures = f"off by {off:.4f} (at most {probe.tolerance:g}), {margin:.3f} above the base (at least {probe.margin:g})"
    if margin < probe.margin:
        return Proven(False, f"it answers as its base does: {figures}")
    if off > probe.tolerance:
        return Proven(False, f"it answers as another adapter would: {figures}")
    return Proven(True, figures)
