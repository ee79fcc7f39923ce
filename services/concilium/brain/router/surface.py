"""What a request says and what it only carries: code and quotes are lifted out before any rule reads it."""

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

CodeLanguage = Literal["python", "shell"]

TEXT_MAX = 4_000
"""Characters of prose the router reads; a longer request is not one sentence of orders, so it is asked about."""

_FENCE = re.compile(r"```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)
_INLINE = re.compile(r"`([^`\n]{1,2000})`")
_QUOTES = re.compile(r"«([^»]+)»|“([^”]+)”|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)")
_C_MARK = re.compile(r"\x02C(\d+)\x03")
_SPACED_C_MARK = re.compile(r" ?\x02C(\d+)\x03[ \n]?")
_Q_MARK = re.compile(r"\x02Q(\d+)\x03")
_NAMES: dict[str, CodeLanguage] = {
    "python": "python", "python3": "python", "py": "python",
    "bash": "shell", "sh": "shell", "shell": "shell", "zsh": "shell", "console": "shell",
}  # fmt: skip
_PYTHON_HINT = re.compile(r"\b(?:print|import|def|for|lambda|return|sum|len)\b|\w\(")


@dataclass(frozen=True)
class Code:
    """A script written in the request."""

    source: str
    language: CodeLanguage | None
    """None: a language no agent runs."""
    label: str
    """What the fence says, for questions."""
    fenced: bool = True
    """False: written within a line."""


@dataclass(frozen=True)
class Surface:
    """A request with its literals replaced by marks: ``\\x02C0\\x03`` for code, ``\\x02Q0\\x03`` for quoted text."""

    masked: str
    codes: tuple[Code, ...]
    quotes: tuple[str, ...]
    """What the quotes hold, as the request has it."""
    quoted_codes: tuple[int, ...] = ()
    """Codes inside quotes: words, never run."""
    with_quotes: tuple[str, ...] = ()
    """The quotes with their marks."""

    def unmask(self, text: str) -> str:
        """Return a masked piece with its literals back in: code without backticks, a lone quote without its marks."""
        alone = _Q_MARK.fullmatch(text.strip())
        held = self.quotes if alone else self.with_quotes
        return _restore(_Q_MARK.sub(lambda m: held[int(m[1])], text), self.codes)


def without_marks(text: str) -> str:
    """Return a text in which nothing looks like a mark."""
    return text.replace("\x02", " ").replace("\x03", " ")


def marked(text: str) -> bool:
    """Whether a text still holds a mark, or a piece of one."""
    return "\x02" in text or "\x03" in text


def codes_in(masked: str) -> tuple[int, ...]:
    """Return the numbers of the codes a masked piece holds."""
    return tuple(int(match[1]) for match in _C_MARK.finditer(masked))


def read_surface(text: str, names: Collection[str] = ()) -> Surface:
    """Lift code and quotes out of a text; backticks around one of the ``names`` (attached files) make no code."""
    codes: list[Code] = []
    quotes: list[str] = []
    with_quotes: list[str] = []
    quoted_codes: list[int] = []

    def fence(match: re.Match[str]) -> str:
        codes.append(_code(match[2], match[1]))
        return f" \x02C{len(codes) - 1}\x03\n"

    def inline(match: re.Match[str]) -> str:
        if match[1].strip() in names:
            return f" {match[1].strip()} "
        codes.append(replace(_code(match[1], ""), fenced=False))
        return f" \x02C{len(codes) - 1}\x03 "

    def quote(match: re.Match[str]) -> str:
        held = next(group for group in match.groups() if group is not None)
        quoted_codes.extend(codes_in(held))
        quotes.append(_restore(held, codes))
        with_quotes.append(_restore(match[0], codes))
        return f"\x02Q{len(quotes) - 1}\x03"

    masked = _FENCE.sub(fence, without_marks(text))
    masked = _QUOTES.sub(quote, _INLINE.sub(inline, masked))
    return Surface(masked, tuple(codes), tuple(quotes), tuple(quoted_codes), tuple(with_quotes))


def _restore(text: str, codes: Sequence[Code]) -> str:
    # The mark stands between two blanks of its own, which go with it.
    return _SPACED_C_MARK.sub(lambda match: codes[int(match[1])].source, text)


def _code(source: str, label: str) -> Code:
    language = _NAMES.get(label.lower()) if label else _guess(source)
    return Code(source=source, language=language, label=label)


def _guess(source: str) -> CodeLanguage:
    first = source.lstrip().split("\n", 1)[0]
    if first.startswith("#!"):
        return "python" if "python" in first else "shell"
    if not _PYTHON_HINT.search(source[:10_000]):
        return "shell"
    try:
        ast.parse(source[:100_000])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "shell"
    return "python"
