"""The example's script on text as different readers give it."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TEXT = """Invoice
Date: 12 August 2026
Description Quantity Unit price Amount
Rack server, refurbished 2 1,249.00 2,498.00
NVMe drive, 4 TB 6 289.50 1,737.00
Subtotal 4,235.00
VAT 20% 847.00
Total due, GBP 5,082.00
"""


def summary(text: str) -> tuple[int, str]:
    command = [sys.executable, "-I", str(EXAMPLES / "total.py")]
    ended = subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=False)
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("text", [TEXT, TEXT.replace(" 2 1,", "\n2\n1,").replace(" 2,498", "\n2,498")])
def test_a_right_invoice_is_confirmed(text: str) -> None:
    code, said = summary(text)
    assert code == 0
    assert said.startswith("The invoice has 2 items. The largest is Rack server, refurbished, 2498.00 pounds.")
    assert said.endswith("The stated total of 5082.00 pounds is correct.\n")


def test_a_wrong_row_and_a_wrong_total_are_named() -> None:
    code, said = summary(TEXT.replace("1,737.00", "1,700.00"))
    assert code == 0
    assert "The amount of NVMe drive, 4 TB is wrong." in said
    assert "The stated total is 5082.00 pounds, which is wrong." in said


@pytest.mark.parametrize("text", ["", "Dear Sir, the weather is fine."])
def test_text_without_items_is_said_to_have_none(text: str) -> None:
    assert summary(text) == (1, "No invoice items were found in the text.\n")


def test_the_invoice_is_drawn_the_same_again(tmp_path: Path) -> None:
    target = tmp_path / "invoice.png"
    subprocess.run([sys.executable, str(EXAMPLES / "make_invoice.py"), str(target)], check=True, timeout=60)
    assert target.read_bytes() == (EXAMPLES / "invoice.png").read_bytes()
    assert target.stat().st_size < 150_000
