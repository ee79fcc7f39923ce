"""A Caesar cipher as an A2A agent, written with a2a-sdk alone.

    python server.py --port 9100 --key-file key

Asked with a data part ``{"skill": "caesar.encode", "input": {"text": …, "shift": …}}``, or with plain text.
"""

import argparse
import asyncio
import hashlib
import hmac
import string
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from a2a.helpers.proto_helpers import get_data_parts, get_message_text, new_data_part, new_task, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

SKILL = "caesar.encode"
SLOTS = 2
BODY_BYTES = 32 * 1024 * 1024
OPEN = ("/.well-known/agent-card.json", "/ready")
INPUT = Draft202012Validator(
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 100_000},
            "shift": {"type": "integer", "minimum": -25, "maximum": 25},
            "pause_s": {"type": "number", "minimum": 0, "maximum": 10},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
)


def read_call(message: pb.Message) -> dict[str, Any]:
    """Return the input a message asks to be encoded. Raises InvalidParamsError."""
    for part in message.parts:
        stated = part.metadata.fields["sha256"].string_value if "sha256" in part.metadata.fields else ""
        if stated and hashlib.sha256(part.raw).hexdigest() != stated:
            raise InvalidParamsError(f"the file '{part.filename}' does not match its stated sha256")
    calls = get_data_parts(message.parts) or [{"skill": SKILL, "input": {"text": get_message_text(message)}}]
    call = calls[0]
    if not isinstance(call, dict) or call.get("skill") != SKILL:
        raise InvalidParamsError(f"this agent has one skill, {SKILL}")
    error = best_match(INPUT.iter_errors(call.get("input")))
    if error is not None:
        raise InvalidParamsError(f"the input at {error.json_path}: {error.message[:300]}")
    found: dict[str, Any] = call["input"]
    return found


class CaesarHandler(DefaultRequestHandler):
    """Refuses what makes no sense before it becomes a task."""

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Message | pb.Task:
        read_call(params.message)
        return await super().on_message_send(params, context)

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncIterator[Any]:
        read_call(params.message)
        async for event in super().on_message_send_stream(params, context):
            yield event


class Caesar(AgentExecutor):
    """Encodes a text word by word, for so many callers at once."""

    def __init__(self) -> None:
        self.warm_up_s: float | None = None
        self._slots = asyncio.Semaphore(SLOTS)
        self._tables: dict[int, dict[int, int]] = {}

    def warm_up(self) -> None:
        """Make the alphabets of all shifts."""
        began = time.monotonic()
        small, large = string.ascii_lowercase, string.ascii_uppercase
        for shift in range(-25, 26):
            turned = (small[shift % 26 :] + small[: shift % 26], large[shift % 26 :] + large[: shift % 26])
            self._tables[shift] = str.maketrans(small + large, "".join(turned))
        self.warm_up_s = round(time.monotonic() - began, 3)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        assert context.task_id is not None
        assert context.context_id is not None
        data = read_call(context.message)
        await event_queue.enqueue_event(new_task(context.task_id, context.context_id, pb.TASK_STATE_SUBMITTED))
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        async with self._slots:
            await updater.start_work()
            words = data["text"].split(" ")
            for number in range(len(words)):
                await asyncio.sleep(data.get("pause_s", 0))
                if data.get("pause_s") or not number:
                    said = new_text_message(f"word {number + 1} of {len(words)}")
                    fraction = {"fraction": number / len(words)}
                    await updater.update_status(pb.TASK_STATE_WORKING, said, metadata=fraction)
            text = data["text"].translate(self._tables[data.get("shift", 3)])
            await updater.add_artifact([new_data_part({"text": text})], name="output")
            await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


class Guard:
    """ASGI middleware: the key, and the size of a body."""

    def __init__(self, app: Any, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            await refusal(401, "UNAUTHENTICATED", "the key is missing or wrong")(scope, receive, send)
            return
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if len(body) > BODY_BYTES:
                said = refusal(413, "OUT_OF_RANGE", f"a request has at most {BODY_BYTES} bytes")
                await said(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        try:
            body.decode()
        except UnicodeDecodeError:
            await refusal(400, "INVALID_ARGUMENT", "the body is not UTF-8")(scope, receive, send)
            return
        pending = [{"type": "http.request", "body": body}]

        async def replay() -> Any:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """Return an error as A2A's HTTP+JSON binding writes it."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "a2a-protocol.org"}
    error = {"code": status, "status": code, "message": message, "details": [info]}
    return JSONResponse({"error": error}, status, {"www-authenticate": "Bearer"} if status == 401 else None)


def card(url: str) -> pb.AgentCard:
    """Return what the agent says of itself."""
    found = pb.AgentCard(
        name="caesar",
        description="Shifts the letters of a text, as Caesar did.",
        version="1.0.0",
        supported_interfaces=[
            pb.AgentInterface(url=f"{url}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0")
        ],
        capabilities=pb.AgentCapabilities(streaming=True),
        default_input_modes=["text/plain", "application/json"],
        default_output_modes=["application/json"],
        skills=[pb.AgentSkill(id=SKILL, name=SKILL, description="Shift letters.", tags=["cipher"])],
    )
    found.security_schemes["key"].http_auth_security_scheme.CopyFrom(pb.HTTPAuthSecurityScheme(scheme="Bearer"))
    found.security_requirements.add().schemes["key"].SetInParent()
    return found


def make_app(url: str, key: str) -> Callable[..., Any]:
    """Return the agent as an ASGI application."""
    caesar = Caesar()
    described = card(url)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        caesar.warm_up()
        yield

    async def ready(_request: Request) -> JSONResponse:
        return JSONResponse({"ready": caesar.warm_up_s is not None, "warm_up_s": caesar.warm_up_s})

    handler = CaesarHandler(caesar, InMemoryTaskStore(), described)
    app = Starlette(
        routes=[*create_agent_card_routes(described), *create_rest_routes(handler, path_prefix="/rest")],
        lifespan=lifespan,
    )
    app.add_route("/ready", ready)
    return Guard(app, key)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    options = parser.parse_args()
    app = make_app(f"http://127.0.0.1:{options.port}", options.key_file.read_text().strip())
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
