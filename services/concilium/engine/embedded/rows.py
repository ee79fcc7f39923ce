"""The rows of the batch and the packing of one step."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from concilium.engine.embedded.attention import Step, Stretch, singles, stretch
from concilium.engine.embedded.cache import SlotCache
from concilium.engine.embedded.job import Job, Listener, Scored
from concilium.engine.embedded.lora import Adapter, Share
from concilium.engine.embedded.sampler import Chooser
from concilium.engine.embedded.written import Written

PROMPT_TOKENS = 256
"""Tokens of prompts computed in one step, at most: what the other rows wait for."""
SCORED_TOKENS = 64
"""The same for a prompt whose log-probabilities are asked for: each takes a line as long as the vocabulary."""


@dataclass(eq=False)
class Row:
    """One job at work."""

    job: Job
    listener: Listener
    written: Written
    chooser: Chooser
    tokens: list[int] = field(init=False)
    """The prompt and what was generated."""
    done: int = 0
    """Tokens whose keys and values are in the cache."""
    touched: int = 0
    """Positions of its slot that were written, by a step that failed too."""
    reused: int = 0
    """Tokens of the prompt that were in the slot already."""
    slot: int = -1
    prompt_scores: list[Scored] = field(default_factory=list)
    gone: bool = False
    """Nobody listens any more."""
    ending: bool = False
    """The last event was said."""

    def __post_init__(self) -> None:
        self.tokens = list(self.job.prompt)

    @property
    def key(self) -> str:
        """What its keys and values are known by, with their tokens."""
        return self.job.adapter.digest if self.job.adapter else ""

    @property
    def generated(self) -> int:
        """Tokens chosen so far."""
        return len(self.tokens) - len(self.job.prompt)


@dataclass(frozen=True)
class Part:
    """What a row brings to a step."""

    row: Row
    count: int
    """Tokens."""
    begin: int
    """Where they stand in the sequence."""

    @property
    def last(self) -> bool:
        """Whether a token is to be chosen after it."""
        return self.row.done + self.count == len(self.row.tokens)


def parts_of(rows: Sequence[Row]) -> list[Part]:
    """Return what each row brings; rows of one adapter stand behind each other. Prompts share a budget in order."""
    budget = PROMPT_TOKENS
    found: list[tuple[Row, int]] = []
    for row in rows:
        pending = len(row.tokens) - row.done
        if pending > 1:
            pending = min(pending, budget, SCORED_TOKENS if row.job.prompt_logprobs is not None else pending)
            budget -= pending
        if pending:
            found.append((row, pending))
    found.sort(key=lambda each: each[0].key)
    parts, begin = [], 0
    for row, count in found:
        parts.append(Part(row, count, begin))
        begin += count
    return parts


def pack(parts: Sequence[Part], cache: SlotCache, device: str) -> Step:
    """Return where the tokens of a step stand."""
    slots: list[int] = []
    positions: list[int] = []
    for part in parts:
        slots += [part.row.slot] * part.count
        positions += range(part.row.done, part.row.done + part.count)
    alone = sorted((part for part in parts if part.count == 1), key=lambda part: part.row.slot)
    several: list[Stretch] = [
        stretch(part.begin, part.count, part.row.slot, part.row.done, device) for part in parts if part.count > 1
    ]
    one = None
    if alone:
        lengths = [part.row.done + 1 for part in alone]
        one = singles([part.begin for part in alone], [part.row.slot for part in alone], lengths, device)
    where = torch.tensor([slots, positions], device=device)
    return Step(cache, where[0], where[1], one, tuple(several))


def shares_of(parts: Sequence[Part]) -> tuple[Share, ...]:
    """Return which adapter answers for which tokens of the step."""
    found: list[Share] = []
    for part in parts:
        adapter: Adapter | None = part.row.job.adapter
        if adapter is None:
            continue
        end = part.begin + part.count
        if found and found[-1].adapter is adapter and found[-1].end == part.begin:
            found[-1] = Share(found[-1].begin, end, adapter)
        else:
            found.append(Share(part.begin, end, adapter))
    return tuple(found)
