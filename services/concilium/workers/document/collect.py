"""Gathers what a reader says into a skill's output, within the limits of an output."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.base import JSON
from concilium.workers.document import limits
from concilium.workers.document.found import Attachment, Begin, End, Page, Picture, Said, Table, Usage
from concilium.workers.document.page_numbers import written
from concilium.workers.document.text import one_line
from concilium.workers.runtime.skill import OutFile, SkillResult

_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg"}
FULL_TEXT = "text.txt"


@dataclass
class _Budget:
    """What is left of a limit on characters and on bytes of JSON."""

    characters: int
    size: int

    def cut(self, text: str) -> str:
        """Return as much of a text as is left, and count it."""
        kept = text[: self.characters]
        size = len(orjson.dumps(kept))
        while kept and size > self.size:
            kept = kept[: min(len(kept) - 1, len(kept) * self.size // size)]
            size = len(orjson.dumps(kept))
        self.characters = 0 if len(kept) < len(text) else self.characters - len(kept)
        self.size -= size
        return kept


@dataclass
class _FullText:
    """The whole text, for a file, in case it does not fit the output."""

    pieces: list[bytes] = field(default_factory=list)
    left: int = limits.FULL_TEXT_BYTES

    def add(self, text: str) -> None:
        """Keep a page's text while there is room."""
        data = text.encode()[: self.left]
        self.left -= len(data)
        self.pieces.append(data)

    def file(self) -> OutFile:
        """Return the text as a file."""
        text = b"\n\n".join(piece for piece in self.pieces if piece)
        return OutFile(FULL_TEXT, "text/plain", text.decode(errors="ignore").encode())


class Collected:
    """What has been said so far."""

    def __init__(self, max_chars: int) -> None:
        self.begin: Begin | None = None
        self.last = 0
        """The number of the last page."""
        self._max_chars = max_chars
        self._text = _Budget(max_chars, limits.OUTPUT_TEXT_BYTES)
        self._table_bytes = limits.OUTPUT_TABLE_BYTES
        self._full = _FullText()
        self._pages: list[dict[str, JSON]] = []
        self._tables: list[JSON] = []
        self._notes: list[str] = []
        self._attachments: list[Attachment] = []
        self._files: dict[int, OutFile] = {}
        self._scans: list[int] = []
        self._cut_at = 0
        self._rows_left_out = False
        self._usage: Usage | None = None

    @property
    def progress(self) -> tuple[float, str]:
        """How far the reading is: a fraction and a sentence."""
        if self.begin is None or not self.begin.selected:
            return 0.0, "opening the document"
        done = len(self._pages)
        return done / self.begin.selected, f"page {self.last}: {done} of {self.begin.selected} read"

    def take(self, said: Said, content: bytes) -> None:
        """Add a message."""
        if isinstance(said, Begin):
            self.begin = said
            self._notes.extend(said.notes)
        elif isinstance(said, Page):
            self._page(said)
        elif isinstance(said, Picture):
            name = f"page-{said.page:04}.{_SUFFIXES[said.media_type]}"
            self._files[said.page] = OutFile(name, said.media_type, content)
        elif isinstance(said, End):
            self._notes.extend(said.notes)
            self._attachments = said.attachments
        elif isinstance(said, Usage):
            self._usage = said

    def result(self, *, page_images: bool) -> SkillResult:
        """Return the output and the files."""
        begin = self.begin or Begin(kind="text", page_count=1, selected=0)
        files = list(self._files.values())
        output: dict[str, JSON] = {
            "text": "\n\n".join(page["text"] for page in self._pages if page["text"]),
            "kind": begin.kind,
            "metadata": begin.metadata,
            "page_count": begin.page_count,
            "pages": self._pages,
            "tables": self._tables,
            "scanned": [_ref(self._files[number]) for number in self._scans if number in self._files],
        }
        if begin.title:
            output["title"] = begin.title
        if page_images:
            output["images"] = [_ref(file) for file in files]
        if self._attachments:
            output["attachments"] = [a.model_dump(exclude_none=True) for a in self._attachments[: limits.NOTES]]
        if self._cut_at:
            files.append(self._full.file())
            output["full_text"] = _ref(files[-1])
        if self._usage:
            output["usage"] = {"cpu_s": self._usage.cpu_s, "peak_mib": self._usage.peak_mib}
        output["notes"] = self._all_notes()
        return SkillResult(output, tuple(files))

    def _page(self, page: Page) -> None:
        self.last = page.number
        self._full.add(page.text)
        text = self._text.cut(page.text)
        if len(text) < len(page.text) and not self._cut_at:
            self._cut_at = page.number
        tables = [kept for table in page.tables if (kept := self._fitting(table))]
        self._tables.extend(tables)
        self._pages.append({"number": page.number, "text": text, "tables": tables, "scanned": page.scanned})
        if page.scanned:
            self._scans.append(page.number)
        self._notes.extend(page.notes)

    def _fitting(self, table: Table) -> dict[str, Any] | None:
        """Return a table as JSON, with as many of its rows as still fit; None when none does."""
        rows: list[list[str]] = []
        for row in table.rows:
            self._table_bytes -= len(orjson.dumps(row)) + 1
            if self._table_bytes < 0:
                self._table_bytes = 0
                self._rows_left_out = True
                break
            rows.append(row)
        if not rows:
            return None
        return {"rows": rows, **table.model_dump(mode="json", exclude={"rows"}, exclude_none=True)}

    def _all_notes(self) -> list[str]:
        notes = [*self._own_notes(), *dict.fromkeys(self._notes)]
        if len(notes) > limits.NOTES:
            notes = [*notes[: limits.NOTES], f"and {len(notes) - limits.NOTES} more notes"]
        return [one_line(note, 2 * limits.NOTE_CHARS) for note in notes]

    def _own_notes(self) -> list[str]:
        notes: list[str] = []
        seen = [number for number in self._scans if number in self._files]
        unseen = [number for number in self._scans if number not in self._files]
        if seen:
            notes.append(f"text must be recognised on pages {written(seen)}; their images are in `scanned`")
        if unseen:
            ask = written(unseen)
            notes.append(f"pages {ask} need recognition too, but are not in `scanned`: ask again with pages={ask}")
        if self._cut_at:
            kept = "all of it" if self._full.left else f"its first {limits.FULL_TEXT_BYTES // 1024 // 1024} MiB"
            notes.append(
                f"the text is cut within page {self._cut_at}, at max_chars={self._max_chars} or the size of an output;"
                f" {kept} is in the file {FULL_TEXT}"
            )
        if self._rows_left_out:
            notes.append("not all rows of the tables fit the output; their text is in the text")
        return notes


def _ref(file: OutFile) -> dict[str, JSON]:
    return file_ref(file.name, file.media_type, file.data).model_dump(mode="json")
