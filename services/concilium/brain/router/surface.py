"""What a request says and what it only carries: code and quotes are lifted out before any rule reads it."""

import ast
import re
from dataclasses import dataclass
from typing import Literal

CodeLanguage = Literal["python", "shell"]

TEXT_MAX = 4_000
"""Characters of prose the router reads; a longer request is not one sentence of orders, so it is asked about."""

_FENCE = re.compile(r"```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)
_INLINE = re.compile(r"`([^`\n]{1,2000})`")
_QUOTES = re.compile(r"«([^»]+)»|“([^”]+)”|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)")
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


@dataclass(frozen=True)
class Surface:
    """A request with its literals replaced by marks: ``\\x02C0\\x03`` for code, ``\\x02Q0\\x03`` for quoted text."""

    masked: str
    codes: tuple[Code, ...]
    quotes: tuple[str, ...]

    def unmask(self, text: str) -> str:
        """Return a masked piece with its quotes back in."""
        return re.sub(r"\x02Q(\d+)\x03", lambda m: self.quotes[int(m[1])], text).replace("\x02", "").replace("\x03", "")


def read_surface(text: str) -> Surface:
    """Lift code and quotes out of a text."""
    codes: list[Code] = []
    quotes: list[str] = []

    def fence(match: re.Match[str]) -> str:
        codes.append(_code(match[2], match[1]))
        return f" \x02C{len(codes) - 1}\x03\n"

    def inline(match: re.Match[str]) -> str:
        codes.append(_code(match[1], ""))
        return f" \x02C{len(codes) - 1}\x03 "

    def quote(match: re.Match[str]) -> str:
        quotes.append(next(group for group in match.groups() if group is not None))
        return f"\x02Q{len(quotes) - 1}\x03"

    masked = _FENCE.sub(fence, text.replace("\x02", " ").replace("\x03", " "))
    masked = _QUOTES.sub(quote, _INLINE.sub(inline, masked))
    return Surface(masked, tuple(codes), tuple(quotes))


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
