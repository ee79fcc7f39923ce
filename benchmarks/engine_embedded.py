"""The embedded engine beside transformers' own ways: tokens/s of one small model made on the spot, on a CPU.

    .venv/bin/python -m benchmarks.engine_embedded [--tokens 96] [--threads N] [--cycles 500]

Rows: ``generate`` of one batch that all prompts join and leave together (no server); the embedded engine; the same with
four adapters mixed; ``transformers serve``; the same with its continuous batching. Servers are asked over HTTP with one
stream a prompt. Each figure is the best of some rounds, because other programs may run. Then adapters are loaded and
unloaded many times, and the memory before and after is shown.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from support.embedded.server import SECRET, EmbeddedServer, environ  # noqa: E402 - found through the path set above
from support.served_models import environment  # noqa: E402
from support.served_models.server import ModelServer  # noqa: E402

STREAMS = (1, 8, 32)
ROUNDS = 3
ADAPTERS = tuple(f"adapter-{at}" for at in range(4))
SLOWEST_S = 20.0
"""A round that takes longer is the only one of its kind."""
SETTLED = 0.05
"""Share by which memory may have grown after the cycles."""


def main() -> int:
    """Measure, print the table, return 1 when a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=96, help="of each answer")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch's")
    parser.add_argument("--cycles", type=int, default=500, help="adapters loaded and unloaded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as place:
        folder = Path(place)
        made = _static("model", str(folder))
        print(f"Qwen3, {made['weights'] / 1e6:.1f} million weights, float32, {options.threads} thread(s)", flush=True)
        table = _measure(folder, options.tokens, options.threads)
        missed = _report(table)
        missed += _cycles(folder, options.cycles, options.threads)
    return 1 if missed else 0


def _static(*arguments: str) -> Any:
    full = {**environ(), "PYTHONPATH": f"{environ()['PYTHONPATH']}:{ROOT}"}
    command = [str(environment.EMBEDDED.python()), "-m", "benchmarks.engine_static", *arguments]
    done = subprocess.run(command, env=full, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    return json.loads(done.stdout.splitlines()[-1])


def _measure(folder: Path, tokens: int, threads: int) -> dict[str, dict[int, float]]:
    model = folder / "bench"
    table: dict[str, dict[int, float]] = {}

    def keep(name: str, found: dict[int, float]) -> None:
        table[name] = found
        print(f"  {name}: " + ", ".join(f"{count}: {rate:.0f}" for count, rate in found.items()), flush=True)

    def static() -> dict[int, float]:
        found = _static("generate", str(model), str(threads), str(tokens), *map(str, STREAMS))
        return {int(count): rate for count, rate in found.items()}

    keep("generate", static())
    with _embedded(folder, threads) as server:
        keep("embedded", _rates(server.url, ("bench",), tokens))
        keep("embedded, 4 adapters", _rates(server.url, ADAPTERS, tokens))
    again = static()  # before and after, because what else runs on this machine changes
    keep("generate", {count: max(rate, again[count]) for count, rate in table["generate"].items()})
    for name, more in (("transformers serve", ()), ("its continuous batching", ("--continuous-batching",))):
        with _transformers(model, more) as url:
            keep(name, _rates(url, ("bench",), tokens))
    return table


@contextmanager
def _embedded(folder: Path, threads: int) -> Iterator[EmbeddedServer]:
    options = ("--slots", "32", "--context", "512", "--threads", str(threads))
    server = EmbeddedServer(folder / "bench", folder / "home", options).start()
    try:
        for name in ADAPTERS:
            assert server.load(name, folder / name)[0] == 200
        yield server
    finally:
        server.stop()


@contextmanager
def _transformers(model: Path, options: Sequence[str]) -> Iterator[str]:
    environment.MODELS.python()
    server = ModelServer(model, options=options)
    server.start()
    try:
        yield server.url.removesuffix("/v1")
    finally:
        server.close()


def _rates(url: str, models: Sequence[str], tokens: int) -> dict[int, float]:
    return asyncio.run(_rates_of(url, models, tokens))


async def _rates_of(url: str, models: Sequence[str], tokens: int) -> dict[int, float]:
    found = {}
    headers = {"Authorization": f"Bearer {SECRET}"}
    timeout = aiohttp.ClientTimeout(total=1800)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=2**20) as session:
        await _stream(session, url, models[0], 0, 8)
        for count in STREAMS:
            best = 0.0
            for _ in range(ROUNDS):
                began = time.perf_counter()
                streams = [_stream(session, url, models[at % len(models)], at, tokens) for at in range(count)]
                await asyncio.gather(*streams)
                spent = time.perf_counter() - began
                best = max(best, count * tokens / spent)
                if spent > SLOWEST_S:
                    break
            found[count] = best
    return found


async def _stream(session: aiohttp.ClientSession, url: str, model: str, at: int, tokens: int) -> None:
    """Read one chat to its end; it must have the length asked for."""
    text = f"stream {at}: the quick brown fox jumps over the lazy dog"
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "temperature": 0}
    reason = ""
    async with session.post(f"{url}/v1/chat/completions", json={**body, "stream": True}) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:]).get("choices")
                reason = (choices[0].get("finish_reason") if choices else None) or reason
    assert reason == "length", f"the answer ended by {reason or 'nothing'}"


def _report(table: dict[str, dict[int, float]]) -> int:
    """Print tokens/s and what the floors say; return how many are missed."""
    print(f"\n{'tokens/s at streams':<26}" + "".join(f"{count:>9}" for count in STREAMS))
    for name, rates in table.items():
        print(f"{name:<26}" + "".join(f"{rates[count]:>9.0f}" for count in STREAMS))
    static, plain, mixed = table["generate"], table["embedded"], table["embedded, 4 adapters"]
    floors: list[tuple[str, Callable[[], float], float]] = [
        ("embedded / generate at 8", lambda: plain[8] / static[8], 0.8),
        ("with 4 adapters / generate at 8", lambda: mixed[8] / static[8], 0.6),
    ]
    for name in ("transformers serve", "its continuous batching"):
        floors += [
            (f"embedded / {name} at {count}", lambda n=name, c=count: plain[c] / table[n][c], 1.0)  # type: ignore[misc]
            for count in STREAMS
        ]
    missed = 0
    print()
    for name, share, floor in floors:
        value = share()
        missed += value < floor
        print(f"{name:<48} {value:>7.2f}  (floor {floor:g}{', missed' if value < floor else ''})")
    return missed


def _cycles(folder: Path, cycles: int, threads: int) -> int:
    """Load and unload adapters; return 1 when the memory did not come back."""
    with _embedded(folder, threads) as server:
        assert server.process is not None
        process = psutil.Process(server.process.pid)
        for name in ADAPTERS:
            server.unload(name)
        _cycle(server, folder, 20)
        before = process.memory_info().rss
        began = time.perf_counter()
        _cycle(server, folder, cycles)
        spent = time.perf_counter() - began
        after = process.memory_info().rss
    grown = after / before - 1
    size = (folder / ADAPTERS[0] / "adapter_model.safetensors").stat().st_size
    print(
        f"\n{cycles} adapters of {size / 2**20:.1f} MiB loaded, asked, unloaded, {spent / cycles * 1000:.0f} ms each:"
        f" memory {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after ({grown:+.1%}, at most {SETTLED:.0%})"
    )
    return int(grown > SETTLED)


def _cycle(server: EmbeddedServer, folder: Path, times: int) -> None:
    for at in range(times):
        name = f"cycle-{at}"
        assert server.load(name, folder / ADAPTERS[at % len(ADAPTERS)])[0] == 200
        asked = {"model": name, "prompt": "fox", "max_tokens": 2, "temperature": 0}
        assert server.call("POST", "/v1/completions", asked)[0] == 200
        assert server.unload(name)[0] == 200


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
