"""Reading what a client sends, and noticing that it has gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from concilium.engine.embedded.refusal import Refusal, invalid

BODY_BYTES = 8 << 20
"""Largest body that is read."""
BODY_S = 10.0
"""Seconds a body may take to arrive."""

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


async def read(request: Request, model: type[M]) -> M:
    """Return the body.

    Raises:
        Refusal: it is too large, too slow, no JSON, or not what is expected.
        ClientDisconnect: the client has gone.
    """
    try:
        value = orjson.loads(await _bytes(request))
    except orjson.JSONDecodeError as error:
        raise invalid(f"the body is not JSON: {error}", "invalid_json") from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # Of the forms that a value may have, the one that was followed deepest is the one that was meant.
        found = max(error.errors(include_url=False, include_input=False), key=lambda each: len(each["loc"]))
        where = ".".join(str(part) for part in found["loc"])
        raise invalid(f"{where}: {found['msg']}" if where else found["msg"], "invalid_value", where or None) from error


async def _bytes(request: Request) -> bytes:
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                found += chunk
                if len(found) > BODY_BYTES:
                    raise Refusal(413, f"the body is larger than {BODY_BYTES} bytes", "too_large")
    except TimeoutError as error:
        raise Refusal(408, f"the body did not arrive within {BODY_S:g} s", "too_slow") from error
    return bytes(found)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns; it is cancelled when the client goes.

    Raises:
        ClientDisconnect: the client has gone.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
