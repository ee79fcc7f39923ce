"""``vision.compare``: how alike two pictures are, and where they differ."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from PIL import Image

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillResult
from concilium.workers.vision import similarity
from concilium.workers.vision.cell import Answer, in_cell
from concilium.workers.vision.colours import to_srgb
from concilium.workers.vision.decode import TURNS, flat, upright
from concilium.workers.vision.differences import REGIONS_MAX, Difference, differ, drawn
from concilium.workers.vision.verdict import summary

TOLERANCE = 24
"""Below this much of 255 a channel's difference is noise of compression, not a change."""
_THUMB = 32
_TURN_NAMES = {
    2: "mirror",
    3: "rotate-180",
    4: "flip",
    5: "transpose",
    6: "rotate-90",
    7: "transverse",
    8: "rotate-270",
}
"""What has to be done to the second picture, clockwise, by the orientations of Exif."""
_TURNED_FITS = 12.0
"""A turned picture that is meant fits the first one within this mean error of 255 on small thumbnails …"""
_TURNED_BETTER = 0.5
"""… and has at most this part of the error of the picture as it is."""
_SHAPE = 0.02
"""Shapes whose ratios of width and height differ by less are one shape."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures brought to one position, size and colour space, as far as they go."""

    first: Image.Image
    second: Image.Image
    sizes: tuple[tuple[int, int], tuple[int, int]]
    """Upright, before they were brought together."""
    turn: str | None
    notes: tuple[str, ...]


async def compare(ctx: SkillContext, data: JSON) -> SkillResult:
    """Compare the two pictures; fails as `open_image` does."""
    refs = data["images"]
    options = {
        "media_types": [ref["media_type"] for ref in refs],
        "tolerance": data.get("tolerance", TOLERANCE),
        "language": data.get("language", "en"),
    }
    answer = await in_cell(examine, options, *(ctx.files[ref["sha256"]] for ref in refs))
    (picture,) = answer.parts
    file = OutFile("difference.png", "image/png", picture)
    output = {**answer.found, "same_file": refs[0]["sha256"] == refs[1]["sha256"]}
    output["difference"] = file_ref(file.name, file.media_type, file.data).model_dump(mode="json")
    return SkillResult(output, (file,))


def examine(options: dict[str, JSON], files: Sequence[bytes]) -> Answer:
    """Return the output of ``vision.compare`` without its files, and the difference picture; the job of a cell."""
    pair = _together(files, options["media_types"])
    found = differ(pair.first, pair.second, options["tolerance"])
    greys = pair.first.convert("L"), pair.second.convert("L")
    hashes = [similarity.perceptual_hash(grey) for grey in greys]
    told: dict[str, JSON] = {
        "sizes": [list(size) for size in pair.sizes],
        "same_size": pair.sizes[0] == pair.sizes[1],
        "turn": pair.turn,
        "compared_at": list(pair.first.size),
        "identical": found.equal and pair.turn is None and pair.sizes[0] == pair.sizes[1],
        "different_share": found.share,
        "mean_difference": found.mean,
        "tolerance": options["tolerance"],
        "ssim": round(similarity.ssim(*greys), 6),
        "hashes": [f"{value:016x}" for value in hashes],
        "hash_distance": similarity.distance(*hashes),
        "regions": _regions(found, pair),
        "notes": [*pair.notes, *_region_notes(found)],
    }
    told["summary"] = summary(told, options["language"])
    out = io.BytesIO()
    drawn(pair.first, found).save(out, "PNG")
    return Answer(told, (out.getvalue(),))


def _together(files: Sequence[bytes], media_types: Sequence[str]) -> Pair:
    (first, second), notes = _opened(files, media_types)
    turn = _turn_to_fit(first, second)
    sizes = (first.size, second.size)
    if turn is not None:
        second = second.transpose(TURNS[turn])
        notes.append(f"the second image was turned to fit the first: {_TURN_NAMES[turn]}")
    if first.size != second.size:
        notes += _shape_notes(first.size, second.size)
        size = min(first.size, second.size, key=lambda s: s[0] * s[1])
        first, second = (i if i.size == size else i.resize(size, Image.Resampling.LANCZOS) for i in (first, second))
    return Pair(first, second, sizes, _TURN_NAMES.get(turn or 1), tuple(notes))


def _opened(files: Sequence[bytes], media_types: Sequence[str]) -> tuple[list[Image.Image], list[str]]:
    """Return both pictures upright and flat, in sRGB where their colour spaces differ, and what there is to say."""
    found = [upright(content, label) for content, label in zip(files, media_types, strict=True)]
    notes = [f"{name} image: {note}" for name, d in zip(("first", "second"), found, strict=True) for note in d.notes]
    images = [decoded.image for decoded in found]
    del found
    if images[0].info.get("icc_profile") != images[1].info.get("icc_profile"):
        images = [to_srgb(image) for image in images]
    return [flat(image) for image in images], notes


def _shape_notes(first: tuple[int, int], second: tuple[int, int]) -> list[str]:
    ratio = first[0] * second[1] / (first[1] * second[0])
    notes = ["the sizes differ: the larger image was scaled to the smaller, so edges may count as different"]
    if abs(ratio - 1) > _SHAPE:
        notes.append("the shapes differ: one image was stretched, so most numbers say little")
    return notes


def _turn_to_fit(first: Image.Image, second: Image.Image) -> int | None:
    """Return the Exif orientation under which the second clearly is the first; None when it is best as it is."""
    wanted, given = _thumb(first), Image.fromarray(_thumb(second).astype(numpy.uint8))
    errors = {
        turn: float(numpy.abs(numpy.asarray(given.transpose(how), dtype=float) - wanted).mean())
        for turn, how in TURNS.items()
    }
    best = min(errors, key=lambda turn: errors[turn])
    as_it_is = float(numpy.abs(numpy.asarray(given, dtype=float) - wanted).mean())
    return best if errors[best] <= min(_TURNED_FITS, _TURNED_BETTER * as_it_is) and as_it_is > 1 else None


def _thumb(image: Image.Image) -> similarity.Values:
    small = image.resize((_THUMB, _THUMB), Image.Resampling.BOX, reducing_gap=2.0)
    return numpy.asarray(small.convert("L"), dtype=float)


def _regions(found: Difference, pair: Pair) -> list[JSON]:
    """Return the regions with their boxes in pixels of the first picture."""
    across, down = pair.sizes[0][0] / pair.first.width, pair.sizes[0][1] / pair.first.height
    total = pair.first.width * pair.first.height
    told = []
    for region in found.regions[:REGIONS_MAX]:
        left, top, right, bottom = region.box
        box = [int(left * across), int(top * down), round((right - left) * across), round((bottom - top) * down)]
        told.append({"box": [*box[:2], *(max(1, side) for side in box[2:])], "share": region.pixels / total})
    return told


def _region_notes(found: Difference) -> list[str]:
    count = len(found.regions)
    return [f"{count} regions differ; the {REGIONS_MAX} largest are told"] if count > REGIONS_MAX else []
