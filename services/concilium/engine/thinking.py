"""Keeps a model's thoughts apart from its answer: ``<think>…</think>`` in a text that comes in pieces.

The tags may be cut anywhere. What stands after an opened thought and before it is closed is never part of the answer;
a thought that is not closed runs to the end. Thoughts inside thoughts are thoughts.
"""

OPEN, CLOSE = "<think>", "</think>"
TIME_IS_UP = (
    "\n\n Considering the limited time by the user, I have to give the solution based on the thinking directly now."
)
"""What Qwen3 is told in its own voice where its thinking is cut short (Qwen3, docs/source/getting_started/
thinking_budget.md)."""

Split = tuple[str, str]
"""A piece of the thoughts and a piece of the answer."""


class Tags:
    """Splits a text whose beginning is known to be a thought (``inside``) or not."""

    def __init__(self, *, inside: bool) -> None:
        self._depth = int(inside)
        self._held = ""
        """What may be the beginning of a tag; white space at the very beginning, too."""
        self._fresh = True
        """Nothing but white space came so far: an opening tag here is the thought's own, also when it is open."""
        self.seen = False
        """A tag came."""
        self._gap = False
        """White space at this place separates the thought from the answer and belongs to neither."""

    def feed(self, text: str) -> Split:
        """Return what the next piece of text adds to the thoughts and to the answer."""
        self._held += text
        thoughts, answer = [], []
        while "<" in self._held:
            at, tag = _first_tag(self._held)
            if not tag:
                break
            found = self._plain(self._held[:at])
            self._turn(tag)
            self._held = self._held[at + len(tag) :]
            thoughts.append(found[0])
            answer.append(found[1])
        found = self._plain(self._take())
        return "".join([*thoughts, found[0]]), "".join([*answer, found[1]])

    def end(self) -> Split:
        """Return what was held back, now that the text is over."""
        held, self._held = self._held, ""
        return self._plain(held)

    def _turn(self, tag: str) -> None:
        self.seen = True
        if tag == CLOSE:
            self._depth = max(0, self._depth - 1)
            self._gap = self._depth == 0
        else:
            self._depth = 1 if self._fresh else self._depth + 1
        self._fresh = False

    def _plain(self, text: str) -> Split:
        """Return a text without tags as what it is here."""
        self._fresh = self._fresh and not text.strip()
        if self._depth:
            return text, ""
        if self._gap:
            text = text.lstrip()
            self._gap = not text
        return "", text

    def _take(self) -> str:
        """Return what is held, but for an end that may be the beginning of a tag."""
        longest = min(len(CLOSE) - 1, len(self._held))
        keep = next((n for n in range(longest, 0, -1) if _begins_tag(self._held[-n:])), 0)
        taken, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return taken


class ThinkSplitter:
    """Splits one answer."""

    def __init__(self, thinking: bool | None) -> None:
        """Prepare.

        Args:
            thinking: True: the model was asked to think; its prompt may end inside the thought, so that no opening tag
                comes. False: it was asked not to. None: nobody knows; unless the text begins with a thought, it is
                held back to its end, since a closing tag may come that makes a thought of it.
        """
        self._tags = None if thinking is None else Tags(inside=thinking)
        self._waiting: list[str] = []
        self._begun = False

    @property
    def tagged(self) -> bool:
        """Whether a tag came, as far as is known."""
        return self._tags is not None and self._tags.seen

    def feed(self, text: str) -> Split:
        """Return what the next piece of text adds to the thoughts and to the answer."""
        if self._tags is not None:
            return self._tags.feed(text)
        self._waiting.append(text)
        if self._begun:
            return "", ""
        begin = "".join(self._waiting).lstrip()
        if begin.startswith(OPEN):
            self._tags = Tags(inside=False)
            return self._tags.feed(begin)
        self._begun = not OPEN.startswith(begin)
        return "", ""

    def end(self) -> Split:
        """Return what was held back, now that the text is over."""
        if self._tags is not None:
            return self._tags.end()
        text = "".join(self._waiting)
        tags = Tags(inside=_closes_more_than_it_opens(text))
        first, last = tags.feed(text), tags.end()
        return first[0] + last[0], first[1] + last[1]


def split(text: str, *, thinking: bool | None) -> Split:
    """Return the thoughts and the answer of a whole text."""
    splitter = ThinkSplitter(thinking)
    first, last = splitter.feed(text), splitter.end()
    return first[0] + last[0], first[1] + last[1]


def cut_short(thoughts: str) -> str:
    """Return the beginning of an assistant's message that ends these thoughts and leaves it to say the answer.

    The line breaks are those of Qwen3's chat template, which takes the message apart and must find it again.
    """
    return f"{OPEN}\n{thoughts.strip()}{TIME_IS_UP}\n{CLOSE}\n\n"


def _begins_tag(text: str) -> bool:
    return OPEN.startswith(text) or CLOSE.startswith(text)


def _first_tag(text: str) -> tuple[int, str]:
    """Return where the first tag is, and which; an empty one when there is none."""
    found = [(at, tag) for tag in (OPEN, CLOSE) if (at := text.find(tag)) >= 0]
    return min(found, default=(-1, ""))


def _closes_more_than_it_opens(text: str) -> bool:
    depth, begin = 0, 0
    while True:
        at, tag = _first_tag(text[begin:])
        if not tag or depth < 0:
            return depth < 0
        depth += 1 if tag == OPEN else -1
        begin += at + len(tag)
