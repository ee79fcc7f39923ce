"""``document.extract``: the text, tables and metadata of a document, and images of its scanned pages."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import NotRequired, TypedDict

from concilium.contracts.base import JSON
from concilium.workers.document import limits
from concilium.workers.document.cell import read_document
from concilium.workers.document.collect import Collected
from concilium.workers.document.found import Begin, Page, Unreadable
from concilium.workers.document.source import Source, Wanted
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult


class File(TypedDict):
    """A file that came with the input."""

    sha256: str
    name: str
    media_type: str
    size: int


class ExtractInput(TypedDict):
    """The input, as `agent.yaml` has it."""

    file: File
    pages: NotRequired[str]
    password: NotRequired[str]
    tables: NotRequired[str]
    page_images: NotRequired[bool]
    max_chars: NotRequired[int]


async def extract(ctx: SkillContext, data: ExtractInput) -> SkillResult:
    """Read a document in a process of its own, page by page."""
    source = Source(ctx.files[data["file"]["sha256"]], _wanted(data, ctx.settings))
    found = Collected(data.get("max_chars", limits.OUTPUT_CHARS))
    await ctx.progress(*found.progress)
    try:
        async with aclosing(read_document(source)) as messages:
            async for said, content in messages:
                found.take(said, content)
                if isinstance(said, Begin | Page):
                    await ctx.progress(*found.progress)
    except Unreadable as error:
        raise SkillFailed(error.type, error.detail + _advice(found)) from error
    return found.result(page_images=source.wanted.page_images)


async def warm_up(_settings: Mapping[str, JSON]) -> None:
    """Start the server that the readers' processes are forked from, about a second."""
    async with aclosing(read_document(Source(b"ready", Wanted(name="ready.txt")))) as messages:
        async for _ in messages:
            pass


def _wanted(data: ExtractInput, settings: Mapping[str, JSON]) -> Wanted:
    file = data["file"]
    return Wanted.model_validate(
        {
            "name": file["name"],
            "media_type": file["media_type"],
            "cpu_s": settings.get("cpu_s", limits.CPU_S),
            **{name: data[name] for name in ("pages", "password", "tables", "page_images") if name in data},
        }
    )


def _advice(found: Collected) -> str:
    """Say how to read what comes before the page that cannot be read."""
    if not found.last:
        return ""
    return f" (this happened after page {found.last}; ask for the pages before with `pages`)"
