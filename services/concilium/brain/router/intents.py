"""From a clause to the steps it orders: rules for reading, inspecting, running and speaking, examples for the rest."""

from concilium.brain.references import ref
from concilium.brain.router import lexicon as words
from concilium.brain.router.clauses import Clause
from concilium.brain.router.coding import check, generate, programs, test
from concilium.brain.router.generic import fill
from concilium.brain.router.material import EXTRACT, Material, may_be_scanned
from concilium.brain.router.pages import lift_pages
from concilium.brain.router.scripts import CHECK, GENERATE, INSPECT, MERGE, OCR, RUN, SPEAK, TEST, Order, Unsure
from concilium.brain.words import language_of
from concilium.contracts.base import JSON
from concilium.contracts.plan import PlanStep

DESCRIBE, LOOK, COMPARE, VOICES = "vision.describe", "vision.ask", "vision.compare", "tts.voices"
RULED = frozenset({OCR, EXTRACT, INSPECT, DESCRIBE, LOOK, COMPARE, RUN, CHECK, TEST, GENERATE, SPEAK, VOICES})


def skill_of(clause: Clause, pictures: int) -> str | None:
    """Return the skill whose rule a clause meets, or None; ``pictures``: how many images came."""
    key = clause.key
    if words.VOICES.search(key):
        return VOICES
    if words.COMPARE.search(key):
        return COMPARE if pictures == 2 and words.IMAGE.search(key) else None
    if words.BARCODE.search(key):
        return INSPECT
    if words.SPEAK.search(key):
        return SPEAK
    return _of_code(key) or _of_work(key, pictures)


def _of_code(key: str) -> str | None:
    rules = ((GENERATE, words.GENERATE), (TEST, words.TESTS), (CHECK, words.CHECK))
    return next((skill for skill, pattern in rules if pattern.search(key)), None)


def _of_work(key: str, pictures: int) -> str | None:
    """Return the first skill of reading, running, inspecting, looking or speaking whose words a clause has."""
    runs = words.RUN.search(key)
    rules = (
        (OCR, words.OCR_ASKS.search(key) and not runs),
        (RUN, runs),
        (INSPECT, words.INSPECT.search(key) or words.CLEAN.search(key)),
        (DESCRIBE, pictures and words.DESCRIBE.search(key)),
        (SPEAK, words.SPEAK_WEAK.search(key)),
        (OCR, words.OCR.search(key) or (words.OPEN.search(key) and words.DOCUMENT.search(key))),
        (LOOK, pictures and words.IMAGE.search(key) and words.ASK.search(key)),
    )
    return next((skill for skill, met in rules if met), None)


def carry_out(order: Order, material: Material) -> None:
    """Add the steps of an order to the material. Raises `Unsure`."""
    _HANDLERS.get(order.skill, _plain)(order, material)


def _plain(order: Order, material: Material) -> None:
    """Order a skill without rules: its input is what its schema asks for and the request holds."""
    data = fill(order.skill, material, material.literal(order.clause.raw))
    if data is None:
        raise Unsure("unclear")
    material.add(order.skill.split(".", 1)[1], order.skill, data)


def _read(order: Order, material: Material) -> None:
    for file in _readable(order.clause, material):
        _reading(file, order.clause, material)


def _reading(file: int, clause: Clause, material: Material) -> PlanStep:
    """Add what gets the text out of a file; return the step that gives it."""
    extracted = file in material.extractable
    pages = lift_pages(clause.key)[1] if extracted else ""
    if file not in material.readings or pages not in ("", material.pages.get(file, "")):
        reader = _extract if extracted else _ocr
        material.pages[file] = pages
        material.readings[file] = reader(file, clause, material)
    return material.readings[file]


def _extract(file: int, clause: Clause, material: Material) -> PlanStep:
    """Read a document. Pages without text go to OCR, if there are any, and their text is put into its place."""
    password = {"password": material.password} if material.password else {}
    pages: dict[str, JSON] = {"pages": material.pages[file]} if material.pages[file] else {}
    extract = material.add("extract", EXTRACT, {"file": material.file(file), **pages, **password})
    if not may_be_scanned(material.files[file]) or not {OCR, MERGE} <= material.index.skills.keys():
        return extract
    scanned = ref(f"/steps/{extract.name}/output/scanned")
    read = material.add("read", OCR, {"images": scanned, **_languages(clause)}, when=scanned)
    both = {"pages": ref(f"/steps/{extract.name}/output/pages"), "read": ref(f"/steps/{read.name}/output/pages")}
    return material.add("merge", MERGE, both)


def _ocr(image: int, clause: Clause, material: Material) -> PlanStep:
    return material.add("read", OCR, {"image": material.file(image), **_languages(clause)})


def _languages(clause: Clause) -> dict[str, JSON]:
    languages = [code for code, pattern in words.LANGUAGES.items() if pattern.search(clause.key)]
    return {"languages": languages} if languages else {}


def beyond(clause: Clause, skill: str | None) -> bool:
    """Whether a clause, whose rule is this skill's, also orders what no rule carries out."""
    of_picture = words.IMAGE.search(clause.key) or not words.DOCUMENT.search(clause.key)
    cleans = skill == INSPECT and of_picture
    # "Remove" is beyond the rules, but for a picture's private data.
    return bool(words.BEYOND.search(words.CLEAN.sub(" ", clause.key) if cleans else clause.key))


def _inspect(order: Order, material: Material) -> None:
    clean: dict[str, JSON] = {"clean": True} if words.CLEAN.search(order.clause.key) else {}
    for image in _images(order.clause, material):
        material.add("inspect", INSPECT, {"image": material.file(image), **clean})


def _describe(order: Order, material: Material) -> None:
    for image in _images(order.clause, material):
        material.add("describe", DESCRIBE, {"image": material.file(image), "language": language_of(order.clause.raw)})


def _look(order: Order, material: Material) -> None:
    question = material.literal(order.clause.raw)
    for image in _images(order.clause, material):
        material.add("look", LOOK, {"image": material.file(image), "question": question})


def _compare(order: Order, material: Material) -> None:
    pictures = [material.file(i) for i in material.images]
    material.add("compare", COMPARE, {"images": pictures, "language": language_of(order.clause.raw)})


def _images(clause: Clause, material: Material) -> list[int]:
    """Return the images a clause means."""
    return _meant(material.images, clause, material)


def _readable(clause: Clause, material: Material) -> list[int]:
    """Return the files a clause wants read: of images and documents the kind it names when there are both."""
    files = material.readable
    mixed = material.images and len(material.images) < len(files)
    image, document = words.IMAGE.search(clause.key), words.DOCUMENT.search(clause.key)
    if mixed and bool(image) != bool(document):
        files = material.images if image else [i for i in files if i not in material.images]
    if not material.images:
        # "The second page" counts off pages of a document, not documents.
        clause = Clause(lift_pages(clause.key)[0])
    return _meant(files, clause, material)


def _meant(files: list[int], clause: Clause, material: Material) -> list[int]:
    """Return of these files those a clause names or counts off, else all. Raises `Unsure` when there are none."""
    if not files:
        raise Unsure("no-file")
    named = [i for i in files if material.files[i].name.lower() in clause.key]
    if named:
        return named
    if len(files) > 1 and words.LAST.search(clause.key):
        return [files[-1]]
    if len(files) > 1 and words.FIRST_FEW.search(clause.key):
        raise Unsure("unclear")
    wanted = [n for n, pattern in enumerate(words.ORDINALS) if pattern.search(clause.key)]
    if wanted and len(files) > 1:
        if max(wanted) >= len(files):
            raise Unsure("no-file")
        return [files[n] for n in wanted]
    return files


def _run(order: Order, material: Material) -> None:
    clause = order.clause
    if not order.codes and words.SHOW.search(clause.key) and words.PRINTED.search(clause.key) and _has(material, RUN):
        return
    text = _stdin(clause, material)
    material.batch = []
    for data in programs(order, material):
        if text is not None:
            data["stdin"] = text
        files = _data_files(clause, material)
        if files:
            data["files"] = files
        material.batch.append(material.add("run", RUN, data))


def _stdin(clause: Clause, material: Material) -> JSON:
    """Return the text a program reads: the newest one, or that of a file the clause names; None for none."""
    if words.SEPARATELY.search(clause.key) or words.ITSELF.search(clause.key):
        return None
    if not material.readings and (material.images or material.documents) and _mentions_text(clause):
        files = [i for i in _readable(clause, material) if i in material.images or i in material.documents]
        steps = [_reading(file, clause, material) for file in files]
        return material.text_of(steps[-1]) if steps else None
    if words.RESULT.search(clause.key) and words.PRINTED.search(clause.key):
        return material.last_text()
    return material.last_reading() or material.last_text()


def _mentions_text(clause: Clause) -> bool:
    return any(pattern.search(clause.key) for pattern in (words.IMAGE, words.DOCUMENT, words.TEXT))


def _data_files(clause: Clause, material: Material) -> list[JSON]:
    chosen = [i for i in material.others if i not in material.readings]
    if words.ITSELF.search(clause.key):
        chosen += material.images
    return [material.file(i) for i in sorted(chosen)]


def _speak(order: Order, material: Material) -> None:
    if order.codes:
        _run(order, material)
        for step in material.batch:
            material.add("speak", SPEAK, {"text": material.text_of(step), **_how(order.clause)})
        return
    payload = _payload(order.clause, material)
    if payload is not None:
        # Without a colon the words themselves may be "fast" or "in English".
        how = _how(order.clause) if order.clause.payload else {}
        material.add("speak", SPEAK, {"text": payload, **how})
        return
    for text in _spoken_sources(order, material):
        material.add("speak", SPEAK, {"text": text, **_how(order.clause)})


def _how(clause: Clause) -> dict[str, JSON]:
    """Return the format, speed, voice and language that a clause names."""
    found: dict[str, JSON] = {}
    for member, value, pattern in words.SPOKEN_HOW:
        if member not in found and pattern.search(clause.key):
            found[member] = value
    return found


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
    if words.ONLY_HOW.fullmatch(plain):
        return None
    pointing = words.DEICTIC.search(plain) or words.IMAGE.search(plain)
    if rest == clause.raw or not plain.strip() or pointing or words.PRINTED.search(plain):
        return None
    return material.literal(rest)


def _spoken_sources(order: Order, material: Material) -> list[JSON]:
    """Return the texts to speak: a file the clause names, the newest text, or every file's text."""
    clause = order.clause
    if material.extractable and not material.images and lift_pages(clause.key)[1]:
        return _read_texts(clause, material)
    fresh = [i for i in material.readable if i not in material.readings]
    if (words.IMAGE.search(clause.key) or words.DOCUMENT.search(clause.key)) and fresh:
        return _read_texts(clause, material)
    if words.PRINTED.search(clause.key) and not material.steps:
        if not words.SCRIPT.search(clause.key):
            raise Unsure("nothing-to-speak")
        _run(order, material)
        return [material.text_of(step) for step in material.batch]
    if words.TEXT.search(clause.key) and not words.PRINTED.search(clause.key) and material.readings:
        return [material.last_reading()]
    if material.last_text() is not None:
        return _newest(clause, material)
    if fresh and not material.steps and (words.OCR.search(clause.key) or words.TEXT.search(clause.key)):
        return _read_texts(clause, material)
    raise Unsure("nothing-to-speak")


def _read_texts(clause: Clause, material: Material) -> list[JSON]:
    return [material.text_of(_reading(file, clause, material)) for file in _readable(clause, material)]


def _newest(clause: Clause, material: Material) -> list[JSON]:
    """Return the newest text; all outputs of the newest order to run several; every image's text when all are meant."""
    newest = material.last_text()
    if material.batch and material.text_of(material.batch[-1]) == newest:
        return [material.text_of(step) for step in material.batch]
    several = list(material.readings.values())
    if words.ALL.search(clause.key) and len(several) > 1:
        return [material.text_of(step) for step in several]
    return [newest]


def _has(material: Material, skill: str) -> bool:
    return any(step.skill == skill for step in material.steps)


_HANDLERS = {
    OCR: _read,
    EXTRACT: _read,
    INSPECT: _inspect,
    DESCRIBE: _describe,
    LOOK: _look,
    COMPARE: _compare,
    RUN: _run,
    CHECK: check,
    TEST: test,
    GENERATE: generate,
    SPEAK: _speak,
}
