"""What the engine client adds to a bare HTTP call: milliseconds, whole answers and streamed ones.

    python -m benchmarks.engine_client [--calls 2000] [--tokens 64]

The engine is a process that answers at once, so that what is measured is the two callers: aiohttp with a kept
connection and one `json.loads`, and the client with everything it does (affinity, breaker, modes, thoughts split off,
usage counted). They take turns, call by call, so that what else this machine does falls on both alike.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import orjson
from aiohttp import web
from rich.console import Console
from rich.table import Table

from concilium.contracts.config import EngineConfig
from concilium.contracts.modes import parse_models
from concilium.engine import Chat, EngineClient
from concilium.home import shipped

CHAT = Chat([{"role": "system", "content": "Be kind. " * 100}, {"role": "user", "content": "Hello"}], mode="dialogue")
BODY = {"model": "m", "messages": list(CHAT.messages), "max_tokens": 2048, "temperature": 0.7}
AIM_MS = 1.0
ROOT = Path(__file__).resolve().parents[1]

Call = Callable[[], Awaitable[object]]


async def serve(tokens: int) -> None:
    """Be the engine: print the port, answer at once."""
    words = ["word "] * tokens
    message = {"choices": [{"message": {"content": "".join(words)}, "finish_reason": "stop"}]}
    whole = orjson.dumps(message | {"usage": {"prompt_tokens": 1, "completion_tokens": tokens}})
    chunks = [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in words]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events = [b"data: " + orjson.dumps(value) + b"\n\n" for value in [*chunks, last]] + [b"data: [DONE]\n\n"]

    async def chat(request: web.Request) -> web.StreamResponse:
        if not orjson.loads(await request.read()).get("stream"):
            return web.Response(body=whole, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(event)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def engine(tokens: int) -> AsyncIterator[str]:
    """Start the engine as a process; yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.engine_client", "--serve", "--tokens", str(tokens)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/v1"
    finally:
        process.kill()
        await process.wait()


async def measured(calls: int, **callers: Call) -> dict[str, list[float]]:
    """Return the milliseconds of each call, the callers taking turns."""
    found: dict[str, list[float]] = {name: [] for name in callers}
    for number in range(calls + 50):
        for name, call in callers.items():
            began = time.perf_counter()
            await call()
            if number >= 50:  # the first ones open connections and fill caches
                found[name].append((time.perf_counter() - began) * 1e3)
    return found


async def run(calls: int, tokens: int) -> Table:
    """Measure, and return the table."""
    models = parse_models((shipped("configs") / "models.yaml").read_text(encoding="utf-8"))
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(engine(tokens))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = await stack.enter_async_context(EngineClient(EngineConfig(url=url, model="m"), models))
        whole = await measured(calls, raw=lambda: raw_whole(session, url), ours=lambda: client.complete(CHAT))
        streamed = await measured(calls // 4, raw=lambda: raw_stream(session, url), ours=lambda: stream(client))
    table = Table("answer", "caller", "p50 ms", "p95 ms", "p99 ms", title=f"{calls} calls, {tokens} tokens an answer")
    for answer, found in (("whole", whole), ("streamed", streamed)):
        for name, times in found.items():
            table.add_row(answer, name, *(f"{percentile(times, p):.2f}" for p in (50, 95, 99)))
        added = percentile(found["ours"], 50) - percentile(found["raw"], 50)
        verdict = f"aim < {AIM_MS:g}: {'met' if added < AIM_MS else 'missed'}" if answer == "whole" else ""
        table.add_row(answer, "added", f"{added:.2f}", "", verdict, style="bold", end_section=True)
    return table


async def raw_whole(session: aiohttp.ClientSession, url: str) -> object:
    """Ask as one would without a client."""
    async with session.post(url + "/chat/completions", data=orjson.dumps(BODY)) as answer:
        return orjson.loads(await answer.read())["choices"][0]["message"]["content"]


async def raw_stream(session: aiohttp.ClientSession, url: str) -> object:
    """Read a stream line by line, and each event as JSON."""
    text = ""
    async with session.post(url + "/chat/completions", data=orjson.dumps(BODY | {"stream": True})) as answer:
        async for line in answer.content:
            if line.startswith(b"data: {"):
                text += orjson.loads(line[6:])["choices"][0]["delta"].get("content", "")
    return text


async def stream(client: EngineClient) -> object:
    """Read a stream of the client."""
    async with client.stream(CHAT) as coming:
        return "".join([delta.content async for delta in coming])


def percentile(times: Sequence[float], p: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(times, n=100)[p - 1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.tokens))
    Console().print(asyncio.run(run(options.calls, options.tokens)))


if __name__ == "__main__":
    main()
