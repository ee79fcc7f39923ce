"""Photographs of pages: squared, evened out, turned and level before they are read, boxes where the text was."""

from collections.abc import Sequence

import numpy
import pytest
from PIL import Image, ImageFilter

from concilium.workers.vision.clarity import blur_of, fringes_of, grain_of, readied
from concilium.workers.vision.photo import levelled, outline_of, unevenness
from concilium.workers.vision.sheet import sheet_of
from concilium.workers.vision.slant import slant_of

from .drawing import needs_dejavu, page, photographed, shaded

pytestmark = needs_dejavu
LINES = [f"This is line {n} of a page that was photographed" for n in range(9)]
CROOKED = [(160, 120), (1010, 190), (960, 870), (90, 800)]


def crooked() -> Image.Image:
    return photographed(page(*LINES).resize((850, 680)), CROOKED, (1100, 1000))


@pytest.mark.parametrize("degrees", [-20.0, -7.0, -1.0, 0.0, 0.5, 3.0, 12.0, 25.0])
def test_the_slant_of_lines_is_found(degrees: float) -> None:
    turned = page(*LINES).rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    found = slant_of(sheet_of(turned).grey)
    assert found.degrees == pytest.approx(degrees, abs=0.25)
    assert (found.upended, found.clear) == (False, True)


@pytest.mark.parametrize("quarter", [90, 270])
def test_lines_that_run_up_or_down_are_found(quarter: int) -> None:
    found = slant_of(sheet_of(page(*LINES).rotate(quarter + 2, expand=True, fillcolor="white")).grey)
    assert (found.upended, found.clear) == (True, True)
    assert abs(found.degrees) == pytest.approx(2, abs=0.25)


def test_a_blank_page_has_no_slant() -> None:
    assert slant_of(numpy.full((300, 400), 255, numpy.uint8)).degrees == 0


def test_the_outline_of_a_crooked_page_is_found() -> None:
    corners = outline_of(sheet_of(crooked()).grey)
    assert corners is not None
    assert numpy.abs(corners - numpy.array(CROOKED)).max() < 12


@pytest.mark.parametrize("frame", ["black", "#888888"])
def test_a_frame_drawn_on_a_page_is_not_its_outline(frame: str) -> None:
    image = Image.new("RGB", (1000, 1000), "white")
    image.paste(frame, (100, 130, 900, 800))
    image.paste("white", (104, 134, 896, 796))
    assert outline_of(sheet_of(image).grey) is None


def test_an_upright_window_on_a_dark_screen_is_not_cut_out() -> None:
    screen = Image.new("RGB", (1200, 900), "#303030")
    screen.paste(page(*LINES), (60, 60))
    assert levelled(screen).sheet.grey.shape == (900, 1200)


def test_a_shadow_is_evened_out_and_an_even_page_is_left_alone() -> None:
    even, shadowed = page(*LINES), shaded(page(*LINES))
    assert unevenness(sheet_of(shadowed).grey) > 60
    assert unevenness(levelled(shadowed).sheet.grey) < 10
    assert (levelled(even).sheet.grey == sheet_of(even).grey).all()


def of_mark(image: Image.Image) -> tuple[float, float]:
    """Return the middle of what is darker than grey."""
    rows, columns = numpy.nonzero(numpy.asarray(image.convert("L")) < 40)
    return float(columns.mean()), float(rows.mean())


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("degrees", [0.0, 4.0])
def test_a_box_leads_back_to_its_place_in_the_given_image(quarters: int, degrees: float) -> None:
    image = Image.new("RGB", (500, 300), "white")
    image.paste("black", (100, 60, 140, 76))
    sheet = sheet_of(image).turned(quarters).rotated(degrees).scaled(1.7)
    x, y = of_mark(Image.fromarray(sheet.grey))
    left, top, width, height = sheet.given_box(x - 5, y - 5, 10, 10)
    assert left + width / 2 == pytest.approx(120, abs=2)
    assert top + height / 2 == pytest.approx(68, abs=2)


def test_a_squared_page_leads_back_too() -> None:
    found = levelled(crooked())
    height, width = found.sheet.grey.shape
    left, top, wide, high = found.sheet.given_box(0, 0, width, height)
    xs, ys = [x for x, _ in CROOKED], [y for _, y in CROOKED]
    assert [left, top, left + wide, top + high] == pytest.approx([min(xs), min(ys), max(xs), max(ys)], abs=20)


@pytest.mark.parametrize("strength", [10, 25, 45])
def test_grain_is_measured_and_smoothed(strength: int) -> None:
    clean = numpy.asarray(page(*LINES).convert("L")) * 0.6 + 50
    grain = numpy.random.default_rng(1).normal(0, strength, clean.shape)
    sheet = sheet_of(Image.fromarray(numpy.clip(clean + grain, 0, 255).astype(numpy.uint8)))
    assert grain_of(sheet.grey) == pytest.approx(strength, rel=0.2)
    assert grain_of(readied(sheet).grey) < strength / 3


@pytest.mark.parametrize("radius", [1.5, 2.0, 2.6])
def test_blur_is_measured_and_undone(radius: float) -> None:
    sheet = sheet_of(page(*LINES).filter(ImageFilter.GaussianBlur(radius)))
    assert blur_of(sheet.grey) == pytest.approx(radius, rel=0.35)  # thin strokes seem sharper
    ready = readied(sheet)
    assert blur_of(ready.grey) < 0.8 * radius * ready.width / sheet.width


def test_a_clean_page_is_neither_grainy_nor_blurred_nor_fringed() -> None:
    grey = sheet_of(page(*LINES)).grey
    assert grain_of(grey) == 0
    assert blur_of(grey) < 1
    assert fringes_of(grey) < 0.3


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (5, 4000)])
def test_pages_of_odd_sizes_do_no_harm(size: Sequence[int]) -> None:
    found = levelled(Image.new("RGB", (size[0], size[1]), "white"))
    assert readied(found.sheet).grey.size >= 1
