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
        busy: whether the engine had too much to do to answer.
    """

    holds: bool
    detail: str
    busy: bool = False


TOLERANCE_PART, TOLERANCE_MAX = 0.25, 0.2
"""Of the gap to the base, and in nats: what other number formats and batches may shift."""


async def measure(
    admin: EngineAdmin, served: str, base: str, prompt: Sequence[int], continuation: Sequence[int]
) -> Probe:
    """Return the probe of an adapter that an engine is known to serve, for the report of its verification.

    Args:
        admin: the engine.
        served: the adapter there.
        base: its base model there.
        prompt: tokens.
        continuation: tokens that the adapter was taught to answer.

    Raises:
        AdminError: the engine does not answer.
        ValueError: the adapter does not make the continuation likelier than its base does.
    """
    count = len(continuation)
    tokens = (*prompt, *continuation)
    adapter, alone = (await admin.score(served, tokens))[-count:], (await admin.score(base, tokens))[-count:]
    gap = sum(mine - its for mine, its in zip(adapter, alone, strict=True)) / count
    if gap <= 0:
        raise ValueError(f"the adapter makes its continuation no likelier than the base: {gap:.4f} nats a token")
    return Probe(
        prompt=tuple(prompt),
        continuation=tuple(continuation),
        adapter=tuple(adapter),
        base=tuple(alone),
        tolerance=min(TOLERANCE_MAX, TOLERANCE_PART * gap),
        margin=gap / 2,
    )


async def prove(admin: EngineAdmin, served: str, base: str, probe: Probe) -> Proven:
    """Ask an engine for an adapter's stored continuation, under the adapter and under its base."""
    tokens = (*probe.prompt, *probe.continuation)
    try:
        adapter = await admin.score(served, tokens)
        alone = await admin.score(base, tokens)
    except AdminError as error:
        busy = error.kind == "timeout" or error.status in {429, 503}
        return Proven(False, f"the engine lists it but does not answer for it ({error})", busy)
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
