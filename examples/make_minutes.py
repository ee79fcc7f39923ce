"""Makes ``minutes.pdf``, the document of the demo: ``python examples/make_minutes.py [FILE]``.

Its first page holds text; its second is a scan of a signed page: an image, a little crooked, with no text behind it.
"""

import ctypes
import io
import sys
from pathlib import Path

import pypdfium2 as pdfium
from PIL import Image, ImageDraw, ImageFont
from pypdfium2 import raw

WIDTH, HEIGHT = 595.0, 842.0
"""A4 in points (1/72 inch)."""
LEFT, TOP, LEADING = 72.0, 770.0, 20.0
DPI = 150

MINUTES = (
    "Minutes of the residents' meeting",
    "",
    "Date: 3 September 2026",
    "Present: 14 of 20 households",
    "",
    "The roof of the north stairwell leaks and will be repaired in October.",
    "The lift is inspected on the first Monday of each month.",
    "The bicycle cellar gets a new lock; keys are handed out by the caretaker.",
    "The costs agreed upon stand on the next page.",
)
COSTS = (
    "Costs agreed upon",
    "",
    "Roof repair: 4,200 pounds",
    "Lift inspection: 380 pounds",
    "New lock and keys: 145 pounds",
    "",
    "Together 4,725 pounds, paid from the reserve.",
    "Signed by the chair and the secretary.",
)


def text_page(document: pdfium.PdfDocument, lines: tuple[str, ...]) -> None:
    """Append a page of text in Helvetica."""
    page = document.new_page(WIDTH, HEIGHT)
    font = raw.FPDFText_LoadStandardFont(document.raw, b"Helvetica")
    for number, line in enumerate(lines):
        written = raw.FPDFPageObj_NewTextObj(document.raw, b"Helvetica", 18 if number == 0 else 12)
        wide = (line + "\0").encode("utf-16-le")
        raw.FPDFText_SetText(written, ctypes.cast(ctypes.c_char_p(wide), raw.FPDF_WIDESTRING))
        raw.FPDFPageObj_Transform(written, 1, 0, 0, 1, LEFT, TOP - number * LEADING)
        raw.FPDFPage_InsertObject(page.raw, written)
    page.gen_content()
    raw.FPDFFont_Close(font)


def scan(lines: tuple[str, ...]) -> bytes:
    """Return a photographed page as JPEG."""
    size = (round(WIDTH / 72 * DPI), round(HEIGHT / 72 * DPI))
    image = Image.new("L", size, 250)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((150, 200 + number * 56), line, 30, ImageFont.load_default(40 if number == 0 else 30))
    kept = io.BytesIO()
    image.rotate(0.8, Image.Resampling.BICUBIC, fillcolor=250).save(kept, "JPEG", quality=80)
    return kept.getvalue()


def image_page(document: pdfium.PdfDocument, jpeg: bytes) -> None:
    """Append a page that is one image."""
    page = document.new_page(WIDTH, HEIGHT)
    picture = pdfium.PdfImage.new(document)
    picture.load_jpeg(io.BytesIO(jpeg), inline=True)
    picture.set_matrix(pdfium.PdfMatrix().scale(WIDTH, HEIGHT))
    page.insert_obj(picture)
    page.gen_content()


def main() -> None:
    """Write the document."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("minutes.pdf")
    document = pdfium.PdfDocument.new()
    text_page(document, MINUTES)
    image_page(document, scan(COSTS))
    with target.open("wb") as file:
        document.save(file)


if __name__ == "__main__":
    main()
