"""What clients get: OpenAI's objects, whole or in chunks."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from concilium.engine.embedded.job import Ended, Scored
from concilium.engine.embedded.text import Text

JSONObject = dict[str, Any]


@dataclass
class Told:
    """A whole answer, or what of it one chunk brings."""

    text: str = ""
    tokens: list[Scored] = field(default_factory=list)
    prompt: tuple[Scored | None, ...] | None = None
    end: Ended | None = None

    @property
    def reason(self) -> str | None:
        """OpenAI's ``finish_reason``."""
        return self.end.reason if self.end else None


class ChatForm:
    """The objects of one chat completion."""

    def __init__(self, model: str, text: Text, prompt: Sequence[int], *, scored: bool) -> None:
        self._head = _head("chatcmpl-", model)
        self._text = text
        self._prompt = prompt
        self._scored = scored

    def whole(self, told: Told) -> JSONObject:
        """Return the whole answer."""
        message = {"role": "assistant", "content": told.text}
        choice = {"index": 0, "message": message, "logprobs": self._logprobs(told), "finish_reason": told.reason}
        found = {**self._head, "object": "chat.completion", "choices": [choice], "usage": self.usage(told.end)}
        if told.prompt is not None:
            found["prompt_logprobs"] = _by_token(told.prompt, self._text)
        return found

    def opening(self) -> JSONObject | None:
        """Return the chunk that a stream begins with."""
        return self._chunk({"role": "assistant", "content": ""}, None, None)

    def chunk(self, told: Told) -> JSONObject:
        """Return a chunk of the stream."""
        return self._chunk({"content": told.text} if told.text else {}, self._logprobs(told), told.reason)

    def closing(self, end: Ended) -> JSONObject:
        """Return the chunk with the usage."""
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self.usage(end)}

    def usage(self, end: Ended | None) -> JSONObject:
        """Return the counts of tokens."""
        return _usage(len(self._prompt), end)

    def _chunk(self, delta: JSONObject, logprobs: JSONObject | None, reason: str | None) -> JSONObject:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    def _logprobs(self, told: Told) -> JSONObject | None:
        if not self._scored:
            return None

        def entry(token: int, logprob: float) -> JSONObject:
            text = self._text.token(token)
            return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

        return {
            "content": [
                {**entry(each.token, each.logprob), "top_logprobs": [entry(*pair) for pair in each.top]}
                for each in told.tokens
            ]
        }


class CompletionForm:
    """The objects of one text completion."""

    def __init__(self, model: str, text: Text, prompt: Sequence[int], *, scored: bool, echo: bool) -> None:
        self._head = {**_head("cmpl-", model), "object": "text_completion"}
        self._text = text
        self._prompt = prompt
        self._scored = scored
        self._echo = echo
        self._offset = 0

    def whole(self, told: Told) -> JSONObject:
        """Return the whole answer."""
        choice = self._choice(told)
        if told.prompt is not None:
            choice["prompt_logprobs"] = _by_token(told.prompt, self._text)
        return {**self._head, "choices": [choice], "usage": self.usage(told.end)}

    def opening(self) -> JSONObject | None:
        """Return the chunk that a stream begins with: none."""
        return None

    def chunk(self, told: Told) -> JSONObject:
        """Return a chunk of the stream."""
        return {**self._head, "choices": [self._choice(told)]}

    def closing(self, end: Ended) -> JSONObject:
        """Return the chunk with the usage."""
        return {**self._head, "choices": [], "usage": self.usage(end)}

    def usage(self, end: Ended | None) -> JSONObject:
        """Return the counts of tokens."""
        return _usage(len(self._prompt), end)

    def _choice(self, told: Told) -> JSONObject:
        before = self._text.decode(self._prompt) if self._echo else ""
        logprobs = self._logprobs(told) if self._scored else None
        return {"index": 0, "text": before + told.text, "logprobs": logprobs, "finish_reason": told.reason}

    def _logprobs(self, told: Told) -> JSONObject:
        scores: list[Scored | None] = [*told.tokens]
        ids = [each.token for each in told.tokens]
        if self._echo:
            ids = [*self._prompt, *ids]
            scores = [*(told.prompt or ()), *scores]
        names = [self._text.token(token) for token in ids]
        offsets = []
        for name in names:
            offsets.append(self._offset)
            self._offset += len(name)
        return {
            "tokens": names,
            "token_logprobs": [each and each.logprob for each in scores],
            "top_logprobs": [each and self._tops(each) for each in scores],
            "text_offset": offsets,
        }

    def _tops(self, each: Scored) -> JSONObject:
        found = {self._text.token(token): logprob for token, logprob in each.top}
        return {**found, self._text.token(each.token): each.logprob}


def _head(prefix: str, model: str) -> JSONObject:
    return {"id": f"{prefix}{uuid.uuid4().hex}", "created": int(time.time()), "model": model}


def _usage(prompt: int, end: Ended | None) -> JSONObject:
    generated, reused = (end.tokens, end.reused) if end else (0, 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": reused},
    }


def _by_token(scores: Sequence[Scored | None], text: Text) -> list[JSONObject | None]:
    """Return vLLM's ``prompt_logprobs``: for each token those told of it, by their number."""

    def entry(token: int, logprob: float, rank: int) -> JSONObject:
        return {"logprob": logprob, "rank": rank, "decoded_token": text.token(token)}

    found: list[JSONObject | None] = []
    for each in scores:
        if each is None:
            found.append(None)
            continue
        tops = {str(token): entry(token, logprob, at) for at, (token, logprob) in enumerate(each.top, 1)}
        found.append({str(each.token): entry(each.token, each.logprob, each.rank), **tops})
    return found
