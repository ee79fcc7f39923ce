"""The bytes of a task's files: harmless to open, whoever made them."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from concilium.contracts.errors import NotFound
from concilium.contracts.parts import Artifact, DataPart, FilePart, FileRef, TextPart
from concilium.contracts.task import TaskView
from concilium.gateway.auth import Scope
from concilium.gateway.openapi import SECURED, Responses
from concilium.gateway.state import Gateway
from concilium.gateway.tasks import READS, owned, router

CSP = "default-src 'none'; sandbox"
_INLINE = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "audio/wav", "audio/x-wav", "audio/mpeg", "audio/ogg"}
)
"""Media types a browser may show in place: none of them can hold script."""
_TEXT = "text/plain; charset=utf-8"

_BYTES: Responses = {
    200: {"description": "The bytes.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/{task_id}/artifacts/{name}",
    summary="Fetch an artifact",
    response_class=Response,
    responses=_BYTES | READS,
    openapi_extra=SECURED,
)
async def get_artifact(request: Request, task_id: str, name: str) -> Response:
    """Return the artifact's file; without one its text or its data as JSON."""
    gateway, task = await owned(request, task_id, Scope.READ)
    artifact = _named(task.artifacts, name)
    for part in artifact.parts:
        if isinstance(part, FilePart):
            return await file_answer(gateway, part.file)
    return _parts_answer(artifact)


@router.get(
    "/{task_id}/files/{sha256}",
    summary="Fetch a file by its hash",
    response_class=Response,
    responses=_BYTES | READS,
    openapi_extra=SECURED,
)
async def get_file(request: Request, task_id: str, sha256: str) -> Response:
    """Return a file of the task's request or artifacts."""
    gateway, task = await owned(request, task_id, Scope.READ)
    return await file_of(gateway, task, sha256)


async def file_of(gateway: Gateway, task: TaskView, sha256: str) -> Response:
    """Return a file of a task the caller may see. Raises `NotFound`."""
    for file in files_of(task):
        if file.sha256 == sha256:
            return await file_answer(gateway, file)
    raise NotFound("the task has no such file")


def files_of(task: TaskView) -> Iterable[FileRef]:
    """Return every file of the task: those it came with and those that were made."""
    yield from task.request.files
    for artifact in task.artifacts:
        yield from (part.file for part in artifact.parts if isinstance(part, FilePart))


async def file_answer(gateway: Gateway, file: FileRef) -> Response:
    """Return a stored file with headers that keep a browser from running it."""
    path: Path = await gateway.ledger.open_blob(file.sha256)
    stat = await asyncio.to_thread(path.stat)
    inline = file.media_type in _INLINE
    return FileResponse(
        path,
        media_type=file.media_type if inline else "application/octet-stream",
        headers=_safe(file.name, inline=inline),
        stat_result=stat,
    )


def _parts_answer(artifact: Artifact) -> Response:
    headers = _safe(artifact.name, inline=False)
    texts = [part.text for part in artifact.parts if isinstance(part, TextPart)]
    if texts:
        return Response("\n".join(texts), media_type=_TEXT, headers=headers)
    data = [part.data for part in artifact.parts if isinstance(part, DataPart)]
    body = orjson.dumps(data[0] if len(data) == 1 else data)
    return Response(body, media_type="application/json", headers=headers)


def _named(artifacts: Iterable[Artifact], name: str) -> Artifact:
    # Steps may give the same name twice; the latest is what the answer speaks of.
    found = [artifact for artifact in artifacts if artifact.name == name]
    if not found:
        raise NotFound("the task has no artifact of that name")
    return found[-1]


def _safe(name: str, *, inline: bool) -> dict[str, str]:
    kind = "inline" if inline else "attachment"
    return {
        "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": CSP,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
