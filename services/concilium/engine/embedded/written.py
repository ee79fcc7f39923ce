"""Turns a row's tokens into text as they come, and finds the strings that end it."""

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

_PENDING = 8
"""Tokens that give no whole character: more than any character has, so it is none."""


class Written:
    """The text of one row. Text is held back while it may be the beginning of a stop string."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._stream = DecodeStream(skip_special_tokens=True)
        self._pending: list[int] = []
        self._held = ""
        self.stopped = False
        """Whether a stop string was written; nothing of it or behind it is text."""

    def add(self, token: int) -> str:
        """Return the text that is certain with one more token."""
        return self._release(self._decode(token))

    def end(self) -> str:
        """Return what was held back."""
        text = "" if self.stopped else self._release(self._give_up()) + self._held
        self._held = ""
        return text

    def _decode(self, token: int) -> str:
        self._pending.append(token)
        try:
            text = self._stream.step(self._tokenizer, token)
        except Exception:  # noqa: BLE001 - the library raises no narrower one for bytes that are no UTF-8
            return self._give_up()
        if text is None:
            return self._give_up() if len(self._pending) > _PENDING else ""
        self._pending.clear()
        return str(text)

    def _give_up(self) -> str:
        """Return the pending tokens as they are, with U+FFFD for what is no character."""
        if not self._pending:
            return ""
        text = str(self._tokenizer.decode(self._pending, skip_special_tokens=True))
        self._pending.clear()
        self._stream = DecodeStream(skip_special_tokens=True)
        return text

    def _release(self, text: str) -> str:
        if not self._stops:
            return text
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped = True
            certain, self._held = self._held[: min(found)], ""
            return certain
        keep = max(_overlap(self._held, stop) for stop in self._stops)
        certain, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return certain


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of the text that a stop string begins with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
