"""The step loop: one thread that owns the model and the cache, and moves every row on by one token at each step."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
import torch

from concilium.engine.embedded import metrics
from concilium.engine.embedded.cache import Parked, SlotCache
from concilium.engine.embedded.job import Broken, Ended, Event, Job, Listener, Piece, Prompted, Scored
from concilium.engine.embedded.model import Model
from concilium.engine.embedded.refusal import Refusal
from concilium.engine.embedded.rows import Part, Row, pack, parts_of, shares_of
from concilium.engine.embedded.sampler import Chooser, choose, score
from concilium.engine.embedded.text import Text

log = structlog.get_logger()

Heard = list[tuple[Listener, Event]]
RETRY_AFTER_S = 1


class StepLoop:
    """Rows join and leave between two steps. `submit`, `cancel` and `close` may be called from any thread."""

    def __init__(
        self, model: Model, text: Text, *, slots: int, context: int, queue: int, deliver: Callable[[Heard], None]
    ) -> None:
        """Make the cache.

        Args:
            model: stepped by whoever calls `run`, and by nobody else.
            text: its tokenizer.
            slots: rows at work at once.
            context: tokens a row may have, its prompt included.
            queue: rows that may wait for a slot.
            deliver: hands a step's events to the listeners.
        """
        self._model = model
        self._text = text
        self._cache = SlotCache(model.shape(slots, context), model.device)
        self._left = [Parked("", (), 0, 0) for _ in range(slots)]
        """What each slot holds that no row is using; those from ``len(self._rows)`` on count."""
        self._rows: list[Row] = []
        """The rows at work; their place in the list is their slot."""
        self._limit = slots + queue
        self._deliver = deliver
        self._heard: Heard = []
        self._stamp = 0
        self._wake = threading.Condition()
        self._waiting: deque[Row] = deque()
        self._closed = False

    def submit(self, job: Job, listener: Listener) -> Row:
        """Queue a job; its events go to the listener, the last is `Ended` or `Broken`.

        Raises:
            Refusal: as many rows work and wait as may.
        """
        row = Row(job, listener, self._text.written(job.stops), Chooser(job.sampling, job.grammar, job.prompt))
        with self._wake:
            if self._closed:
                raise Refusal(503, "the server is stopping", "engine_stopping", retry_after_s=RETRY_AFTER_S)
            if len(self._waiting) + len(self._rows) >= self._limit:
                metrics.REFUSED.inc()
                detail = f"{self._limit} requests are at work or wait; ask again later"
                raise Refusal(503, detail, "engine_full", retry_after_s=RETRY_AFTER_S)
            self._waiting.append(row)
            self._wake.notify()
        return row

    def cancel(self, row: Row) -> None:
        """Free a row's slot at the next step; nothing more is heard of it."""
        with self._wake:
            row.gone = True
            self._wake.notify()

    def close(self) -> None:
        """Let `run` return after its step."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    def run(self) -> None:
        """Step until closed. However it ends, no listener is left without a last event."""
        try:
            while self._wait():
                self._free_gone()
                self._admit()
                parts = parts_of(self._rows)
                if parts:
                    began = time.perf_counter()
                    self._advance(parts)
                    metrics.STEP_SECONDS.observe(time.perf_counter() - began)
                self._flush()
        finally:
            self.close()
            for row in [*self._rows, *self._waiting]:
                self._say(row, Broken("the server stopped"))
            self._flush()

    def _wait(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._waiting or self._rows)
            return not self._closed

    def _say(self, row: Row, event: Event) -> None:
        if not row.gone:
            self._heard.append((row.listener, event))

    def _flush(self) -> None:
        if self._heard:
            heard, self._heard = self._heard, []
            self._deliver(heard)
        metrics.ROWS.set(len(self._rows))
        metrics.WAITING.set(len(self._waiting))
        metrics.CACHED.set(sum(row.done for row in self._rows))

    def _free_gone(self) -> None:
        for row in [row for row in self._rows if row.gone]:
            self._leave(row, keep=True)
            metrics.ENDED.labels("canceled").inc()
        with self._wake:
            self._waiting = deque(row for row in self._waiting if not row.gone)

    def _admit(self) -> None:
        while len(self._rows) < len(self._left):
            with self._wake:
                if not self._waiting:
                    return
                row = self._waiting.popleft()
                self._join(row)

    def _join(self, row: Row) -> None:
        """Give a row the next slot, with what is there of its prompt already, else with what was used longest ago."""
        at = len(self._rows)
        prompt = row.job.prompt if row.job.prompt_logprobs is None else ()

        def worth(slot: int) -> tuple[int, int]:
            return self._left[slot].common(row.key, prompt), -self._left[slot].stamp

        best = max(range(at, len(self._left)), key=worth)
        row.reused = row.done = worth(best)[0]
        self._vacate(at, best, keep=row.done > 0)
        self._cache.clear(at, row.done, self._left[at].dirty)
        row.slot, row.touched = at, row.done
        self._rows.append(row)
        metrics.PROMPT_TOKENS.inc(len(row.job.prompt))
        metrics.REUSED_TOKENS.inc(row.reused)

    def _vacate(self, slot: int, other: int, *, keep: bool) -> None:
        """Bring what another slot holds into this one, and what this one holds into the other; ``keep``: both count."""
        here, there = self._left[slot], self._left[other]
        if slot == other:
            return
        if keep:
            self._cache.swap(slot, other, max(here.dirty, there.dirty))
            self._left[slot], self._left[other] = there, here
        else:
            self._cache.copy(slot, other, here.dirty)
            self._left[other] = replace(here, dirty=max(here.dirty, there.dirty))

    def _leave(self, row: Row, *, keep: bool) -> None:
        """Take a row out. Its keys and values stay for prompts that begin like it, unless a step of it failed."""
        last = self._rows.pop()
        if last is not row:
            self._cache.swap(row.slot, last.slot, max(row.touched, last.touched))
            self._rows[row.slot] = last
            row.slot, last.slot = last.slot, row.slot
        self._stamp += 1
        tokens, stamp = (row.tokens[: row.done], self._stamp) if keep else ((), 0)
        self._left[row.slot] = Parked(row.key, tokens, row.touched, stamp)

    def _advance(self, parts: Sequence[Part]) -> None:
        """Compute what the rows bring. Rows whose step fails together are tried alone; who fails alone has failed."""
        for part in parts:
            part.row.touched = part.row.done + part.count
        try:
            logits, lines = self._compute(parts)
            ending = [part for part in parts if part.last and part.row.job.max_tokens]
            chosen = self._choose(logits, lines, ending)
        except Exception:
            metrics.FAILED_STEPS.inc()
            if len(parts) > 1:
                for part in parts:
                    self._advance([replace(part, begin=0)])
                return
            log.exception("a step failed", adapter=parts[0].row.key)
            self._fail(parts[0].row, "the model could not compute this")
            return
        for part in parts:
            self._settle(part, logits, lines[part.row.slot], chosen.get(part.row.slot))
        # Rows leave when all were settled: until then their slots name them.
        for part in parts:
            if part.row.ending:
                self._leave(part.row, keep=True)

    def _compute(self, parts: Sequence[Part]) -> tuple[torch.Tensor, dict[int, range]]:
        """Return the logits that are needed, and which lines of them are whose, by slot."""
        tokens: list[int] = []
        keep: list[int] = []
        lines = {}
        for part in parts:
            row, end = part.row, part.begin + part.count
            tokens += row.tokens[row.done : row.done + part.count]
            scored = row.job.prompt_logprobs is not None and row.done < len(row.job.prompt)
            wanted = range(part.begin if scored else end - 1 if part.last else end, end)
            lines[row.slot] = range(len(keep), len(keep) + len(wanted))
            keep += wanted
        step = pack(parts, self._cache, self._model.device)
        logits = self._model.forward(tokens, step, shares_of(parts), keep)
        if keep and not bool(torch.isfinite(logits.amax(-1)).all()):
            raise ArithmeticError("the logits are no numbers")
        return logits, lines

    def _choose(
        self, logits: torch.Tensor, lines: dict[int, range], ending: Sequence[Part]
    ) -> dict[int, tuple[int, tuple[Scored, ...]]]:
        """Return the next token of each row whose pending tokens are computed, with its score if asked for, by slot."""
        if not ending:
            return {}
        at = [lines[part.row.slot][-1] for part in ending]
        tokens = choose(logits[at], [part.row.chooser for part in ending])
        found = {}
        for part, line, token in zip(ending, at, tokens, strict=True):
            top = part.row.job.logprobs
            found[part.row.slot] = token, () if top is None else tuple(score(logits[line : line + 1], [token], top))
        return found

    def _settle(
        self, part: Part, logits: torch.Tensor, lines: range, chosen: tuple[int, tuple[Scored, ...]] | None
    ) -> None:
        """Write down what a step brought to a row."""
        row, was = part.row, part.row.done
        row.done += part.count
        if row.job.prompt_logprobs is not None and was < len(row.job.prompt):
            following = row.job.prompt[was + 1 : row.done + 1]
            if following:
                row.prompt_scores += score(logits[lines.start :][: len(following)], following, row.job.prompt_logprobs)
            if row.done >= len(row.job.prompt):
                self._say(row, Prompted((None, *row.prompt_scores)))
        if chosen is not None:
            self._take(row, *chosen)
        elif row.done >= len(row.job.prompt) and not row.job.max_tokens:
            self._end(row, "length")

    def _take(self, row: Row, token: int, scores: tuple[Scored, ...]) -> None:
        row.tokens.append(token)
        metrics.GENERATED_TOKENS.inc()
        try:
            complete = row.chooser.take(token)
        except ValueError as error:
            self._say(row, Broken(f"the grammar ended the answer: {error}"))
            row.ending = True
            return
        stop = token in row.job.stop_tokens
        text = "" if stop else row.written.add(token)
        if text or scores:
            self._say(row, Piece(text, scores))
        if stop or complete or row.written.stopped:
            self._end(row, "stop")
        elif row.generated >= row.job.max_tokens:
            self._end(row, "length")

    def _end(self, row: Row, reason: str) -> None:
        rest = row.written.end()
        if rest:
            self._say(row, Piece(rest))
        self._say(row, Ended("stop" if reason == "stop" else "length", row.generated, row.reused))
        metrics.ENDED.labels(reason).inc()
        row.ending = True

    def _fail(self, row: Row, detail: str) -> None:
        self._say(row, Broken(detail))
        metrics.ENDED.labels("failed").inc()
        self._leave(row, keep=False)
