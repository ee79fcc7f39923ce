"""Which pages of a document a request names, in the form document.extract takes: ``2``, ``1-3,7``, ``4-``."""

import re

from concilium.brain.router.clauses import cut

_SEPARATOR = r"\s*(?:,\s*(?:and\s+|и\s+)?|[-–—&]|\b(?:and|to|through|till|и|по|до)\b)\s*"
_ITEMS = rf"\d{{1,5}}(?:{_SEPARATOR}\d{{1,5}})*(?![\w.]\w)"
_WRITTEN = re.compile(rf"(?<!\w)(pages?|pp?\.|страниц\w*|стр\.)\s*({_ITEMS})", re.IGNORECASE)
_SAYS = re.compile(r"\b(?:say|speak|pronounce|скажи\w*|произнеси\w*|озвучь\w*)\b", re.IGNORECASE)
_TO = re.compile(r"\s*(?:[-–—]|\b(?:to|through|till|по|до)\b)\s*", re.IGNORECASE)
_AND = re.compile(r"\s*(?:,\s*(?:and\b|и\b)?|&|\b(?:and|и)\b)\s*", re.IGNORECASE)
_ENDING = r"(?:-?(?:ю|я|й|ой|ую|ей|е|st|nd|rd|th))?"
_WORDS = (
    r"first|перв\w+", r"second|втор\w+", r"third|трет\w+", r"fourth|четверт\w+", r"fifth|пят\w+",
    r"sixth|шест\w+", r"seventh|седьм\w+", r"eighth|восьм\w+", r"ninth|девят\w+", r"tenth|десят\w+",
)  # fmt: skip
_COUNTS = (r"", r"two|две|два|двух", r"three|три|трех", r"four|четыре|четырех", r"five|пять|пяти")
_PAGE = r"(?:pages?|страниц\w*)"
_RANGE = re.compile(
    rf"\b(?:from )?pages? (\d+) to (?:page )?(\d+)\b"
    rf"|\b(?:from )?page (\d+) on(?:wards?)?\b"
    rf"|\b(?:с|со) (\d+){_ENDING} по (\d+){_ENDING} {_PAGE}"
)
_LISTED = re.compile(rf"\b{_PAGE} (?:from |с |со )?({_ITEMS})")
_COUNTED = re.compile(rf"\b(\d+)(?:st|nd|rd|th|-(?:ю|я|й|ой|ую)) {_PAGE}")
_FIRST = re.compile(rf"\b(?:first|перв(?:ые|ых)) (\w+) {_PAGE}|\b(?:перв(?:ые|ых)) {_PAGE} (\d+)\b")


def joined(masked: str) -> str:
    """Return a request whose page numbers stand in one word, so that no clause is cut between them.

    Words to be spoken stay as they are.
    """
    if _SAYS.search(masked) or any(_WRITTEN.search(clause.payload or "") for clause in cut(masked)):
        return masked
    return _WRITTEN.sub(lambda m: f"{'page' if m[1][0] in 'pP' else 'страницы'} {_selection(m[2])}", masked)


def lift_pages(key: str) -> tuple[str, str]:
    """Return a clause without the words that name pages, and the pages; '' when it names none."""
    for pattern, read in _FORMS:
        found = pattern.search(key)
        pages = read(found) if found else ""
        if found and pages:
            return f"{key[: found.start()]} {key[found.end() :]}", pages
    return key, ""


def _selection(items: str) -> str:
    return _AND.sub(",", _TO.sub("-", items)).strip()


def _of_range(found: re.Match[str]) -> str:
    first, last = found[1] or found[3] or found[4], found[2] or found[5] or ""
    return f"{first}-{last}"


def _of_first(found: re.Match[str]) -> str:
    said = found[1] or found[2]
    count = said if said.isdecimal() else _number(said, _COUNTS)
    return f"1-{count}" if count else ""


def _number(word: str, words: tuple[str, ...]) -> str:
    return next((str(n) for n, pattern in enumerate(words, 1) if re.fullmatch(pattern, word)), "")


_ORDINAL = re.compile(rf"\b({'|'.join(_WORDS)}) {_PAGE}")
_FORMS = (
    (_RANGE, _of_range),
    (_LISTED, lambda found: _selection(found[1])),
    (_COUNTED, lambda found: found[1]),
    (_FIRST, _of_first),
    (_ORDINAL, lambda found: _number(found[1], _WORDS)),
)
