"""E-mail: headers, the body as the reader sees it, attachments listed and those of text read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any

from concilium.workers.document import limits
from concilium.workers.document.formats.charset import decode
from concilium.workers.document.formats.headers import Part, filename, header, parameter
from concilium.workers.document.formats.markup import read_markup
from concilium.workers.document.formats.sniff import Kind
from concilium.workers.document.found import Attachment, Begin, End, Found, Page, Table, Unreadable
from concilium.workers.document.page_numbers import selected
from concilium.workers.document.source import Source
from concilium.workers.document.text import tidy

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_ENCRYPTED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"})
_READ = frozenset({"application/json", "application/xml", "application/csv"})


@dataclass
class _Reading:
    """What was found so far."""

    texts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    parts: int = 0

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def read(source: Source) -> Iterator[tuple[Found, bytes]]:
    """Yield a message as one page."""
    selected(source.wanted.pages, 1)
    message = message_from_bytes(source.data, policy=policy.compat32)
    found = _Reading()
    _message(message, found, 0)
    shown = {name.lower(): header(message, name) for name in (*_SHOWN, "Message-ID")}
    metadata = {name.replace("-", "_"): value for name, value in shown.items() if value}
    title = metadata.pop("subject", None)
    count = len(found.attachments)
    metadata |= {"attachments": str(count)} if count else {}
    first = Begin(kind=Kind.EMAIL, page_count=1, selected=1, title=title, metadata=metadata, notes=found.notes)
    yield first, b""
    text = tidy("\n\n".join(found.texts))
    yield Page(number=1, text=text[: limits.PAGE_CHARS], tables=found.tables), b""
    yield End(attachments=found.attachments), b""


def _message(message: Part, found: _Reading, depth: int) -> None:
    lines = [f"{name}: {value}" for name in _SHOWN if (value := header(message, name))]
    if not lines and not message.get_payload():
        raise Unreadable("document-empty", "the message has neither headers nor a body")
    found.texts.append("\n".join(lines))
    _part(message, found, depth)


def _part(part: Part, found: _Reading, depth: int) -> None:
    """Read a part and what is in it."""
    found.parts += 1
    if depth > limits.MAIL_DEPTH or found.parts > limits.MAIL_PARTS:
        found.note(f"parts nested deeper than {limits.MAIL_DEPTH} or beyond {limits.MAIL_PARTS} were not read")
        return
    kind = part.get_content_type()
    payload: Any = part.get_payload()
    if kind in _ENCRYPTED:
        found.note("the message is encrypted; its content cannot be read here")
    if kind == "message/rfc822" and isinstance(payload, list) and payload:
        found.texts.append("--- forwarded message ---")
        _message(payload[0], found, depth + 1)
    elif not isinstance(payload, list):
        _leaf(part, kind, found)
    elif kind == "multipart/alternative":
        _part(_best(payload), found, depth + 1)
    else:
        for inner in payload:
            _part(inner, found, depth + 1)


def _best(parts: list[Part]) -> Part:
    """Return the plain text of several forms of the same, else the last that is no calendar and the like."""
    for wanted in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == wanted and str(part.get_payload()).strip():
                return part
    return next((part for part in parts if part.is_multipart()), parts[-1])


def _leaf(part: Part, kind: str, found: _Reading) -> None:
    name = filename(part)
    content: Any = part.get_payload(decode=True)
    data: bytes = content if isinstance(content, bytes) else b""
    attached = part.get_content_disposition() == "attachment" or bool(name)
    textual = kind.startswith("text/") or kind in _READ
    if attached or not textual:
        size = len(data)
        shown = name or f"unnamed {kind}"
        found.attachments.append(Attachment(name=shown, media_type=kind, size=size, read=textual and size > 0))
    if not textual or not data.strip():
        return
    if attached:
        found.texts.append(f"--- attachment: {name or kind} ---")
    decoded = decode(data, [parameter(part, "charset")])
    if decoded.note:
        found.note(decoded.note)
    if kind == "text/html" and len(data) <= limits.HTML_BYTES:
        _html(decoded.text, found)
    else:
        found.texts.append(decoded.text[: limits.PAGE_CHARS])


def _html(text: str, found: _Reading) -> None:
    try:
        markup = read_markup(text)
    except Unreadable:
        return
    found.texts.append(markup.text)
    found.tables.extend(markup.tables)
    for note in markup.notes:
        found.note(note)
