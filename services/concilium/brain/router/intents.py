"""From a clause to the steps it orders: rules for the four first skills, examples for every other."""

from concilium.brain.references import is_reference
from concilium.brain.router import lexicon as words
from concilium.brain.router.clauses import Clause
from concilium.brain.router.material import Material, script_language
from concilium.brain.router.scripts import INSPECT, OCR, RUN, SPEAK, Order, Unsure
from concilium.contracts.base import JSON
from concilium.contracts.plan import PlanStep

RULED = frozenset({OCR, INSPECT, RUN, SPEAK})


def skill_of(clause: Clause) -> str | None:
    """Return the skill whose rule a clause meets, or None."""
    key = clause.key
    if words.SPEAK.search(key):
        return SPEAK
    if words.OCR_ASKS.search(key) and not words.RUN.search(key):
        return OCR
    if words.RUN.search(key):
        return RUN
    if words.INSPECT.search(key):
        return INSPECT
    if words.SPEAK_WEAK.search(key):
        return SPEAK
    return OCR if words.OCR.search(key) else None


def carry_out(order: Order, material: Material) -> None:
    """Add the steps of an order to the material. Raises `Unsure`."""
    _HANDLERS[order.skill](order, material)


def _read(order: Order, material: Material) -> None:
    for image in _images(order.clause, material):
        _ocr(image, order.clause, material)


def _ocr(image: int, clause: Clause, material: Material) -> PlanStep:
    data: dict[str, JSON] = {"image": material.file(image)}
    languages = [code for code, pattern in words.LANGUAGES.items() if pattern.search(clause.key)]
    if languages:
        data["languages"] = languages
    return material.add("read", OCR, data)


def _inspect(order: Order, material: Material) -> None:
    for image in _images(order.clause, material):
        material.add("inspect", INSPECT, {"image": material.file(image)})


def _images(clause: Clause, material: Material) -> list[int]:
    """Return the images a clause means: those it counts off, else all."""
    images = material.images
    if not images:
        raise Unsure("no-image")
    named = [i for i in images if material.files[i].name.lower() in clause.key]
    if named:
        return named
    if len(images) > 1 and words.LAST.search(clause.key):
        return [images[-1]]
    if len(images) > 1 and words.FIRST_FEW.search(clause.key):
        raise Unsure("unclear")
    wanted = [n for n, pattern in enumerate(words.ORDINALS) if pattern.search(clause.key)]
    if wanted and len(images) > 1:
        if max(wanted) >= len(images):
            raise Unsure("no-image")
        return [images[n] for n in wanted]
    return images


def _run(order: Order, material: Material) -> None:
    clause = order.clause
    if not order.codes and words.SHOW.search(clause.key) and words.PRINTED.search(clause.key) and _has(material, RUN):
        return
    text = _stdin(clause, material)
    material.batch = []
    for data in _programs(order, material):
        if text is not None:
            data["stdin"] = text
        files = _data_files(clause, material)
        if files:
            data["files"] = files
        material.batch.append(material.add("run", RUN, data))


def _programs(order: Order, material: Material) -> list[dict[str, JSON]]:
    """Return what to run as the program part of the input: literals of the text, or attached scripts."""
    clause = order.clause
    if order.codes:
        programs: list[dict[str, JSON]] = []
        for number in order.codes:
            code = material.surface.codes[number]
            if code.language is None:
                raise Unsure("language")
            material.used_codes.add(number)
            programs.append({"language": code.language, "source": code.source})
        return programs
    named = [i for i in material.scripts if material.files[i].name.lower() in clause.key]
    scripts = named or material.scripts
    if not scripts:
        raise Unsure("no-script")
    if len(scripts) > 1 and not named and not words.ALL.search(clause.key):
        raise Unsure("which-script")
    return [{"language": script_language(material.files[i]), "script": material.file(i)} for i in scripts]


def _stdin(clause: Clause, material: Material) -> JSON:
    """Return the text a program reads: the newest one, or that of an image the clause names; None for none."""
    if words.SEPARATELY.search(clause.key) or words.ITSELF.search(clause.key):
        return None
    if not _has(material, OCR) and material.images and _mentions_image_text(clause):
        steps = [_ocr(image, clause, material) for image in _images(clause, material)]
        return material.text_of(steps[-1])
    if words.RESULT.search(clause.key) and words.PRINTED.search(clause.key):
        return material.last_text()
    return material.last_text(OCR) or material.last_text()


def _mentions_image_text(clause: Clause) -> bool:
    return bool(words.IMAGE.search(clause.key) or words.TEXT.search(clause.key))


def _data_files(clause: Clause, material: Material) -> list[JSON]:
    chosen = list(material.others)
    if words.ITSELF.search(clause.key):
        chosen += material.images
    return [material.file(i) for i in sorted(chosen)]


def _speak(order: Order, material: Material) -> None:
    if order.codes:
        _run(order, material)
        for step in material.batch:
            material.add("speak", SPEAK, {"text": material.text_of(step)})
        return
    payload = _payload(order.clause, material)
    if payload is not None:
        material.add("speak", SPEAK, {"text": payload})
        return
    for text in _spoken_sources(order, material):
        material.add("speak", SPEAK, {"text": text})


def _payload(clause: Clause, material: Material) -> str | None:
    """Return the words to speak when the request itself holds them: after a colon, in quotes, behind the verb."""
    if clause.payload:
        fences = [n for n in clause.payload_codes if material.surface.codes[n].fenced]
        if fences and words.PRINTED.search(clause.key):
            # Words to speak, or a note on the code whose output is to be spoken?
            raise Unsure("nothing-to-speak")
        return material.literal(clause.payload) or None
    if "\x02Q" in clause.raw:
        first = clause.raw.index("\x02Q") + 2
        return material.surface.quotes[int(clause.raw[first : clause.raw.index("\x03", first)])]
    rest = words.SPEAK_PREFIX.sub("", clause.raw)
    plain = rest.lower().replace("ё", "е")
    pointing = words.DEICTIC.search(plain) or words.IMAGE.search(plain)
    if rest == clause.raw or not plain.strip() or pointing or words.PRINTED.search(plain):
        return None
    return material.literal(rest)


def _spoken_sources(order: Order, material: Material) -> list[JSON]:
    """Return the texts to speak: an image the clause names, the newest text, or every image's text."""
    clause = order.clause
    fresh = [i for i in material.images if not _read_already(i, material)]
    if words.IMAGE.search(clause.key) and fresh:
        return [material.text_of(_ocr(image, clause, material)) for image in _images(clause, material)]
    if words.PRINTED.search(clause.key) and not material.steps:
        if not words.SCRIPT.search(clause.key):
            raise Unsure("nothing-to-speak")
        _run(order, material)
        return [material.text_of(step) for step in material.batch]
    if words.TEXT.search(clause.key) and not words.PRINTED.search(clause.key) and _has(material, OCR):
        return [material.last_text(OCR)]
    if material.last_text() is not None:
        return _newest(clause, material)
    if fresh and not material.steps and (words.OCR.search(clause.key) or words.TEXT.search(clause.key)):
        return [material.text_of(_ocr(image, clause, material)) for image in _images(clause, material)]
    raise Unsure("nothing-to-speak")


def _newest(clause: Clause, material: Material) -> list[JSON]:
    """Return the newest text; all outputs of the newest order to run several; every image's text when all are meant."""
    newest = material.last_text()
    if material.batch and material.text_of(material.batch[-1]) == newest:
        return [material.text_of(step) for step in material.batch]
    several = [step for step in material.steps if step.skill == OCR]
    if words.ALL.search(clause.key) and len(several) > 1:
        return [material.text_of(step) for step in several]
    return [newest]


def _read_already(image: int, material: Material) -> bool:
    wanted = material.file(image)
    return any(
        s.skill == OCR and is_reference(s.input.get("image")) and s.input["image"] == wanted for s in material.steps
    )


def _has(material: Material, skill: str) -> bool:
    return any(step.skill == skill for step in material.steps)


_HANDLERS = {OCR: _read, INSPECT: _inspect, RUN: _run, SPEAK: _speak}
