"""The engine of a mesh under chaos: a real OpenAI-compatible server whose plan is the one that the request spells out.

It is as bad as engines are: some answers take longer than a lease, some are no plan at first, some do not come.
"""

import asyncio
import json
import zlib
from collections import Counter
from typing import Any, Self

from aiohttp import web

MODEL = "chaos-planner"


class Planner:
    """Serves ``/v1/chat/completions`` on a loopback port. How an answer fails follows from the request's text alone."""

    def __init__(self, port: int, lease_ttl_s: float) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.answers: Counter[str] = Counter()
        self._port = port
        self._slow_s = lease_ttl_s * 1.3
        self._asked: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/v1/chat/completions", self._complete)
        # The mesh forgets its requests when it is killed; so does the engine.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.Response:
        messages = (await request.json())["messages"]
        data = json.loads(messages[1]["content"].split("\n", 1)[1])
        if "failure" in data:
            return self._say("give up", {"decision": "give_up", "reason": "the step was told to fail"})
        text = data["request"]["text"]
        asked, mood = self._asked[text], zlib.crc32(text.encode()) % 100
        self._asked[text] += 1
        if mood < 10:
            await asyncio.sleep(self._slow_s)
        elif mood < 20 and asked == 0:
            return self._say("no plan at first", {"decision": "plan", "steps": [{"name": "?"}]})
        steps = [{"after": [], **step} for step in json.loads(text)]
        return self._say("slow plan" if mood < 10 else "plan", {"decision": "plan", "steps": steps})

    def _say(self, kind: str, value: dict[str, Any]) -> web.Response:
        self.answers[kind] += 1
        message = {"role": "assistant", "content": json.dumps(value)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"object": "chat.completion", "model": MODEL, "choices": [choice]})
