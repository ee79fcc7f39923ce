"""A chat with one replica: in the dialect its engine takes, and with its thinking budget kept."""

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import aiohttp
import orjson

from concilium.contracts.config import EngineConfig
from concilium.contracts.limits import MIB
from concilium.engine import usage
from concilium.engine.chat import Completion, Dialect, Wire, read_completion, use_of
from concilium.engine.errors import EngineError
from concilium.engine.stream import Answer, Delta, Patience, deltas
from concilium.engine.thinking import cut_short
from concilium.engine.transport import Limit, Transport, read_json, read_whole

REPLY_BYTES = MIB
"""Largest whole answer accepted."""
GRACE_TOKENS = 32
"""What an engine that was told the budget may think beyond it before it is stopped: it ends with a sentence, too."""
_PATH = "/chat/completions"
_MISUNDERSTOOD = (400, 422)


class Conversation:
    """Chats with the replicas of one engine."""

    def __init__(self, config: EngineConfig, transport: Transport) -> None:
        self._first_s = config.first_token_s
        self._next_s = config.next_token_s
        self._transport = transport
        self._dialect = Dialect()
        self._thoughtless: set[str] = set()
        """Models that were asked to think and did not."""

    async def whole(self, url: str, wire: Wire, limit: Limit) -> Completion:
        """Return an answer that comes in one piece. Raises `EngineError`."""
        async with self._opened(url, wire, limit, None) as response:
            reply = read_json(await read_whole(response, REPLY_BYTES))
        usage.current().answer(use_of(reply))  # an answer that cannot be used is paid for all the same
        return read_completion(reply)

    async def deltas(self, url: str, wire: Wire, limit: Limit) -> AsyncGenerator[Delta]:
        """Yield an answer as it comes; one that thinks beyond its budget is stopped, and asked to go on from there.

        Raises:
            EngineError: as soon as something fails.
        """
        thoughts: list[str] = []
        answer = Answer(None if wire.model in self._thoughtless else wire.thinking)
        async with contextlib.aclosing(self._streamed(url, replace(wire, stream=True), limit, answer)) as parts:
            async for delta in parts:
                thoughts.append(delta.reasoning_content)
                yield delta
                if wire.thinking_budget and answer.thinking_tokens >= self._most(wire) and not delta.finish_reason:
                    break
            else:
                if answer.did_not_think:
                    self._thoughtless.add(wire.model)
                return
        rest = replace(wire, stream=True, prefix=cut_short("".join(thoughts)))
        async with contextlib.aclosing(self._streamed(url, rest, limit, Answer(rest.thinking))) as parts:
            async for delta in parts:
                yield delta

    def _most(self, wire: Wire) -> int:
        return wire.thinking_budget + (GRACE_TOKENS if self._dialect.budget else 0)

    async def _streamed(self, url: str, wire: Wire, limit: Limit, answer: Answer) -> AsyncGenerator[Delta]:
        """Yield what one request answers; its connection is closed with this generator."""
        patience = Patience(self._first_s, self._next_s, limit)
        began = time.monotonic()
        async with self._opened(url, wire, limit, self._first_s) as response:
            try:
                async for delta in deltas(response, answer, patience, began):
                    yield delta
            finally:
                usage.current().answer(answer.usage)

    @contextlib.asynccontextmanager
    async def _opened(
        self, url: str, wire: Wire, limit: Limit, begin_s: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request, in plainer and plainer dialects as long as it is not understood."""
        async with contextlib.AsyncExitStack() as stack:
            dialect = self._dialect
            while True:
                request = self._transport.answer("POST", url + _PATH, orjson.dumps(wire.body(dialect)), limit, begin_s)
                try:
                    response = await stack.enter_async_context(request)
                    break
                except EngineError as error:
                    plainer = _plainer(wire, dialect) if error.status in _MISUNDERSTOOD else None
                    if plainer is None:
                        raise
                    dialect = plainer
            self._dialect = dialect
            yield response


def _plainer(wire: Wire, dialect: Dialect) -> Dialect | None:
    """Return the next dialect in which the request differs; None when there is none."""
    body, plainer = wire.body(dialect), dialect.plainer
    while plainer is not None and wire.body(plainer) == body:
        plainer = plainer.plainer
    return plainer
