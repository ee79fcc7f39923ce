"""An engine in a process of its own, to be killed: it says half of each answer and the rest once it is let go on.

Run as a module it is that process: ``python -m support.engine_process REPLY``; imported it starts, watches and kills.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from support.chat_server import DONE, begin, chunk, event

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class EngineProcess:
    """A running engine."""

    url: str
    process: subprocess.Popen[str]

    @property
    def begun(self) -> int:
        """How many answers it has begun."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/begun", timeout=30) as answer:
            return int(answer.read())

    def let_go(self) -> None:
        """Let it finish its answers, those under way and all further ones."""
        urllib.request.urlopen(self.url.removesuffix("/v1") + "/go", timeout=30).close()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@contextlib.contextmanager
def engine_process(reply: str) -> Iterator[EngineProcess]:
    """Start one that answers every chat with that text."""
    paths = os.pathsep.join((str(ROOT / "services"), str(ROOT / "tests")))
    command = [sys.executable, "-m", "support.engine_process", reply]
    environ = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield EngineProcess(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", process)
        finally:
            process.kill()


class _Engine:
    def __init__(self, reply: str) -> None:
        self._halves = reply[: len(reply) // 2], reply[len(reply) // 2 :]
        self._begun = 0
        self._go = asyncio.Event()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        if (await request.json()).get("stream"):
            halves = [event(chunk(half)) for half in self._halves]
            return await self._say(await begin(request), halves[0], halves[1] + event(chunk(finish="stop")) + DONE)
        message = {"role": "assistant", "content": "".join(self._halves)}
        body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        return await self._say(response, body[:20], body[20:])

    async def begun(self, _request: web.Request) -> web.Response:
        return web.Response(text=str(self._begun))

    async def go(self, _request: web.Request) -> web.Response:
        self._go.set()
        return web.Response()

    async def _say(self, response: web.StreamResponse, first: bytes, second: bytes) -> web.StreamResponse:
        await response.write(first)
        self._begun += 1
        await self._go.wait()
        await response.write(second)
        return response


async def main(reply: str) -> None:
    """Be the process: print the port, serve until killed."""
    engine, app = _Engine(reply), web.Application()
    app.router.add_post("/v1/chat/completions", engine.chat)
    app.router.add_get("/begun", engine.begun)
    app.router.add_get("/go", engine.go)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
