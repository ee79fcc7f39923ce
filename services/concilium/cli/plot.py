"""A bar chart as an SVG file that needs nothing from elsewhere."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from xml.sax.saxutils import escape

from concilium.cli.errors import USAGE, CliError

_ROW, _LEFT, _BAR, _RIGHT, _TOP = 24, 260, 400, 140, 48
_COLOUR = "#3b6ea5"


def bar_chart(title: str, bars: Sequence[tuple[str, Decimal, str]]) -> str:
    """Return a chart of ``(name, value, value in words)``, one bar below the other."""
    most = max((value for _, value, _ in bars), default=Decimal(0)) or Decimal(1)
    width, height = _LEFT + _BAR + _RIGHT, _TOP + _ROW * len(bars) + 16
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="28" font-size="16">{escape(title)}</text>',
    ]
    for number, (name, value, words) in enumerate(bars):
        y = _TOP + _ROW * number
        long = float(value / most) * _BAR
        lines += [
            f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(_printable(name))}</text>',
            f'<rect x="{_LEFT}" y="{y + 3}" width="{long:.1f}" height="{_ROW - 8}" fill="{_COLOUR}"/>',
            f'<text x="{_LEFT + long + 6:.1f}" y="{y + 15}">{escape(words)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def _printable(name: str) -> str:
    kept = "".join(char for char in name if char.isprintable())
    return kept if len(kept) <= 36 else kept[:35] + "…"


def write_svg(path: Path, text: str) -> None:
    """Write a chart. Raises `CliError` when the name does not end in .svg or the file cannot be written."""
    if path.suffix.lower() != ".svg":
        raise CliError(f"{path} does not end in .svg", "the chart is an SVG file", code=USAGE)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from error
