"""Every kind of image file a caller may send, and every kind that is not one."""

import contextlib
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision.decode import PIXELS_MAX, decode
from concilium.workers.vision.inspect import examine
from support.images import corners, marked, saved


def told_of(data: bytes, media_type: str = "image/png") -> Any:
    options = {"media_type": media_type, "name": "a", "clean": False, "barcodes": True}
    return examine(options, [data]).found


def png_header(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# How a camera stores an upright scene for each orientation it may write.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_set_upright(orientation: int, kind: str) -> None:
    turn = STORED_AS[orientation]
    stored = marked(80, 40) if turn is None else marked(80, 40).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(saved(stored, kind, exif=exif), f"image/{kind.lower()}")
    assert corners(found.image) == ["red", "lime", "blue", "white"]
    assert (found.image.size, found.orientation or 1) == ((80, 40), orientation)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_means_nothing_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert corners(decode(saved(marked(), exif=exif), "image/png").image) == ["red", "lime", "blue", "white"]


def test_16_bit_grey_keeps_its_shades() -> None:
    wide = Image.new("I;16", (2, 1))
    wide.putpixel((0, 0), 0x2000)
    wide.putpixel((1, 0), 0xFF00)
    found = decode(saved(wide), "image/png")
    assert [found.image.getpixel((x, 0)) for x in (0, 1)] == [(0x20,) * 3, (0xFF,) * 3]


@pytest.mark.parametrize(
    ("sample", "value", "grey"), [("I;16", 40000, 156), ("F", 0.25, 64), ("1", 1, 255), ("L", 7, 7)]
)
def test_grey_of_any_depth_is_read(sample: str, value: float, grey: int) -> None:
    image = Image.new(sample, (3, 3), value)
    found = decode(saved(image, "TIFF"), "image/tiff")
    assert found.image.getpixel((1, 1)) == (grey,) * 3


def test_cmyk_is_read() -> None:
    found = decode(saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG"), "image/jpeg")
    red, _, blue = found.image.getpixel((4, 4))  # type: ignore[misc] # RGB pixels are tuples
    assert (found.mode, red < 30, blue > 200) == ("CMYK", True, True)


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.putpixel((0, 0), (255, 0, 0, 255))
    found = decode(saved(clear.quantize(4) if mode == "P" else clear.convert(mode)), "image/png")
    assert (found.mode, found.has_alpha, found.image.getpixel((3, 3))) == (mode, True, (255, 255, 255))


def test_palette_colours_are_kept() -> None:
    found = decode(saved(marked().quantize(8)), "image/png")
    assert (found.mode, corners(found.image)) == ("P", ["red", "lime", "blue", "white"])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("white", "red", "blue")]
    found = decode(saved(frames[0], kind, save_all=True, append_images=frames[1:]), f"image/{kind.lower()}")
    assert (found.frames, found.image.getpixel((4, 4))) == (3, (255, 255, 255))
    assert found.notes == ("3 frames; the first was read",)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_file_cut_short_is_damaged(kind: str) -> None:
    noise = Image.effect_noise((200, 200), 90).convert("RGB")
    data = saved(noise, kind)
    with pytest.raises(SkillFailed, match="image-damaged"):
        decode(data[: len(data) // 2], "image/png")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow remarks on broken metadata
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "HEIF", "AVIF", "MPO"])
def test_no_broken_byte_ends_in_anything_but_a_clear_failure(kind: str) -> None:
    data = saved(marked(), kind)
    for place in range(0, len(data), max(1, len(data) // 60)):
        broken = bytearray(data)
        broken[place] ^= 0xFF
        with contextlib.suppress(SkillFailed):  # anything else would end this test
            decode(bytes(broken), "image/png")


@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (2**31 - 1, 2**31 - 1), (65_000, 65_000), (64_000_001, 1)])
def test_a_header_that_promises_too_many_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(SkillFailed, match=f"image-too-large: .*{PIXELS_MAX}"):
        decode(png_header(width, height), "image/png")


def test_a_bomb_is_refused_before_its_pixels_are_made() -> None:
    data = saved(Image.new("1", (9000, 9000)))
    assert len(data) < 20_000
    with pytest.raises(SkillFailed, match="image-too-large: 9000 x 9000"):
        decode(data, "image/png")


def test_an_image_of_the_largest_size_is_read() -> None:
    assert decode(saved(Image.new("1", (8000, 8000), 1)), "image/png").image.size == (8000, 8000)


def test_a_bomb_in_a_text_chunk_is_a_clear_failure() -> None:
    packed = zlib.compress(b"A" * 30_000_000, 9)
    data = saved(marked())
    with pytest.raises(SkillFailed, match="image-damaged"):
        decode(data[:33] + chunk(b"zTXt", b"Comment\0\0" + packed) + data[33:], "image/png")


def test_a_wrong_label_is_noted_and_the_content_read() -> None:
    found = decode(saved(marked(), "JPEG"), "image/png")
    assert (found.format, found.notes) == ("JPEG", ("labelled image/png, but the content is image/jpeg",))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "not-an-image"),
        (b"hello, I am text", "not-an-image"),
        (b"%PDF-1.7\n%binary", "unsupported-format"),
        (b"\x89PNG\r\n\x1a\n", "image-damaged|not-an-image"),
        (b"\0" * 1000, "not-an-image"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported-format"),
        ("\ufeff<SVG/>".encode(), "unsupported-format"),
        ("\ufeff<svg/>".encode("utf-16-le"), "unsupported-format"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image-damaged: it begins like HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "image-damaged: it begins like AVIF"),
    ],
)
def test_what_is_no_picture_of_pixels_is_refused(data: bytes, kind: str) -> None:
    with pytest.raises(SkillFailed, match=kind):
        decode(data, "image/png")


@pytest.mark.parametrize("dpi", [(0, 0), (1, 1), (100_000, 3), (72.009, 300)])
def test_odd_resolutions_do_no_harm(dpi: tuple[float, float]) -> None:
    found = told_of(saved(marked(), dpi=dpi))
    assert found["dpi"] is None or found["dpi"] == pytest.approx(dpi, rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000)])
def test_the_smallest_and_the_thinnest_images_are_described(size: tuple[int, int]) -> None:
    found = told_of(saved(Image.new("RGB", size, "#336699")))
    assert (found["width"], found["height"]) == size
    assert found["colours"][0]["hex"] == "#336699"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_private_data_leaves_the_file(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "SecretMaker", "SecretModel"
    exif[0x013B], exif[0x8298], exif[0x9286] = "SecretArtist", "SecretOwner", "SecretComment"
    details = exif.get_ifd(0x8769)
    details[0xA431], details[0xA430], details[0x9003] = "SecretSerial", "SecretCameraOwner", "2026:01:02 03:04:05"
    place = exif.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (51.0, 30.0, 12.25), "W", (0.0, 7.0, 39.5)
    data = saved(marked(), kind, exif=exif.tobytes())
    assert data.count(b"Secret") >= 3
    told = told_of(data, f"image/{kind.lower()}")
    assert told["private"] == ["comment", "device", "location", "owner", "serial-number", "time"]
    assert told["exif"] == {}
    for private in ("Secret", "2026", "12.25", "39.5"):
        assert private not in str(told)
