"""Chooses each row's next token; what a row gets depends on nothing but its logits, its settings and its own chance."""

import random
from collections.abc import Sequence

import numpy as np
import torch

from concilium.engine.embedded.job import Grammar, Sampling, Scored


class Chooser:
    """One row's settings with what they remember."""

    def __init__(self, sampling: Sampling, grammar: Grammar | None, prompt: Sequence[int]) -> None:
        self.sampling = sampling
        self.grammar = grammar
        self._prompt = prompt
        self._written: list[int] = []
        self._chance = random.Random(sampling.seed)  # noqa: S311 - tokens, not secrets

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is the one."""
        return self.sampling.temperature == 0 and self.grammar is None and not self.sampling.penalised

    def draw(self) -> float:
        """Return the row's next number in [0, 1)."""
        return self._chance.random()

    def take(self, token: int) -> bool:
        """Remember a chosen token; return whether the grammar says that the answer is complete."""
        self._written.append(token)
        return self.grammar is not None and self.grammar.take(token)

    def bend(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the row's logits after penalties and grammar."""
        if self.sampling.penalised:
            logits = self._penalise(logits)
        if self.grammar is not None:
            bits = np.unpackbits(np.frombuffer(self.grammar.allowed(), np.uint8), bitorder="little")
            allowed = torch.from_numpy(bits[: logits.shape[0]]).to(logits.device, torch.bool)
            logits = logits.masked_fill(~allowed, -torch.inf)
        return logits

    def _penalise(self, logits: torch.Tensor) -> torch.Tensor:
        """Apply the penalties: that of repetition counts the prompt too, the others what was written (as vLLM does)."""
        wanted, size = self.sampling, logits.shape[0]
        written = torch.tensor(self._written, dtype=torch.long, device=logits.device)
        counts = torch.bincount(written, minlength=size)
        seen = counts > 0
        seen[torch.tensor(self._prompt, dtype=torch.long, device=logits.device)] = True
        weaker = torch.where(logits > 0, logits / wanted.repetition_penalty, logits * wanted.repetition_penalty)
        logits = torch.where(seen, weaker, logits)
        return logits - counts * wanted.frequency_penalty - (counts > 0) * wanted.presence_penalty


def choose(logits: torch.Tensor, rows: Sequence[Chooser]) -> list[int]:
    """Return a token for each row of logits (rows x vocabulary)."""
    if all(row.plain for row in rows):
        return [int(token) for token in logits.argmax(-1).tolist()]
    bent = torch.stack([row.bend(line) for row, line in zip(rows, logits.float(), strict=True)])
    tokens: list[int] = bent.argmax(-1).tolist()
    # Rows are drawn in two groups by what they ask for themselves: the order of the sum decides what a number means.
    chance = [at for at, row in enumerate(rows) if row.sampling.temperature > 0]
    for ordered in (False, True):
        group = [at for at in chance if _ordered(rows[at].sampling) is ordered]
        if group:
            drawn = _draw(bent[group], [rows[at] for at in group], ordered=ordered)
            for at, token in zip(group, drawn, strict=True):
                tokens[at] = token
    return tokens


def _ordered(sampling: Sampling) -> bool:
    return sampling.top_k > 0 or sampling.top_p < 1.0


def _draw(logits: torch.Tensor, rows: Sequence[Chooser], *, ordered: bool) -> list[int]:
    """Return a drawn token for each row: where its number falls in the sum of the probabilities that are left."""

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]

    sampled = [row.sampling for row in rows]
    chances = (logits.double() / column([each.temperature for each in sampled])).softmax(-1)
    tokens = None
    if ordered:
        chances, tokens = chances.sort(stable=True, dim=-1, descending=True)
        size = chances.shape[1]
        ranks = torch.arange(size, device=logits.device)
        before = chances.cumsum(-1) - chances
        left = (before < column([each.top_p for each in sampled])) & (
            ranks < column([float(each.top_k or size) for each in sampled])
        )
        left[:, 0] = True
        chances = chances * left
    least = chances.max(-1, keepdim=True).values * column([each.min_p for each in sampled])
    sums = (chances * (chances >= least)).cumsum(-1)
    drawn = column([row.draw() for row in rows]) * sums[:, -1:]
    # Rounding may leave the number at the very end: the last token that has a share is meant then.
    found = torch.searchsorted(sums, drawn, right=True)
    found = torch.minimum(found, torch.searchsorted(sums, sums[:, -1:].contiguous()))
    return (found if tokens is None else tokens.gather(1, found))[:, 0].tolist()


def score(logits: torch.Tensor, tokens: Sequence[int], top: int) -> list[Scored]:
    """Return each row's token with its log-probability and the likeliest ones."""
    lines = logits.float().log_softmax(-1)
    own = lines.gather(1, torch.tensor(tokens, device=lines.device)[:, None])
    ranks = (lines > own).sum(-1) + 1
    best = lines.topk(min(top, lines.shape[1]), -1) if top else None
    found = []
    for at, token in enumerate(tokens):
        tops = () if best is None else tuple(zip(best.indices[at].tolist(), best.values[at].tolist(), strict=True))
        found.append(Scored(token, own[at].item(), int(ranks[at].item()), tops))
    return found
