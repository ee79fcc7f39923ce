"""What bytes are that are no picture which can be read here: the answer a person can act on."""

from concilium.workers.runtime.skill import SkillFailed

FORMATS = ("PNG", "JPEG", "HEIF", "AVIF", "WEBP", "GIF", "TIFF", "BMP", "PPM")
"""What is read, by Pillow's names."""
_READABLE = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
    (4, b"ftypavif", "AVIF"),
)
_CONVERT = "convert it to PNG or JPEG first"
_OTHERS = (
    (0, b"\0\0\0\x0cjP  ", f"JPEG 2000 is not read; {_CONVERT}"),
    (0, b"\xff\x0a", f"JPEG XL is not read; {_CONVERT}"),
    (0, b"\0\0\0\x0cJXL ", f"JPEG XL is not read; {_CONVERT}"),
    (0, b"8BPS", f"Photoshop files are not read; {_CONVERT}"),
    (0, b"\0\0\1\0", f"icons (ICO) are not read; {_CONVERT}"),
    (0, b"%!PS", "PostScript is a program, not pixels, and is never run; export it to PNG first"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript is a program, not pixels, and is never run; export it to PNG first"),
    (0, b"\xd7\xcd\xc6\x9a", f"Windows metafiles are drawings, not pixels; {_CONVERT}"),
    (0, b"\x1f\x8b", "the file is compressed (gzip); nothing is unpacked here, send the picture itself"),
    (0, b"PK\3\4", "the file is a ZIP archive or an office document; document.extract reads DOCX and XLSX"),
    (4, b"ftyp", "the file is a video, or a kind of HEIF that is not read; send a still picture as JPEG or PNG"),
    (0, b"\x1aE\xdf\xa3", "the file is a video; send a still picture as JPEG or PNG"),
)
_HEAD = 2048


def refusal(data: bytes) -> SkillFailed:
    """Return why no decoder took these bytes: ``not-an-image``, ``unsupported-format`` or ``image-damaged``."""
    if not data:
        return SkillFailed("not-an-image", "the file is empty")
    for at, magic, name in _READABLE:
        if data[at:].startswith(magic):
            return SkillFailed("image-damaged", f"it begins like {name}, but is cut short, damaged or of a rare kind")
    for at, magic, why in _OTHERS:
        if data[at:].startswith(magic):
            return SkillFailed("unsupported-format", why)
    return _of_text(data)


def _of_text(data: bytes) -> SkillFailed:
    head = data[:_HEAD].replace(b"\0", b"").lower()
    if b"%pdf-" in head:
        why = "PDF is a document, not an image; document.extract reads it and gives its scanned pages as images"
        return SkillFailed("unsupported-format", why)
    if b"<svg" in head:
        why = "SVG is a drawing of instructions, not pixels: it is never rendered here, its links never fetched"
        return SkillFailed("unsupported-format", f"{why}; export it to PNG first")
    if b"<html" in head or b"<!doctype html" in head:
        return SkillFailed("not-an-image", "the file is an HTML page, perhaps an error saved in place of a picture")
    if _is_text(data[:_HEAD]):
        return SkillFailed("not-an-image", "the bytes are text, not a picture")
    return SkillFailed("not-an-image", f"the bytes are no image of a known format ({', '.join(FORMATS)})")


def _is_text(head: bytes) -> bool:
    controls = sum(byte < 9 or 13 < byte < 32 for byte in head)
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return not controls and error.start > len(head) - 4  # the cut went through a letter
    return not controls
