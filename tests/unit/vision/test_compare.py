"""``vision.compare``: the same, nearly the same, turned, scaled and different pictures."""

import random
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image, ImageDraw, ImageFilter

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision.decode import TURNS
from concilium.workers.vision.similarity import distance, perceptual_hash, ssim
from support.images import opened, run, saved


def scene(seed: int = 1, size: tuple[int, int] = (320, 200)) -> Image.Image:
    """Return a picture of coloured shapes, another one for each seed."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(120, 256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        corner = (x + rng.randrange(20, 90), y + rng.randrange(20, 90))
        pen.ellipse((x, y, *corner), fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


async def compared(path: Path, first: Image.Image | bytes, second: Image.Image | bytes, **more: Any) -> JSON:
    files = [item if isinstance(item, bytes) else saved(item) for item in (first, second)]
    return (await run("vision.compare", path, *files, **more)).output


async def test_the_same_file_is_the_same(tmp_path: Path) -> None:
    told = await compared(tmp_path, scene(), scene())
    assert (told["same_file"], told["identical"], told["same_size"], told["turn"]) == (True, True, True, None)
    assert (told["different_share"], told["ssim"], told["hash_distance"], told["regions"]) == (0, 1, 0, [])
    assert told["summary"] == "The images are identical, pixel by pixel."


async def test_the_same_pixels_in_another_format_are_identical(tmp_path: Path) -> None:
    told = await compared(tmp_path, scene(), saved(scene(), "BMP"))
    assert (told["same_file"], told["identical"]) == (False, True)
    assert told["notes"] == ["second image: labelled image/png, but the content is image/bmp"]


async def test_one_changed_place_is_found_and_drawn(tmp_path: Path) -> None:
    changed = scene()
    changed.paste("black", (200, 40, 230, 60))
    changed.paste("yellow", (20, 150, 60, 190))
    result = await run("vision.compare", tmp_path, saved(scene()), saved(changed))
    told = result.output
    larger, smaller = told["regions"]
    assert larger["box"] == pytest.approx([20, 150, 40, 40], abs=2)
    assert smaller["box"] == pytest.approx([200, 40, 30, 20], abs=2)
    assert told["different_share"] == pytest.approx((30 * 20 + 40 * 40) / (320 * 200), rel=0.05)
    assert told["different_share"] == pytest.approx(sum(region["share"] for region in told["regions"]))
    ((file, ref),) = [(f, told["difference"]) for f in result.files]
    assert (file.name, file.media_type, ref["size"]) == ("difference.png", "image/png", len(file.data))
    drawing = opened(file.data)
    assert drawing.size == (320, 200)
    assert drawing.getpixel((40, 170)) == (220, 0, 0)
    grey: Any = drawing.getpixel((300, 100))
    assert grey[0] == grey[1] == grey[2]


async def test_one_changed_pixel_is_found(tmp_path: Path) -> None:
    changed = scene()
    changed.putpixel((7, 9), (0, 0, 0))
    told = await compared(tmp_path, scene(), changed)
    assert (told["identical"], told["regions"]) == (False, [{"box": [7, 9, 1, 1], "share": 1 / 64000}])
    assert "< 0.01 %" in told["summary"]


async def test_what_compression_does_is_not_a_change(tmp_path: Path) -> None:
    told = await compared(tmp_path, scene(), saved(scene(), "JPEG", quality=90, subsampling=0))
    assert (told["identical"], told["hash_distance"]) == (False, 0)
    assert told["different_share"] < 0.01
    assert told["ssim"] > 0.95
    assert "look like the same picture" in told["summary"]


async def test_the_tolerance_can_be_set(tmp_path: Path) -> None:
    brighter = scene().point(lambda v: min(255, v + 10))
    assert (await compared(tmp_path, scene(), brighter))["different_share"] == 0
    assert (await compared(tmp_path, scene(), brighter, tolerance=0))["different_share"] > 0.9


async def test_other_pictures_are_told_apart(tmp_path: Path) -> None:
    told = await compared(tmp_path, scene(1), scene(2))
    assert told["hash_distance"] > 15
    assert told["ssim"] < 0.8
    assert told["different_share"] > 0.5
    assert "different pictures" in told["summary"]


@pytest.mark.parametrize(("turn", "how"), TURNS.items())
async def test_a_turned_copy_is_turned_back(tmp_path: Path, turn: int, how: Image.Transpose) -> None:
    stored = {6: TURNS[8], 8: TURNS[6]}.get(turn, how)  # the inverse of a quarter turn is the other one
    told = await compared(tmp_path, scene(), scene().transpose(stored))
    names = {2: "mirror", 3: "rotate-180", 4: "flip", 5: "transpose", 6: "rotate-90", 7: "transverse", 8: "rotate-270"}
    assert (told["turn"], told["different_share"], told["identical"]) == (names[turn], 0, False)
    assert told["same_size"] is (turn in (2, 3, 4))


async def test_a_copy_whose_exif_says_how_it_lies_is_the_same(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    told = await compared(tmp_path, scene(), saved(scene().transpose(Image.Transpose.ROTATE_90), exif=exif))
    assert (told["turn"], told["identical"]) == (None, True)


async def test_a_smaller_copy_looks_the_same_though_its_size_differs(tmp_path: Path) -> None:
    told = await compared(tmp_path, scene(size=(640, 400)), scene(size=(640, 400)).resize((320, 200)))
    assert (told["same_size"], told["compared_at"], told["sizes"]) == (False, [320, 200], [[640, 400], [320, 200]])
    assert told["ssim"] > 0.95
    assert told["hash_distance"] <= 2
    assert any("scaled to the smaller" in note for note in told["notes"])


async def test_regions_are_told_in_pixels_of_the_first_picture(tmp_path: Path) -> None:
    small = scene(size=(640, 400)).resize((320, 200), Image.Resampling.LANCZOS)
    small.paste("black", (100, 50, 140, 90))
    told = await compared(tmp_path, scene(size=(640, 400)), small, tolerance=60)
    assert told["regions"][0]["box"] == pytest.approx([200, 100, 80, 80], abs=8)


async def test_other_shapes_are_compared_with_a_warning(tmp_path: Path) -> None:
    told = await compared(tmp_path, scene(), scene(size=(200, 200)))
    assert any("the shapes differ" in note for note in told["notes"])


async def test_the_summary_is_russian_when_asked(tmp_path: Path) -> None:
    told = await compared(tmp_path, scene(1), scene(2), language="ru")
    assert "Похоже, это разные картинки." in told["summary"]


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (10, 10), (11, 11)])
async def test_tiny_and_thin_pictures_are_compared(tmp_path: Path, size: tuple[int, int]) -> None:
    black, white = Image.new("RGB", size), Image.new("RGB", size, "white")
    assert (await compared(tmp_path, black, black))["ssim"] == 1
    told = await compared(tmp_path, black, white)
    assert (told["different_share"], len(told["regions"])) == (1, 1)
    assert told["ssim"] < 0.01


async def test_a_hundred_changes_are_told_by_the_largest(tmp_path: Path) -> None:
    dots = Image.new("RGB", (640, 640), "white")
    for x in range(10):
        for y in range(10):
            dots.paste("black", (x * 64 + 20, y * 64 + 20, x * 64 + 24, y * 64 + 24))
    told = await compared(tmp_path, Image.new("RGB", (640, 640), "white"), dots)
    assert len(told["regions"]) == 32
    assert told["notes"] == ["100 regions differ; the 32 largest are told"]


async def test_what_is_no_picture_fails_clearly(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match="not-an-image: the bytes are text"):
        await compared(tmp_path, scene(), b"hello")


def greys() -> tuple[Image.Image, Image.Image]:
    rows, columns = numpy.mgrid[0:200, 0:260]
    values = 127 + 80 * numpy.sin(columns / 9) * numpy.cos(rows / 7) + 20 * numpy.sin(rows * columns / 500)
    first = Image.fromarray(values.clip(0, 255).astype(numpy.uint8))
    return first, first.filter(ImageFilter.GaussianBlur(2))


def test_structural_similarity_is_that_of_the_reference() -> None:
    first, second = greys()
    # scikit-image 0.26, structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False).
    assert ssim(first, second) == pytest.approx(0.9791227, abs=1e-6)
    assert ssim(first, first.point(lambda v: v // 2)) == pytest.approx(0.6855808, abs=1e-6)


def test_the_perceptual_hash_is_that_of_the_reference() -> None:
    first, _ = greys()
    # imagehash 4.3, phash().
    assert f"{perceptual_hash(first):016x}" == "fffac0e0c083838f"
    assert f"{perceptual_hash(first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):016x}" == "aaa995959596d4d2"


def test_empty_pictures_have_one_hash_whatever_their_colour() -> None:
    hashes = {perceptual_hash(Image.new("L", (50, 40), grey)) for grey in (1, 77, 128, 255)}
    assert len(hashes) == 1
    assert distance(0b1011, 0b0001) == 2
