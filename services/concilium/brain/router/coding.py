"""From an order to check, test or write code to the steps that do it, and which code an order is about."""

from concilium.brain.router import lexicon as words
from concilium.brain.router.material import Material, is_test, script_language
from concilium.brain.router.scripts import CHECK, GENERATE, TEST, Order, Unsure
from concilium.contracts.base import JSON


def programs(order: Order, material: Material) -> list[dict[str, JSON]]:
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


def check(order: Order, material: Material) -> None:
    """Check each source by itself."""
    for program in programs(order, material):
        source = {"files": [program["script"]]} if "script" in program else {"source": program["source"]}
        material.add("check", CHECK, {**source, "language": program["language"]})


def test(order: Order, material: Material) -> None:
    """Test what came: attached modules by attached tests, or one written code by another."""
    tests = [i for i in material.scripts if is_test(material.files[i])]
    modules = [material.file(i) for i in range(len(material.files)) if i not in tests and i not in material.images]
    written, code = _written_tests(order, material)
    if bool(tests) == (written is not None) or (not modules and code is None):
        raise Unsure("which-script")
    data: dict[str, JSON] = {"tests": [material.file(i) for i in tests] if tests else written}
    if modules:
        data["files"] = modules
    if code is not None:
        data["code"] = code
    material.add("test", TEST, data)


def generate(order: Order, material: Material) -> None:
    """Write code for the request's own words, tried against the tests that came with it."""
    data: dict[str, JSON] = {"task": material.surface.unmask(material.surface.masked).strip()}
    tests = [i for i in material.scripts if is_test(material.files[i])]
    written, code = _written_tests(order, material)
    if code is not None or (tests and written is not None):
        raise Unsure("which-script")
    if tests or written is not None:
        data["tests"] = [material.file(i) for i in tests] if tests else written
    others = [material.file(i) for i in range(len(material.files)) if i not in tests and i not in material.images]
    if others:
        data["files"] = others
    material.add("generate", GENERATE, data)


def _written_tests(order: Order, material: Material) -> tuple[str | None, str | None]:
    """Return the tests and the code among what the request itself holds. Raises `Unsure` when there is more."""
    held = [material.surface.codes[n].source for n in order.codes]
    material.used_codes.update(order.codes)
    tests = [source for source in held if "def test_" in source]
    code = [source for source in held if source not in tests]
    if len(tests) > 1 or len(code) > 1:
        raise Unsure("which-script")
    return (tests[0] if tests else None), (code[0] if code else None)
