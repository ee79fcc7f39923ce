"""Which view may answer a request: rules over words, no model, the same answer every time.

In this order: a denied context anywhere means the accepted view. So does what cannot be read or is too long to be sure
of, an excluded name, a question for what is accepted. Only then a name, a choice of the caller, a topic or a follow-up
brings in the private view, alone or beside the accepted one. Whatever matches nothing has the accepted view.
"""

import re
from collections.abc import Iterator, Sequence

from concilium.adapters.guard.denied import denied
from concilium.adapters.guard.letters import Reading, read
from concilium.adapters.guard.match import Named, names, topics
from concilium.adapters.guard.paradigm import Decision, Language, Mode, Paradigm, Request, Span, View
from concilium.adapters.guard.phrases import Phrases, has
from concilium.adapters.guard.stems import is_russian
from concilium.adapters.guard.unasked import beside, doubt, silence
from concilium.adapters.guard.words import sections

TEXT_MAX = 4_000
"""Characters of a request that may still be asking for a private view; a longer one holds too much to be sure of."""
AROUND_MAX = 50_000
"""Characters of instructions, earlier turns and names together that are still searched for denied contexts."""
FOLLOW_UP_MAX = 8
"""Words of a turn that is understood from the one before it."""
_WORDS_MIN = 6
"""Latin words of which one is English, if the text is."""

_ACCEPTED, _BOTH, _OWN = (Phrases.of(sections("asked")[section]) for section in ("accepted", "both", "own"))
_FOLLOWING, _FOREIGN, _ENGLISH = (Phrases.of(sections("asked")[name]) for name in ("following", "foreign", "english"))
_ENCODED = re.compile(
    r"\b(?:rot ?13|base ?64|decode|decipher|encrypt\w*|cipher|hex)\b|расшифр|декодир|шифр", re.IGNORECASE
)
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]{24,}")


def decide(request: Request, history: Sequence[str], paradigm: Paradigm, mode: Mode = "auto") -> Decision:
    """Return which view may answer.

    Args:
        request: the present turn and all that came with it.
        history: the user's earlier turns, oldest first. A denied context in any of them holds to the end.
        paradigm: the world-view whose adapter is in question.
        mode: what the caller chose. No choice lifts a denied context.
    """
    language = _language(request.text[:TEXT_MAX])
    sources = _sources(request, history)
    if len(request.text) > TEXT_MAX or sum(len(text) for _, text in sources) > TEXT_MAX + AROUND_MAX:
        return Decision("accepted", ("unsure:length",), (), language, paradigm)
    forbidden = tuple(_forbidden(sources))
    if forbidden:
        reasons = tuple(dict.fromkeys(span.reason for span in forbidden))
        return Decision("accepted", reasons, forbidden, language, paradigm)
    unsure = "caller-accepted" if mode == "accepted" else _unsure(request, history)
    if unsure:
        return Decision("accepted", (unsure,), (), language, paradigm)
    view, reasons, spans = _wanted(request.text, paradigm, mode)
    if reasons == ("no-match",) and history and _carries_on(request.text) and not silence(request.text, paradigm):
        view, reasons, spans = _wanted(history[-1], paradigm, mode)
        spans = tuple(Span(f"history:{len(history) - 1}", span.start, span.end, span.reason) for span in spans)
        reasons = ("follow-up", *reasons) if view != "accepted" else ("no-match",)
    return Decision(view, reasons, spans, language, paradigm)


def _language(text: str) -> Language:
    letters = [form[0] for word in read(text).words for form in word.forms[:1]]
    russian = sum(map(is_russian, letters))
    latin = sum("a" <= letter <= "z" for letter in letters)
    return "ru" if russian and russian * 2 >= latin else "en"


def _sources(request: Request, history: Sequence[str]) -> list[tuple[str, str]]:
    """Return all that came with a request, by what `Span.source` calls it."""
    return [
        ("text", request.text),
        ("system", request.system),
        ("agent", request.agent),
        ("skill", request.skill),
        *((f"history:{n}", text) for n, text in enumerate(history)),
        *((f"file:{n}", name) for n, name in enumerate(request.files)),
    ]


def _forbidden(sources: Sequence[tuple[str, str]]) -> Iterator[Span]:
    for source, text in sources:
        for context, start, end in denied(text):
            yield Span(source, start, end, f"denied:{context}")


def _unsure(request: Request, history: Sequence[str]) -> str:
    """Return why the guard cannot be sure that no context is denied; empty when it can."""
    texts = (request.text, request.system, *history)
    if any(_ENCODED.search(text) or _BLOB.search(text) for text in texts):
        return "unsure:encoded"
    return "unsure:language" if any(_unread(read(text)) for text in texts) else ""


def _unread(reading: Reading) -> bool:
    """Whether a text is, in part, in a language that the guard does not read."""
    if reading.strange or has(_FOREIGN, reading.words):
        return True
    latin = [word for word in reading.words if "a" <= word.forms[0][0] <= "z"]
    return len(latin) >= _WORDS_MIN and len(latin) * 2 > len(reading.words) and not has(_ENGLISH, reading.words)


def _wanted(text: str, paradigm: Paradigm, mode: Mode) -> tuple[View, tuple[str, ...], tuple[Span, ...]]:
    named = names(text, paradigm.names)
    excluded = [name for name in named if name.excluded]
    if excluded:
        return "accepted", ("excluded",), _spans(excluded, "excluded")
    topic = topics(text, paradigm.allowed_topics)
    sure = [name for name in named if name.sure or topic]
    accepted, both = _views(text, mode)
    if mode == "auto" and (silent := _silent(text, paradigm, bool(sure), bool(topic), accepted and not both)):
        return "accepted", (silent,), ()
    spans = (*_spans(sure, "by-name"), *((Span("text", *topic, "on-topic"),) if topic else ()))
    caller = ("by-caller",) if mode in {"private", "dual"} else ()
    reasons = (*caller, *dict.fromkeys(span.reason for span in spans))
    if both or (accepted and sure):
        return "dual", (*reasons, "both-asked"), spans
    return "private", reasons, spans


def _views(text: str, mode: Mode) -> tuple[bool, bool]:
    """Return whether a text asks for the accepted view, and whether both are asked for."""
    words = read(text).words
    accepted = has(_ACCEPTED, words)
    return accepted, mode == "dual" or has(_BOTH, words) or (accepted and has(_OWN, words))


def _silent(text: str, paradigm: Paradigm, named: bool, topic: bool, only_accepted: bool) -> str:
    """Return why the private view keeps silent when the caller left it to the guard; empty when it speaks."""
    if named:
        return doubt(text, paradigm)
    if only_accepted:
        return "accepted-asked"
    return silence(text, paradigm) or beside(text, paradigm) if topic else "no-match"


def _spans(named: Sequence[Named], reason: str) -> tuple[Span, ...]:
    return tuple(Span("text", name.start, name.end, reason) for name in named)


def _carries_on(text: str) -> bool:
    reading = read(text)
    return len(reading.words) <= FOLLOW_UP_MAX and has(_FOLLOWING, reading.words)
