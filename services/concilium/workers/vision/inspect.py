"""``vision.inspect``: what an image file is, which barcodes it shows, and a copy of it without private data."""

from collections.abc import Sequence
from pathlib import PurePath

from PIL import Image

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillResult
from concilium.workers.vision import barcodes
from concilium.workers.vision.cell import Answer, in_cell
from concilium.workers.vision.colours import main_colours
from concilium.workers.vision.decode import Decoded, flat, upright
from concilium.workers.vision.stripped import stripped_copy, stripped_name


async def inspect(ctx: SkillContext, data: JSON) -> SkillResult:
    """Tell what the image is; fails as `open_image` does."""
    ref = data["image"]
    options = {**{name: ref[name] for name in ("name", "media_type")}, "clean": data.get("clean", False)}
    answer = await in_cell(examine, {**options, "barcodes": data.get("barcodes", True)}, ctx.files[ref["sha256"]])
    output = answer.found
    if not answer.parts:
        return SkillResult(output)
    (content,) = answer.parts
    name = stripped_name(ref["name"], output["cleaned"]["ending"])
    copy = OutFile(name, output["cleaned"]["media_type"], content)
    output["cleaned"] = file_ref(copy.name, copy.media_type, copy.data).model_dump(mode="json")
    return SkillResult(output, (copy,))


def examine(options: dict[str, JSON], files: Sequence[bytes]) -> Answer:
    """Return the output of ``vision.inspect``; the job of a cell. Width and height are of the upright image."""
    (content,) = files
    found = upright(content, options["media_type"])
    seen = flat(found.image)
    codes, notes = barcodes.read(seen) if options["barcodes"] else ([], [])
    told = {**_facts(found, content, seen), "barcodes": codes}
    told["notes"] = [*found.notes, *_name_notes(options["name"], found.format), *notes]
    if not options["clean"]:
        return Answer(told)
    copy = stripped_copy(found, content)
    told["cleaned"] = {"media_type": copy.media_type, "ending": copy.ending}
    if found.frames > 1:
        told["notes"].append("the cleaned copy holds one frame")
    return Answer(told, (copy.data,))


def _facts(found: Decoded, content: bytes, seen: Image.Image) -> dict[str, JSON]:
    return {
        "format": found.format,
        "media_type": found.media_type,
        "width": seen.width,
        "height": seen.height,
        "mode": found.mode,
        "bits": found.bits,
        "bytes": len(content),
        "frames": found.frames,
        "exif_orientation": found.orientation,
        "colours": main_colours(seen),
        "has_alpha": found.has_alpha,
        "dpi": list(found.dpi) if found.dpi else None,
        "exif": found.exif,
        "private": list(found.private),
    }


def _name_notes(name: str, actual: str) -> list[str]:
    """Return a note when the file's name promises another format."""
    ending = PurePath(name).suffix.lower()
    promised = Image.registered_extensions().get(ending)
    if promised is None or promised == actual or {promised, actual} <= {"JPEG", "MPO"}:
        return []
    return [f"named {ending}, but the content is {actual}"]
