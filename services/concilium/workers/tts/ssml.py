"""A subset of SSML 1.1, read safely: no document type, no entities, nothing from outside, nothing unknown."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.say_as import say_as
from concilium.workers.tts.sentences import language_of

NAMESPACE = "{http://www.w3.org/2001/10/synthesis}"
XML = "{http://www.w3.org/XML/1998/namespace}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
DEPTH_MAX = 32
BREAK_MAX_S = 10.0
SPEED_RANGE = (0.5, 2.0)
PITCH_RANGE = (0.5, 2.0)
VOLUME_RANGE_DB = (-40.0, 12.0)

_DECLARATION = re.compile(r"<\?xml[^>]{0,200}\?>\s*")
_SPEAK = re.compile(r"<speak[\s>/]|<!DOCTYPE\s+speak\b")
_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "speak": frozenset({"version", XML + "lang", XML + "base", XSI + "schemaLocation"}),
    "p": frozenset({XML + "lang"}),
    "s": frozenset({XML + "lang"}),
    "break": frozenset({"time", "strength"}),
    "emphasis": frozenset({"level"}),
    "prosody": frozenset({"rate", "pitch", "volume"}),
    "say-as": frozenset({"interpret-as", "format", "detail"}),
    "sub": frozenset({"alias"}),
    "lang": frozenset({XML + "lang"}),
    "voice": frozenset({"name", XML + "lang"}),
}
_BREAKS_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.8, "x-strong": 1.2}
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_PITCHES = {"x-low": 0.7, "low": 0.85, "medium": 1.0, "default": 1.0, "high": 1.15, "x-high": 1.3}
_VOLUMES_DB = {
    "silent": -120.0,
    "x-soft": -12.0,
    "soft": -6.0,
    "medium": 0.0,
    "default": 0.0,
    "loud": 4.0,
    "x-loud": 8.0,
}
_EMPHASIS = {
    "strong": (0.88, 1.12, 3.0),
    "moderate": (0.94, 1.06, 1.5),
    "none": (1.0, 1.0, 0.0),
    "reduced": (1.05, 0.97, -3.0),
}
"""Level → speed, pitch, volume in decibels."""
_TIME = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s)")
_PERCENT = re.compile(r"([+-]?)(\d{1,3}(?:\.\d{1,3})?)%")
_SEMITONES = re.compile(r"([+-]\d{1,2}(?:\.\d{1,2})?)st")
_DECIBELS = re.compile(r"([+-]\d{1,2}(?:\.\d{1,2})?)dB")


@dataclass(frozen=True, slots=True)
class Style:
    """How a piece is said; speed and pitch are factors of the voice's own."""

    language: str | None = None
    voice: str | None = None
    speed: float = 1.0
    pitch: float = 1.0
    volume_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Speech:
    """Text to be said in one style."""

    text: str
    style: Style = Style()


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence."""

    seconds: float


Piece = Speech | Pause


def looks_like_ssml(text: str) -> bool:
    """Whether the text is a document with the root ``speak``; other markup is text to be read out."""
    stripped = text.strip().lstrip("\ufeff")
    declaration = _DECLARATION.match(stripped)
    at = declaration.end() if declaration else 0
    while stripped.startswith("<!--", at) and (end := stripped.find("-->", at)) > 0:
        at = end + 3
        while stripped[at : at + 1].isspace():
            at += 1
    return bool(_SPEAK.match(stripped, at)) and stripped.endswith(("</speak>", "/>"))


def read_ssml(text: str) -> list[Piece]:
    """Return what the document says, in order.

    Raises:
        SkillFailed: ``bad-ssml`` with the element or value that is wrong, ``ssml-forbidden`` for a document type,
            entities or anything from outside.
    """
    try:
        root = fromstring(text.strip().lstrip("\ufeff"), forbid_dtd=True)
    except DefusedXmlException as error:
        detail = "a document type, entities and references to other files are not allowed; write the text itself"
        raise SkillFailed("ssml-forbidden", detail) from error
    except (ParseError, ValueError) as error:
        raise SkillFailed("bad-ssml", f"not well-formed XML: {error}") from error
    if _name(root) != "speak":
        raise _bad("the root element must be <speak>")
    language = _language(root) or language_of("".join(root.itertext()))
    return _joined(list(_walk(root, Style(_language(root)), language, 0)))


def _walk(element: Element, style: Style, language: str, depth: int) -> Iterator[Piece]:
    """Yield the pieces of one element; ``language`` is that of its words where nothing says which it is."""
    if depth > DEPTH_MAX:
        raise _bad(f"elements are nested more than {DEPTH_MAX} deep")
    name = _checked(element)
    language = style.language or language
    if name == "break":
        yield Pause(_break_s(element))
        return
    if name in ("sub", "say-as"):
        yield Speech(_replaced(element, name, language), style)
        return
    inner = _styled(element, name, style)
    if name in ("p", "s"):
        yield Speech("\n", style)
    if element.text:
        yield Speech(element.text, inner)
    for child in element:
        yield from _walk(child, inner, inner.language or language, depth + 1)
        if child.tail:
            yield Speech(child.tail, inner)
    if name in ("p", "s"):
        yield Speech("\n", style)
    if name == "p":
        yield Pause(_BREAKS_S["medium"])


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces with neighbours of one style put together; line ends in the document are blanks.

    A line end between pieces is what ``p`` and ``s`` left: there a sentence ends.
    """
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Pause):
            found.append(piece)
            continue
        text = piece.text if piece.text == "\n" else re.sub(r"\s+", " ", piece.text)
        last = found[-1] if found else None
        if isinstance(last, Speech) and (last.style == piece.style or not text.strip()):
            found[-1] = Speech(last.text + text, last.style)
        elif text.strip():
            found.append(Speech(text, piece.style))
    return found


def _name(element: Element) -> str:
    return str(element.tag).removeprefix(NAMESPACE)


def _checked(element: Element) -> str:
    """Return the element's name, when it and its attributes are known and in their place."""
    name = _name(element)
    if name not in _ATTRIBUTES:
        known = ", ".join(sorted(_ATTRIBUTES))
        raise _bad(f"<{_plain(name)}> is not supported; supported are {known}")
    unknown = [attribute for attribute in element.attrib if attribute not in _ATTRIBUTES[name]]
    if unknown:
        raise _bad(f"<{name}> has no attribute '{_plain(unknown[0])}' here")
    if len(element) and name in ("break", "sub", "say-as"):
        raise _bad(f"<{name}> holds text only")
    return name


def _styled(element: Element, name: str, style: Style) -> Style:
    if name == "voice":
        voice = element.get("name")
        if voice is None and not _language(element):
            raise _bad("<voice> needs the attribute name or xml:lang")
        return replace(style, voice=voice or None, language=_language(element) or (None if voice else style.language))
    if name == "lang" and not _language(element):
        raise _bad("<lang> needs the attribute xml:lang")
    if name == "emphasis":
        level = element.get("level", "moderate")
        return _scaled(style, *_EMPHASIS[_one_of("level", level, _EMPHASIS)])
    if name == "prosody":
        rate, pitch, volume = (element.get(attribute) for attribute in ("rate", "pitch", "volume"))
        return _scaled(style, _rate(rate), _pitch(pitch), _volume_db(volume))
    return replace(style, language=_language(element) or style.language)


def _scaled(style: Style, speed: float, pitch: float, volume_db: float) -> Style:
    return replace(
        style,
        speed=_within(style.speed * speed, SPEED_RANGE),
        pitch=_within(style.pitch * pitch, PITCH_RANGE),
        volume_db=-120.0 if volume_db <= -120 else _within(style.volume_db + volume_db, VOLUME_RANGE_DB),
    )


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _language(element: Element) -> str | None:
    given = element.get(XML + "lang")
    if given is None:
        return None
    code = given.lower().split("-")[0]
    if code not in ("en", "ru"):
        raise _bad(f"xml:lang '{_plain(given)}' is neither English (en) nor Russian (ru)")
    return code


def _replaced(element: Element, name: str, language: str) -> str:
    text = (element.text or "").strip()
    if name == "sub":
        alias = element.get("alias")
        if not alias:
            raise _bad("<sub> needs the attribute alias")
        return alias
    kind = element.get("interpret-as")
    if not kind:
        raise _bad("<say-as> needs the attribute interpret-as")
    return say_as(text, kind, element.get("format", ""), language)


def _break_s(element: Element) -> float:
    time, strength = element.get("time"), element.get("strength")
    if (element.text or "").strip():
        raise _bad("<break> is empty")
    if time is None:
        return _BREAKS_S[_one_of("strength", strength or "medium", _BREAKS_S)]
    found = _TIME.fullmatch(time)
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else -1.0
    if not 0 <= seconds <= BREAK_MAX_S:
        raise _bad(f"time '{_plain(time)}' is no time up to {BREAK_MAX_S:g} s, such as 500ms or 2s")
    return seconds


def _rate(value: str | None) -> float:
    if value is None or value in _RATES:
        return _RATES[value or "medium"]
    found = _PERCENT.fullmatch(value)
    factor = _factor(found) if found else float(value) if re.fullmatch(r"\d(?:\.\d{1,3})?", value) else 0.0
    if factor <= 0:
        raise _bad(f"rate '{_plain(value)}' is no rate, such as slow, 80%, +20% or 1.2")
    return factor


def _pitch(value: str | None) -> float:
    if value is None or value in _PITCHES:
        return _PITCHES[value or "medium"]
    if found := _SEMITONES.fullmatch(value):
        return float(2 ** (float(found[1]) / 12))
    found = _PERCENT.fullmatch(value)
    if not found or _factor(found) <= 0:
        raise _bad(f"pitch '{_plain(value)}' is no pitch, such as high, +10% or -2st")
    return _factor(found)


def _factor(found: re.Match[str]) -> float:
    """Return the factor of a percentage: 80% is 0.8, +20% is 1.2."""
    share = float(found[2]) / 100
    return {"": share, "+": 1 + share, "-": 1 - share}[found[1]]


def _volume_db(value: str | None) -> float:
    if value is None or value in _VOLUMES_DB:
        return _VOLUMES_DB[value or "medium"]
    found = _DECIBELS.fullmatch(value)
    if not found:
        raise _bad(f"volume '{_plain(value)}' is no volume, such as soft or +6dB")
    return float(found[1])


def _one_of(what: str, value: str, known: Mapping[str, object]) -> str:
    if value not in known:
        raise _bad(f"{what} '{_plain(value)}' is none of {', '.join(known)}")
    return value


def _plain(text: str) -> str:
    """Return what a caller wrote, short and printable, to be quoted in an error."""
    return "".join(c if c.isprintable() else "?" for c in text[:60])


def _bad(detail: str) -> SkillFailed:
    return SkillFailed("bad-ssml", detail)
