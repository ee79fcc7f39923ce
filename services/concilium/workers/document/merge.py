"""``document.merge``: recognised text is put in the place of the scanned pages."""

import re
from typing import NotRequired, TypedDict

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillResult

_PAGE_FILE = re.compile(r"page-(\d{1,7})\.")


class ExtractedPage(TypedDict):
    """A page as ``document.extract`` gives it."""

    number: int
    text: str
    scanned: NotRequired[bool]


class ReadPage(TypedDict):
    """An image's text as ``vision.ocr`` gives it."""

    name: str
    text: NotRequired[str]
    error: NotRequired[str | None]


class MergeInput(TypedDict):
    """The input, as `agent.yaml` has it."""

    pages: list[ExtractedPage]
    read: NotRequired[list[ReadPage] | None]


async def merge(_ctx: SkillContext, data: MergeInput) -> SkillResult:
    """Return the document's text with what was recognised."""
    read, notes = _by_page(data.get("read") or [])
    known = {page["number"] for page in data["pages"]}
    notes.extend(f"the recognised page {number} is not in the document" for number in sorted(read.keys() - known))
    pages: list[JSON] = []
    for page in data["pages"]:
        text, note = _text(page, read.get(page["number"]))
        pages.append({"number": page["number"], "text": text})
        if note:
            notes.append(note)
    text = "\n\n".join(page["text"] for page in pages if page["text"])
    return SkillResult({"text": text, "pages": pages, "notes": notes[:200]})


def _by_page(read: list[ReadPage]) -> tuple[dict[int, ReadPage], list[str]]:
    """Return what was recognised by page number, and a note for each name that has none."""
    found: dict[int, ReadPage] = {}
    notes: list[str] = []
    for page in read:
        match = _PAGE_FILE.match(page["name"])
        if match is None:
            notes.append(f"'{page['name'][:80]}' is no page's image; its text was left out")
        else:
            found[int(match[1])] = page
    return found, notes


def _text(page: ExtractedPage, read: ReadPage | None) -> tuple[str, str]:
    """Return a page's text, and what to say of it."""
    number, own = page["number"], page["text"]
    if not page.get("scanned"):
        return own, ""
    if read is None:
        return own, f"page {number} is a scan and was not recognised"
    if read.get("error"):
        return own, f"page {number} could not be recognised: {str(read['error'])[:300]}"
    words = read.get("text", "").strip()
    if not words:
        return own, f"no text was recognised on page {number}"
    return words, ""
