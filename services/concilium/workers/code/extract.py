"""From an engine's answer to source text. The answer is data: it is cut apart here and nothing of it is obeyed."""

import re

_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_FENCE = re.compile(r"^(?P<indent>[ \t]{0,8})(?P<fence>`{3,}|~{3,})[ \t]*(?P<label>[^`\s]*)[^`\n]*$")
_PYTHON = {"python", "py", "python3", "py3"}
SOURCE_CHARS = 200_000


class Block:
    """A fenced block: its label and its lines, without the indent of its fence."""

    def __init__(self, label: str, lines: list[str]) -> None:
        self.label = label.lower()
        self.text = "\n".join(lines).strip("\n")


def source_in(answer: str) -> str:
    """Return the source in an answer; empty when there is none.

    Taken is the longest fenced block labelled as Python, else the longest without a label, else the whole answer when
    it has no fence. A fence may be left open at the end, as when the answer was cut off. A text beyond `SOURCE_CHARS`
    is none.
    """
    answer = answer.encode("utf-8", "replace").decode().replace("\0", "\ufffd").replace("\r\n", "\n")
    answer = _THOUGHT.sub("", answer)
    blocks = _blocks(answer.split("\n"))
    fitting = [b for b in blocks if b.label in _PYTHON] or [b for b in blocks if not b.label]
    if not blocks:
        fitting = [Block("", answer.strip().split("\n"))]
    found = max((block.text for block in fitting), key=len, default="")
    return f"{found}\n" if found.strip() and len(found) <= SOURCE_CHARS else ""


def _blocks(lines: list[str]) -> list[Block]:
    """Return the fenced blocks as CommonMark tells them: closed by a bare fence as long, of the same character."""
    found: list[Block] = []
    opening: re.Match[str] | None = None
    inside: list[str] = []
    for line in lines:
        match = _FENCE.match(line)
        if opening is None:
            opening, inside = match, []
        elif match and not match["label"] and match["fence"].startswith(opening["fence"]):
            found.append(Block(opening["label"], inside))
            opening = None
        else:
            inside.append(line.removeprefix(opening["indent"]))
    if opening is not None:
        found.append(Block(opening["label"], inside))
    return found
