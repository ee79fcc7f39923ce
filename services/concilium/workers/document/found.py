"""What a reader says of a document, piece by piece: the messages from its process to the agent.

The process has read a stranger's bytes, so the agent checks each message against these models.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from concilium.workers.document import limits
from concilium.workers.document.text import clean, one_line

Note = Annotated[str, BeforeValidator(lambda value: one_line(value, limits.NOTE_CHARS))]
Value = Annotated[str, BeforeValidator(lambda value: one_line(value, limits.METADATA_CHARS))]
Text = Annotated[str, BeforeValidator(clean)]


class Found(BaseModel):
    """One message; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(Found):
    """A table; cells as shown, '' where a merged cell goes on."""

    rows: list[list[str]]
    page: int | None = None
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height in points from the page's upper left corner."""
    title: Value | None = None


class Begin(Found):
    """First message: what the document is."""

    say: Literal["begin"] = "begin"
    kind: str
    page_count: int = Field(ge=1)
    selected: int = Field(ge=0)
    """Pages that will follow."""
    title: Value | None = None
    metadata: dict[str, Value] = Field(default_factory=dict)
    notes: list[Note] = Field(default_factory=list)


class Page(Found):
    """One page (a sheet of a workbook; all of a format without pages)."""

    say: Literal["page"] = "page"
    number: int = Field(ge=1)
    text: Text
    tables: list[Table] = Field(default_factory=list)
    scanned: bool = False
    """Its text must be recognised from its image."""
    notes: list[Note] = Field(default_factory=list)


class Picture(Found):
    """The image of a page; its bytes follow in a message of their own."""

    say: Literal["picture"] = "picture"
    page: int = Field(ge=1)
    scanned: bool
    """The page needs recognition; else the image was asked for."""
    media_type: Literal["image/png", "image/jpeg"]


class Attachment(Found):
    """A file inside the document, listed and never opened unless it is text."""

    name: Value
    media_type: Value
    size: int | None = Field(default=None, ge=0)
    """Bytes; None when that is known only by unpacking it."""
    read: bool
    """Its text is part of the text."""


class End(Found):
    """Last message."""

    say: Literal["end"] = "end"
    notes: list[Note] = Field(default_factory=list)
    attachments: list[Attachment] = Field(default_factory=list)


class Failure(Found):
    """The document cannot be read: a problem's type and detail."""

    say: Literal["failure"] = "failure"
    type: str = Field(max_length=64)
    detail: Value


class Fault(Found):
    """The reader itself is faulty; a traceback."""

    say: Literal["fault"] = "fault"
    trace: Text


class Usage(Found):
    """After the last message: what the reader took."""

    say: Literal["usage"] = "usage"
    cpu_s: float = Field(ge=0)
    peak_mib: float = Field(ge=0)
    """Resident memory at its highest, with what is shared with its server."""


Said = Annotated[Begin | Page | Picture | End | Failure | Fault | Usage, Field(discriminator="say")]
SAID: TypeAdapter[Said] = TypeAdapter(Said)


class Unreadable(Exception):
    """Raised by a reader: a clear failure with a stable type."""

    def __init__(self, type: str, detail: str) -> None:  # noqa: A002 - RFC 9457's member name
        super().__init__(f"{type}: {detail}")
        self.type = type
        self.detail = detail


def damaged(what: str) -> Unreadable:
    """Return the failure of a file that is broken off or not what it begins like."""
    return Unreadable("document-damaged", f"{what}; send the file again, or open and save it in its own program")
