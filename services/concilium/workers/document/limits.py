"""Limits of reading documents. Sizes in bytes, times in seconds."""

from concilium.contracts.limits import KIB, MIB, TEXT_CHARS

MEMORY_BYTES = 768 * MIB
"""Address space one reader may take beyond what its server has loaded."""
CPU_S = 240
"""Processor time one document may take."""
FRAME_BYTES = 48 * MIB
"""The largest single thing a reader says."""

PAGES = 2000
"""Pages of one run."""
PICTURES = 63
"""Page images of one run: with the step's data they fit the 64 parts of a message."""
PICTURE_BYTES = 22 * MIB
"""All page images of one run: in base64 they fit a request body."""
OUTPUT_TEXT_BYTES = 1200 * KIB
"""The text in an output, as JSON. It is there twice: whole, and by pages."""
OUTPUT_TABLE_BYTES = 500 * KIB
"""The tables in an output, as JSON. They are there twice: all, and by pages."""
OUTPUT_CHARS = TEXT_CHARS
"""The most ``max_chars`` may ask for."""
FULL_TEXT_BYTES = 8 * MIB
"""Text beyond the output's is returned as a file up to this size."""

PAGE_CHARS = 4_000_000
"""Characters read of one page, sheet or file."""
TABLE_CELLS = 400_000
"""Cells read of one table."""
COLUMNS = 512
"""Columns read of one table."""
CELL_CHARS = 32_767
"""Characters shown of one cell: what Excel allows."""
SHEET_ROWS = 1_048_576
NOTES = 100
NOTE_CHARS = 400
METADATA_CHARS = 2_000

DPI = 200
"""Of page images."""
PAGE_PIXELS = 12_000_000
"""A page image has at most this many; a larger page is drawn with less resolution."""
PNG_BYTES = 300 * KIB
"""A page image larger than this as PNG becomes a JPEG."""

PAGE_TABLES_S = 5.0
"""Looking for tables on one page may take this long."""
DOCUMENT_TABLES_S = 60.0
"""Looking for tables in one document may take this long altogether."""
PAGE_OBJECTS = 20_000
"""Objects of a page that are looked at to tell what it is."""
LAYOUT_LINES = 3_000
"""A page with more lines of text keeps the order of its file."""

ZIP_ENTRIES = 4_096
ZIP_BYTES = 400 * MIB
"""What a zipped document's XML may unpack to."""
ZIP_PART_BYTES = 256 * MIB
ZIP_TREE_BYTES = 24 * MIB
"""A part that is held as a tree while it is read."""
ZIP_STRINGS_BYTES = 64 * MIB
"""The shared strings of a workbook, which are held all at once."""
ZIP_RATIO = 250
"""A part that unpacks to more than this many times its packed size, and to more than `ZIP_RATIO_BYTES`, is a bomb."""
ZIP_RATIO_BYTES = 24 * MIB
SPIN_COUNT = 10_000_000
"""Rounds of a password hash that are worked through; Office asks for 100,000."""

MAIL_DEPTH = 20
MAIL_PARTS = 500
HTML_BYTES = 24 * MIB
"""An HTML or XML file, which is held as a tree while it is read."""
