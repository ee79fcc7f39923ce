"""Draws ``invoice.png``, the page of the demo: ``python examples/make_invoice.py [FILE]``.

The same bytes at every run: Pillow's own scalable font, no clock, no network.
"""

import sys
from decimal import Decimal
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN = 1240, 1180, 90
INK, FAINT, BLUE = "#1c1c1c", "#9a9a9a", "#1f4e79"
QUANTITY, PRICE, AMOUNT = 720, 920, WIDTH - MARGIN
"""Right edges of the number columns."""

ITEMS = (
    ("Rack server, refurbished", 2, Decimal("1249.00")),
    ("NVMe drive, 4 TB", 6, Decimal("289.50")),
    ("Network cable, long", 24, Decimal("7.95")),
    ("Installation and testing, hours", 14, Decimal("85.00")),
    ("Delivery", 1, Decimal("46.80")),
)
TAX = Decimal("0.20")


def money(amount: Decimal) -> str:
    """Return an amount with thousands separators."""
    return f"{amount:,.2f}"


class Page:
    """A white page to write on."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH, HEIGHT), "white")
        self._draw = ImageDraw.Draw(self.image)

    def write(self, x: int, y: int, text: str, size: int = 28, colour: str = INK, *, right: bool = False) -> None:
        """Write a line whose left (or right) edge is ``x`` and whose baseline is ``y``."""
        font = ImageFont.load_default(size)
        self._draw.text((x, y), text, colour, font, anchor="rs" if right else "ls")

    def rule(self, y: int, colour: str = FAINT, width: int = 2) -> None:
        """Draw a line across the page."""
        self._draw.line((MARGIN, y, WIDTH - MARGIN, y), colour, width)


def head(page: Page) -> None:
    """Write who sells what to whom."""
    page.write(MARGIN, 100, "Invoice", 48, BLUE)
    page.write(AMOUNT, 100, "Northgate Systems Ltd", 30, right=True)
    page.write(AMOUNT, 140, "18 Harbour Street, Bristol", 26, right=True)
    page.rule(180, BLUE, 4)
    page.write(MARGIN, 240, "Bill to: Elmwood Research Group")
    page.write(MARGIN, 285, "Invoice number: 2026-0417")
    page.write(MARGIN, 330, "Date: 12 August 2026")
    page.write(MARGIN, 375, "Payment due: 11 September 2026")


def table(page: Page) -> int:
    """Write the items; return where the table ends."""
    y = 460
    page.write(MARGIN, y, "Description", 26, BLUE)
    for right, title in ((QUANTITY, "Quantity"), (PRICE, "Unit price"), (AMOUNT, "Amount")):
        page.write(right, y, title, 26, BLUE, right=True)
    page.rule(y + 20)
    for name, quantity, price in ITEMS:
        y += 70
        page.write(MARGIN, y, name)
        page.write(QUANTITY, y, str(quantity), right=True)
        page.write(PRICE, y, money(price), right=True)
        page.write(AMOUNT, y, money(quantity * price), right=True)
    page.rule(y + 30)
    return y


def totals(page: Page, y: int) -> None:
    """Write subtotal, tax and total."""
    subtotal = sum((quantity * price for _, quantity, price in ITEMS), Decimal())
    tax = (subtotal * TAX).quantize(Decimal("0.01"))
    for title, amount, step in (("Subtotal", subtotal, 90), (f"VAT {TAX:.0%}", tax, 55)):
        y += step
        page.write(PRICE, y, title, right=True)
        page.write(AMOUNT, y, money(amount), right=True)
    y += 75
    page.write(PRICE, y, "Total due, GBP", 34, BLUE, right=True)
    page.write(AMOUNT, y, money(subtotal + tax), 34, BLUE, right=True)
    page.write(MARGIN, HEIGHT - 70, "Please quote the invoice number with your payment. Thank you.", 24)


def main() -> None:
    """Draw the page into the named file, else beside this script."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("invoice.png")
    page = Page()
    head(page)
    totals(page, table(page))
    page.image.convert("P", palette=Image.Palette.ADAPTIVE, colors=32).save(target, optimize=True)


if __name__ == "__main__":
    main()
