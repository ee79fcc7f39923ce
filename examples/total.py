"""Checks an invoice: its text on standard input, on standard output a short summary made to be spoken.

Works with text read from a picture whether a table row came as one line or as one line a cell: a row is a description,
a quantity, a price and an amount, in this order. Ends with 1 when there is nothing to check, else with 0: an invoice
whose sums are wrong is an answer too.
"""

import re
import sys
from decimal import Decimal
from typing import NamedTuple

MONEY = r"[$€£]?\s?(\d{1,3}(?:,\d{3})+\.\d{2}|\d+\.\d{2})"
HEADING = re.compile(r"\bAmount\b(?:\s*\([^)]*\))?", re.IGNORECASE)
ROW = re.compile(rf"(?P<name>[A-Za-z][^\n]*?)\s+(?P<quantity>\d+)\s+{MONEY}\s+{MONEY}(?!\d)", re.DOTALL)
TOTAL = re.compile(rf"(?<!sub)\btotal\b[^\d]*?{MONEY}", re.IGNORECASE)
TAX = re.compile(rf"\b(?:VAT|Tax)\s*(?:\(?\s*(\d+(?:\.\d+)?)\s?%\s*\)?)?[^\d]*?{MONEY}", re.IGNORECASE)
CURRENCIES = {"GBP": "pounds", "£": "pounds", "EUR": "euros", "€": "euros", "USD": "dollars", "$": "dollars"}


class Item(NamedTuple):
    """One row of the invoice."""

    name: str
    quantity: int
    price: Decimal
    amount: Decimal

    @property
    def right(self) -> bool:
        """Whether quantity times price is the amount."""
        return self.quantity * self.price == self.amount


def number(text: str) -> Decimal:
    """Return an amount written with thousands separators."""
    return Decimal(text.replace(",", ""))


def items_of(text: str) -> list[Item]:
    """Return the rows after the table's heading, or of the whole text when there is none."""
    heading = HEADING.search(text)
    rows = ROW.finditer(text, heading.end() if heading else 0)
    return [Item(row["name"].strip(), int(row["quantity"]), number(row[3]), number(row[4])) for row in rows]


def spoken(amount: Decimal, currency: str) -> str:
    """Return an amount as it is read aloud, without separators."""
    return f"{amount:.2f} {currency}".strip()


def summary(text: str) -> str | None:
    """Return what to say of an invoice; None when no items are found."""
    items = items_of(text)
    if not items:
        return None
    currency = next((name for mark, name in CURRENCIES.items() if mark in text), "")
    subtotal = sum((item.amount for item in items), Decimal())
    largest = max(items, key=lambda item: item.amount)
    said = [
        f"The invoice has {len(items)} items.",
        f"The largest is {largest.name}, {spoken(largest.amount, currency)}.",
        f"The items add up to {spoken(subtotal, currency)}.",
    ]
    said += [f"The amount of {item.name} is wrong." for item in items if not item.right]
    return " ".join([*said, *verdict(text, subtotal, currency)])


def verdict(text: str, subtotal: Decimal, currency: str) -> list[str]:
    """Return the sentences about tax and total."""
    tax, total = TAX.search(text), TOTAL.search(text)
    due = subtotal
    said = []
    if tax:
        due += number(tax[2])
        said.append(f"With {spoken(number(tax[2]), currency)} of tax that makes {spoken(due, currency)}.")
    if total is None:
        return [*said, "The invoice states no total."]
    stated = number(total[1])
    if stated == due:
        return [*said, f"The stated total of {spoken(stated, currency)} is correct."]
    return [*said, f"The stated total is {spoken(stated, currency)}, which is wrong."]


def main() -> int:
    """Print the summary of the invoice on standard input."""
    said = summary(sys.stdin.read())
    print(said or "No invoice items were found in the text.")
    return 0 if said else 1


if __name__ == "__main__":
    sys.exit(main())
