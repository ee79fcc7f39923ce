"""`POST /v1/ask`: a request in, the task or the answer out."""

import asyncio
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from concilium.contracts import limits
from concilium.contracts.errors import BadRequest, Invalid, UnsupportedMedia
from concilium.contracts.parts import FileRef
from concilium.contracts.states import TaskState
from concilium.contracts.task import DataClass, Priority, Submission, TaskView
from concilium.contracts.task import Request as Wish
from concilium.gateway.auth import Scope
from concilium.gateway.body import fit, media_type, parse_json
from concilium.gateway.openapi import SECURED, json_body, links_to_task, problems
from concilium.gateway.state import Gateway, gateway_of
from concilium.gateway.trace import Trace

router = APIRouter(tags=["tasks"])

FIELD_BYTES = 4 * limits.TEXT_CHARS
"""A form field may hold the longest text in UTF-8."""
_MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(;[\x20-\x7e]{0,128})?$"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AskFile(_Strict):
    """A file inside a JSON request."""

    name: str = Field(min_length=1, max_length=255, pattern=r"^[^/\\\x00-\x1f]+$")
    media_type: str = Field(default="application/octet-stream", max_length=255, pattern=_MEDIA_TYPE)
    data: str = Field(json_schema_extra={"contentEncoding": "base64"})
    """The bytes in base64."""


class AskTerms(_Strict):
    """What is asked and on which terms; the same members in JSON and in a form."""

    text: str = Field(default="", max_length=limits.TEXT_CHARS)
    callback_url: str | None = Field(default=None, min_length=1, max_length=4096)
    """Where the answer is posted, signed after Standard Webhooks."""
    deadline_s: float = Field(default=limits.DEADLINE_S, gt=0, le=limits.DEADLINE_MAX_S, allow_inf_nan=False)
    wait_s: float = Field(default=0.0, ge=0, le=limits.WAIT_MAX_S, allow_inf_nan=False)
    """How long to keep the connection open for the answer; 0: answer at once with the task."""
    priority: Priority = Priority.NORMAL
    data_class: DataClass = DataClass.INTERNAL
    context_id: str | None = Field(default=None, pattern=r"^[\x21-\x7e]{1,128}$")


class AskBody(AskTerms):
    """`AskTerms` with its files inside; text, files or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"text": {"pattern": r"\S"}}, "required": ["text"]},
                {"properties": {"files": {"minItems": 1}}, "required": ["files"]},
            ]
        }
    )

    files: Annotated[list[AskFile], Field(max_length=limits.MESSAGE_PARTS)] = []


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a request."""

    name: str
    media_type: str
    data: bytes


@router.post(
    "/v1/ask",
    summary="Ask the mesh for something",
    status_code=202,
    response_model=TaskView,
    response_description="The task was accepted and goes on.",
    responses={
        202: {"links": links_to_task()},
        200: {"model": TaskView, "description": "The task ended within wait_s; its answer is inside."},
        **problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    },
    openapi_extra=SECURED
    | json_body("AskBody", multipart="AskForm")
    | {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
                "description": "The same key and the same request give the same task for 7 days.",
            }
        ]
    },
)
async def ask(request: Request) -> Response:
    """Accept a request, as flat JSON or as a multipart form with files.

    With ``wait_s`` the connection stays open for the answer. Without a question answered in time the reply is 202 and
    ``Location`` names the task, whose events can be followed.
    """
    gateway = gateway_of(request)
    caller = await gateway.auth.require(request, Scope.WRITE)
    key = idempotency_key(request)
    terms, uploads = await _read(request)
    if not terms.text.strip() and not uploads:
        raise Invalid("say what you want: give text, files or both")
    if terms.callback_url is not None:
        await gateway.guard.check(terms.callback_url)
    files = await store(gateway, uploads, caller.key_id)
    trace: Trace = request.state.trace
    submitted = await gateway.submit(
        Submission(
            request=Wish(text=terms.text, files=files),
            key_id=caller.key_id,
            idempotency_key=key,
            deadline_s=terms.deadline_s,
            priority=terms.priority,
            data_class=terms.data_class,
            callback_url=terms.callback_url,
            context_id=terms.context_id,
            traceparent=trace.traceparent,
            execution_id=trace.execution_id,
        )
    )
    task = await ended(gateway, submitted.task, terms.wait_s)
    return accepted(task, replayed=submitted.replayed, warning=submitted.warning)


def accepted(task: TaskView, *, replayed: bool = False, warning: str = "") -> Response:
    """Return 200 with an ended task, 202 with one that goes on."""
    headers = {"Location": f"/v1/tasks/{task.id}"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    if warning:
        headers["Concilium-Budget-Warning"] = warning
    status = 200 if task.state.terminal else 202
    return Response(task.model_dump_json(), status, media_type="application/json", headers=headers)


async def ended(gateway: Gateway, task: TaskView, wait_s: float) -> TaskView:
    """Return the task as it is once it ended, asks something, or ``wait_s`` seconds passed."""
    until = asyncio.get_running_loop().time() + wait_s
    while not task.state.terminal and task.state is not TaskState.INPUT_REQUIRED:
        left = until - asyncio.get_running_loop().time()
        if left <= 0 or not await gateway.wait(task.id, task.last_seq, left):
            break
        task = await gateway.ledger.get(task.id)
    return task


def idempotency_key(request: Request) -> str | None:
    """Return the ``Idempotency-Key`` header. Raises `BadRequest` when it is unusable."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


async def store(gateway: Gateway, uploads: list[Upload], key_id: str) -> tuple[FileRef, ...]:
    """Store files as blobs that the key may read; return their references in order."""
    refs: list[FileRef] = []
    for upload in uploads:
        sha256, size = await gateway.ledger.put_blob(upload.data, key_id=key_id)
        refs.append(FileRef(sha256=sha256, name=upload.name, media_type=upload.media_type, size=size))
    return tuple(refs)


async def _read(request: Request) -> tuple[AskTerms, list[Upload]]:
    kind = media_type(request)
    if kind == "application/json":
        body = fit(parse_json(await request.body()), AskBody)
        return body, [Upload(f.name, f.media_type, _decoded(f)) for f in body.files]
    if kind == "multipart/form-data":
        return await _read_form(request)
    raise UnsupportedMedia("send application/json or multipart/form-data")


def _decoded(file: AskFile) -> bytes:
    try:
        return b64decode(file.data, validate=True)
    except (Base64Error, ValueError) as error:
        raise Invalid(f"file '{file.name}': data is not base64") from error


class _Form(MultiPartParser):
    """A multipart parser that knows whether the closing boundary came."""

    closed = False

    def on_end(self) -> None:
        self.closed = True


async def _read_form(request: Request) -> tuple[AskTerms, list[Upload]]:
    limit = limits.MESSAGE_PARTS
    parser = _Form(request.headers, request.stream(), max_files=limit, max_fields=limit, max_part_size=FIELD_BYTES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise Invalid(f"a request may have at most {limit} files and {limit} fields") from error
        raise BadRequest(f"the form cannot be read: {error.message}") from error
    try:
        if not parser.closed:
            raise BadRequest("the form ends without its closing boundary")
        return await _take_apart(form)
    finally:
        await form.close()


async def _take_apart(form: FormData) -> tuple[AskTerms, list[Upload]]:
    fields: dict[str, str] = {}
    uploads: list[Upload] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            uploads.append(await _upload(name, value))
        elif name in fields:
            raise Invalid(f"the field '{name}' is given twice")
        else:
            fields[name] = value
    return fit(fields, AskTerms), uploads


async def _upload(field: str, file: UploadFile) -> Upload:
    if field not in ("file", "files", "files[]"):
        raise Invalid(f"files belong in the field 'files', not '{field}'")
    checked = fit(
        {"name": file.filename or "", "media_type": file.content_type or "application/octet-stream", "data": ""},
        AskFile,
    )
    return Upload(checked.name, checked.media_type, await file.read())
