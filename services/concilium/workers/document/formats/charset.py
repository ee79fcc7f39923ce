"""Which characters bytes mean: declared, marked, UTF-8, else found out, Russian code pages first."""

import codecs
import encodings
import encodings.aliases
import importlib
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass

from charset_normalizer import from_bytes

SAMPLE = 65_536
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CYRILLIC = {"cp1251": 1.0, "koi8-r": 1.0, "cp866": 0.9, "iso8859-5": 0.8, "mac-cyrillic": 0.7}
"""Russian code pages and how likely they are beforehand; some share their small letters."""
_PAIR_LIST = (
    "ст но то на ен ни ра ко ов ро ос ал пр го ре ер не по ть ли от ор ол ка ес ан ны ла во та ва де ти ри те за ат ле"
    " об ел ет ом ог ем ия ие ый ии их ам ск ль да до ит ин ак ав од ме ми мо ма вы ве ви им из ки ку ло лу пе пи"
    " сь со се си са су тр ту ты че чи ше щи эт"
)
_PAIRS = frozenset(_PAIR_LIST.split())
"""The frequent pairs of Russian letters, about 70 % of those in running text."""
_HIGH_WORD = re.compile("[^\\x00-\\x7f\xa0«»—–№…“”„’]{2,}")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_codecs: dict[str, codecs.CodecInfo] = {}


def preload_codecs() -> None:
    """Load every text codec, while modules can still be loaded."""
    for module in pkgutil.iter_modules(encodings.__path__):
        name = module.name
        try:
            importlib.import_module(f"encodings.{name}")
            _codecs[name] = codecs.lookup(name)
        except (ImportError, LookupError):  # a code page of another system
            continue


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, and what it was written in."""

    text: str
    charset: str
    note: str = ""
    """Says so when the characters were guessed without certainty, or bytes could not be read."""


def known(name: str) -> str | None:
    """Return a text encoding's own name, or None when there is no such encoding."""
    norm = encodings.normalize_encoding(name.strip().lower())
    module = encodings.aliases.aliases.get(norm) or encodings.aliases.aliases.get(norm.replace(".", "_")) or norm
    info = _codecs.get(module)
    return info.name if info is not None and info._is_text_encoding else None


def looks_binary(data: bytes) -> bool:
    """Whether bytes are hardly text in any encoding."""
    if data.startswith(tuple(mark for mark, _ in _MARKS)):
        return False
    sample = data[:SAMPLE]
    if _wide(sample):
        return False
    return len(_CONTROL.findall(sample)) > len(sample) // 200 or sample.count(0) > len(sample) // 1000


def decode(data: bytes, declared: Iterable[str] = ()) -> Decoded:
    """Return bytes as text.

    Args:
        data: the bytes.
        declared: what the file or its sender says its encoding is, the best first; one that does not fit is passed
            over.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _lossy(data, name)
    wide = _wide(data[:SAMPLE])
    if wide:
        return _lossy(data, wide)
    for own in (*(known(name) for name in declared if name), "utf-8"):
        if own and (found := _strict(data, own)):
            return found
    cut = _strict(data[:-3], "utf-8")  # a file cut within a character
    if cut and len(data) > SAMPLE:
        return _lossy(data, "utf-8")
    return _guessed(data)


def _strict(data: bytes, name: str) -> Decoded | None:
    try:
        return Decoded(data.decode(name), name)
    except (UnicodeError, ValueError):
        return None


def _lossy(data: bytes, name: str) -> Decoded:
    text = data.decode(name, errors="replace")
    lost = text.count("\ufffd")
    return Decoded(text, name.removesuffix("-sig"), f"{lost} characters could not be read as {name}" if lost else "")


def _wide(sample: bytes) -> str:
    """Return the name of UTF-16 without a mark, told by its upper halves; '' when it is not."""
    if len(sample) < 16:
        return ""
    half = len(sample) // 2
    even, odd = (_first_pages(sample[start::2]) for start in (0, 1))
    if odd > half * 0.8 and even < half * 0.3:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.8 and odd < half * 0.3 else ""


def _first_pages(halves: bytes) -> int:
    """Return how many bytes are the upper half of a Latin or Cyrillic character in UTF-16; zeros must be among them."""
    return halves.count(0) + halves.count(4) if 0 in halves else 0


def _guessed(data: bytes) -> Decoded:
    sample = data[:SAMPLE]
    name = _cyrillic(sample)
    if name is None:
        name = _western(sample)
    found = _lossy(data, name)
    note = f"the encoding is not stated; {found.charset} was found by the letters"
    return Decoded(found.text, found.charset, f"{note}; {found.note}" if found.note else note)


def _western(sample: bytes) -> str:
    """Return the likeliest encoding; of several in which the words are equally good, the usual Western one."""
    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        return "cp1252"
    usual = any("cp1252" in match.could_be_from_charset and match.coherence >= best.coherence for match in matches)
    return "cp1252" if usual else best.encoding


def _cyrillic(sample: bytes) -> str | None:
    """Return the Russian code page in which the bytes are words, or None."""
    if sum(byte > 0x7F for byte in sample) < 4:
        return None
    scores = {name: often * _russian(sample.decode(name, errors="replace")) for name, often in _CYRILLIC.items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0.2 else None


def _russian(text: str) -> float:
    """Return how much the characters beyond ASCII are Russian words: the share of pairs that are frequent, 0 to 1."""
    words = _HIGH_WORD.findall(text)
    pairs = sum(len(word) - 1 for word in words)
    if not pairs:
        return 0.0
    frequent = sum(
        1.0 if _even(pair) else 0.5  # two code pages share letters with the case swapped: tHIS IS not how one writes
        for word in words
        for pair in (word[i : i + 2] for i in range(len(word) - 1))
        if pair.lower() in _PAIRS
    )
    return frequent / pairs


def _even(pair: str) -> bool:
    return not (pair[0].islower() and pair[1].isupper())
