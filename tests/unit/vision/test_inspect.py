"""``vision.inspect``: what it tells of a file, what it keeps to itself, and the copy without private data."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillFailed
from support.heif import rotated
from support.images import corners, marked, opened, run, saved

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>SecretXmp</rdf:RDF></x:xmpmeta>'
MEDIA = {"HEIF": "image/heic", "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff"}
MEDIA["AVIF"] = "image/avif"


async def inspected(path: Path, data: bytes, **more: Any) -> JSON:
    return (await run("vision.inspect", path, data, **more)).output


def private_exif() -> bytes:
    """Return the EXIF of a phone photo: harmless exposure values among everything that must not leave."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "SecretMaker", "SecretModel", "SecretSoftware"
    exif[0x013B], exif[0x8298], exif[0x010E] = "SecretArtist", "SecretOwner", "SecretDescription"
    details = exif.get_ifd(0x8769)
    details[0xA431], details[0xA430], details[0x9003] = "SecretSerial", "SecretCameraOwner", "2026:01:02 03:04:05"
    details[0x829A], details[0x829D], details[0x8827], details[0x920A] = 0.008, 1.8, 400, 4.25
    details[0x927C] = b"SecretMakerNote"
    place = exif.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (51.0, 30.0, 12.25), "W", (0.0, 7.0, 39.5)
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
async def test_harmless_exposure_is_told_and_the_private_part_only_by_kind(tmp_path: Path, kind: str) -> None:
    data = saved(marked(64, 64), kind, exif=private_exif())
    assert data.count(b"Secret") >= 3
    told = await inspected(tmp_path, data, media_type=MEDIA[kind])
    assert told["exif"] == pytest.approx(
        {"exposure_time_s": 0.008, "f_number": 1.8, "iso": 400, "focal_length_mm": 4.25}, rel=1e-3
    )
    assert told["private"] == ["comment", "device", "location", "maker-note", "owner", "serial-number", "time"]
    for secret in ("Secret", "2026", "12.25", "39.5"):
        assert secret not in str(told)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
async def test_a_cleaned_copy_has_the_pixels_and_nothing_else(tmp_path: Path, kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(marked(64, 64), kind, exif=private_exif(), xmp=XMP, icc_profile=profile)
    result = await run("vision.inspect", tmp_path, data, media_type=MEDIA[kind], clean=True, name="IMG 1.x")
    ((file, ref),) = [(f, result.output["cleaned"]) for f in result.files]
    assert (ref["name"], ref["media_type"], ref["size"]) == (file.name, file.media_type, len(file.data))
    assert b"Secret" not in file.data
    copy = opened(file.data)
    assert (dict(copy.getexif()), copy.info.get("xmp")) == ({}, None)
    assert not {"exif", "xmp", "comment", "icc_profile", "photoshop"} & copy.info.keys()
    assert corners(copy) == ["red", "lime", "blue", "white"]
    again = await inspected(tmp_path, file.data, media_type=file.media_type, name=file.name)
    assert (again["private"], again["exif"], again["notes"]) == ([], {}, [])
    assert (again["width"], again["height"]) == (64, 64)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("JPEG", "jpg"), ("HEIF", "jpg"), ("WEBP", "webp"), ("PNG", "png"), ("BMP", "png"), ("GIF", "png")],
)
async def test_a_cleaned_copy_keeps_the_kind_of_file(tmp_path: Path, kind: str, ending: str) -> None:
    result = await run("vision.inspect", tmp_path, saved(marked(), kind), clean=True, name="holiday.photo.xyz")
    assert result.files[0].name == f"holiday.photo-clean.{ending}"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
async def test_a_cleaned_png_has_the_very_same_pixels(tmp_path: Path, mode: str) -> None:
    noise = Image.effect_noise((33, 21), 90)
    picture = (
        Image.frombytes("I;16", (33, 21), bytes(range(256)) * 5 + bytes(106)) if mode == "I;16" else noise.convert(mode)
    )
    if mode in ("RGBA", "LA"):
        picture.putalpha(noise)
    (file,) = (await run("vision.inspect", tmp_path, saved(picture), clean=True)).files
    wanted = "RGBA" if mode == "LA" else picture.mode
    assert opened(file.data).convert(wanted).tobytes() == picture.convert(wanted).tobytes()


async def test_a_cleaned_copy_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = saved(marked(64, 32).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    result = await run("vision.inspect", tmp_path, stored, clean=True, media_type="image/jpeg")
    copy = opened(result.files[0].data)
    assert (copy.size, corners(copy), result.output["exif_orientation"]) == (
        (64, 32),
        ["red", "lime", "blue", "white"],
        6,
    )


async def test_text_chunks_and_comments_are_private(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Author", "SecretAuthor", zip=True)
    chunks.add_itxt("Comment", "SecretComment")
    for kind, more in (("PNG", {"pnginfo": chunks}), ("JPEG", {"comment": b"Secret"}), ("GIF", {"comment": b"Secret"})):
        result = await run("vision.inspect", tmp_path, saved(marked(), kind, **more), clean=True)
        assert result.output["private"] == ["comment"]
        assert b"Secret" not in result.files[0].data


async def test_a_thumbnail_that_shows_more_than_the_picture_is_found_and_left_out(tmp_path: Path) -> None:
    data = saved(marked(64, 64), "JPEG", exif=exif_with_thumbnail())
    result = await run("vision.inspect", tmp_path, data, clean=True, media_type="image/jpeg")
    assert "thumbnail" in result.output["private"]
    assert b"ThumbnailBytes" in data
    assert b"ThumbnailBytes" not in result.files[0].data


def exif_with_thumbnail() -> bytes:
    """Return EXIF whose second directory holds an embedded JPEG, as cameras write it."""
    small = b"\xff\xd8ThumbnailBytes\xff\xd9"
    first = b"\x01\x00" + b"\x12\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00" + (26).to_bytes(4, "little")
    entry = b"\x01\x02\x04\x00\x01\x00\x00\x00" + (56).to_bytes(4, "little")
    length = b"\x02\x02\x04\x00\x01\x00\x00\x00" + len(small).to_bytes(4, "little")
    second = b"\x02\x00" + entry + length + bytes(4)
    return b"Exif\0\0II*\0\x08\x00\x00\x00" + first + second + small


async def test_a_broken_exif_does_not_hide_the_picture(tmp_path: Path) -> None:
    told = await inspected(tmp_path, saved(marked(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage"))
    assert (told["width"], told["exif_orientation"]) == (40, None)


@pytest.mark.parametrize(
    ("quarters", "size", "seen"),
    [
        (0, (64, 32), ["red", "lime", "blue", "white"]),
        (1, (32, 64), ["lime", "white", "red", "blue"]),
        (2, (64, 32), ["white", "blue", "lime", "red"]),
        (3, (32, 64), ["blue", "red", "white", "lime"]),
    ],
)
async def test_a_heic_is_turned_as_its_container_says(
    tmp_path: Path, quarters: int, size: tuple[int, int], seen: list[str]
) -> None:
    photo = rotated(saved(marked(64, 32), "HEIF", quality=95), quarters)
    result = await run("vision.inspect", tmp_path, photo, clean=True, media_type="image/heic", name="IMG.heic")
    assert (result.output["format"], result.output["media_type"], result.output["notes"]) == ("HEIF", "image/heic", [])
    assert (result.output["width"], result.output["height"]) == size
    assert corners(opened(result.files[0].data)) == seen


@pytest.mark.parametrize("kind", ["HEIF", "MPO"])
async def test_of_a_file_of_several_pictures_the_main_one_is_told(tmp_path: Path, kind: str) -> None:
    more = {"save_all": True, "append_images": [Image.new("RGB", (16, 16), "black")]}
    told = await inspected(
        tmp_path, saved(marked(64, 64), kind, **more), media_type=MEDIA.get(kind, "image/jpeg"), name="a"
    )
    assert (told["frames"], told["width"]) == (2, 64)
    assert told["notes"] == ["2 pictures in the file; the main one was read"]


async def test_what_is_not_the_main_picture_is_not_in_the_cleaned_copy(tmp_path: Path) -> None:
    more = {"save_all": True, "append_images": [Image.new("RGB", (40, 20), "black")]}
    for kind in ("GIF", "PNG", "WEBP", "HEIF", "MPO"):
        result = await run("vision.inspect", tmp_path, saved(marked(), kind, **more), clean=True)
        assert getattr(opened(result.files[0].data), "n_frames", 1) == 1
        assert "the cleaned copy holds one frame" in result.output["notes"]


@pytest.mark.parametrize(
    ("name", "media_type", "notes"),
    [
        ("a.jpg", "image/jpeg", []),
        ("a.JPEG", "image/jpg", []),
        ("a", "application/octet-stream", []),
        ("a.png", "image/jpeg", ["named .png, but the content is JPEG"]),
        ("a.jpg", "image/png", ["labelled image/png, but the content is image/jpeg"]),
        (
            "a.heic",
            "image/heic",
            ["labelled image/heic, but the content is image/jpeg", "named .heic, but the content is JPEG"],
        ),
    ],
)
async def test_a_wrong_name_or_label_is_noted(tmp_path: Path, name: str, media_type: str, notes: list[str]) -> None:
    told = await inspected(tmp_path, saved(marked(), "JPEG"), name=name, media_type=media_type)
    assert (told["format"], told["notes"]) == ("JPEG", notes)


@pytest.mark.parametrize(
    ("image", "kind", "bits", "mode", "note"),
    [
        (Image.new("I;16", (9, 9), 40000), "PNG", 16, "I;16", "16 bits a channel; read as 8"),
        (Image.new("I;16", (9, 9), 40000), "TIFF", 16, "I;16", "16 bits a channel; read as 8"),
        (Image.new("F", (9, 9), 0.5), "TIFF", 32, "F", "32 bits a channel; read as 8"),
        (Image.new("1", (9, 9), 1), "PNG", 1, "1", None),
        (Image.new("CMYK", (9, 9)), "JPEG", 8, "CMYK", "CMYK, made for print; the colours on a screen are approximate"),
        (marked(), "PNG", 8, "RGB", None),
    ],
)
async def test_the_depth_of_a_channel_is_told(
    tmp_path: Path, image: Image.Image, kind: str, bits: int, mode: str, note: str | None
) -> None:
    told = await inspected(tmp_path, saved(image, kind), media_type=f"image/{kind.lower()}", name="a")
    assert (told["bits"], told["mode"], told["notes"]) == (bits, mode, [note] if note else [])


async def test_16_bit_colour_is_told(tmp_path: Path) -> None:
    import cv2  # only to write a file that Pillow cannot
    import numpy

    _, data = cv2.imencode(".png", numpy.full((8, 8, 3), 40000, dtype=numpy.uint16))
    told = await inspected(tmp_path, data.tobytes())
    assert (told["bits"], told["colours"][0]["hex"]) == (16, "#9c9c9c")


async def test_what_is_no_picture_fails_as_reading_it_would(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match=r"unsupported-format: PDF .* document\.extract"):
        await inspected(tmp_path, b"%PDF-1.7\n1 0 obj", media_type="image/png", name="scan.png")
