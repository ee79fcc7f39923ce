"""An engine with vLLM's admin surface and log-probabilities, without a model, that misbehaves on command.

It knows the truth from the bundles themselves: under an adapter a stored continuation has the log-probabilities of the
bundle's report, under the base those of the base.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from concilium.contracts.adapter_terms import ReplicaTerms
from concilium.contracts.adapters import REPORT, Probe, VerifyReport

BASE = "tiny"
SECRET = "engine-secret"


@dataclass
class LoraEngine:
    """One replica. Attributes may be changed while it runs."""

    secret_file: Path
    store: Path
    url: str = ""
    slots: int = 8
    loaded: dict[str, Probe | None] = field(default_factory=dict)
    """By served name; None: it says that it has loaded it, and answers as the base."""
    asked: list[str] = field(default_factory=list)
    """Every call, in order: ``load sport@…``."""
    silently_base: bool = False
    """Adapters are loaded and not applied."""
    swallow_missing: bool = False
    """A path where nothing is counts as loaded."""
    dead_inside: bool = False
    """``/health`` and ``/v1/models`` answer, completions do not."""
    overloaded: bool = False
    """Completions are turned away."""
    lose_answers: int = 0
    """This many loads are done, but their answer is cut."""
    wrong_adapter: bool = False
    """Every adapter answers as another would."""
    noise: float = 0.0
    """What every log-probability is off by."""
    refuse_loads: bool = False
    loads_wait: asyncio.Event | None = None
    """Loads are not done before it is set."""
    most: int = 0
    """The most adapters that were ever loaded at once."""

    def restart(self) -> None:
        """Forget everything, as a process does that was killed and started again."""
        self.loaded.clear()

    def terms(self, **changes: Any) -> ReplicaTerms:
        """Return how it is reached."""
        known = {"url": self.url, "secret_file": str(self.secret_file), "store": str(self.store), "model": BASE}
        return ReplicaTerms.model_validate({**known, "slots": self.slots, **changes})

    async def models(self, request: web.Request) -> web.Response:
        cards = [{"id": BASE, "object": "model", "root": "/models/tiny", "parent": None}]
        cards += [{"id": name, "object": "model", "root": "?", "parent": BASE} for name in self.loaded]
        return web.json_response({"object": "list", "data": cards})

    async def load(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name, path = body["lora_name"], Path(body["lora_path"])
        self.asked.append(f"load {name}")
        if self.loads_wait is not None:
            await self.loads_wait.wait()
        if self.refuse_loads:
            return _error(400, "no room")
        if name in self.loaded:
            return _error(400, f"The lora adapter '{name}' has already been loaded.")
        if not (path / REPORT).is_file():
            if not self.swallow_missing:
                return _error(404, f"No adapter found for {path}")
            self.loaded[name] = None
        else:
            probe = VerifyReport.model_validate_json((path / REPORT).read_bytes()).probe
            self.loaded[name] = None if self.silently_base else probe
        self.most = max(self.most, len(self.loaded))
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def unload(self, request: web.Request) -> web.Response:
        name = (await request.json())["lora_name"]
        self.asked.append(f"unload {name}")
        if name not in self.loaded:
            return _error(404, f"The lora adapter '{name}' cannot be found.")
        del self.loaded[name]
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    async def complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.overloaded:
            return _error(503, "too much to do")
        if self.dead_inside:
            return _error(500, "EngineDeadError")
        model, tokens = body["model"], body["prompt"]
        if model != BASE and model not in self.loaded:
            return _error(404, f"The model `{model}` does not exist.")
        scores: list[Any] = [None]
        for at in range(1, len(tokens)):
            other = {"logprob": -0.01, "rank": 1, "decoded_token": "?"}
            own = {"logprob": self._score(model, tokens, at), "rank": 2, "decoded_token": "?"}
            scores.append({"99": other, str(tokens[at]): own})
        return web.json_response({"choices": [{"index": 0, "text": "x", "prompt_logprobs": scores}]})

    def _score(self, model: str, tokens: list[int], at: int) -> float:
        probe = self.loaded.get(model)
        known = probe or self._truth(tokens)
        place = at - (len(tokens) - len(known.continuation))
        if place < 0:
            return -3.0
        found = known.base[place] if probe is None else known.adapter[place]
        return found + self.noise - (0.4 if probe is not None and self.wrong_adapter else 0)

    def _truth(self, tokens: list[int]) -> Probe:
        for path in self.store.glob(f"*/{REPORT}"):
            probe = VerifyReport.model_validate_json(path.read_bytes()).probe
            if probe is not None and [*probe.prompt, *probe.continuation] == tokens:
                return probe
        raise AssertionError("no bundle has this continuation")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "BadRequestError", "code": status}}, status=status)


@web.middleware
async def _guarded(request: web.Request, handler: Any) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {SECRET}":
        return _error(401, "Unauthorized")
    found: web.StreamResponse = await handler(request)
    return found


def _secret(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "engine.key"
    path.write_text(SECRET + "\n")
    return path


@asynccontextmanager
async def lora_engine(folder: Path, store: Path) -> AsyncIterator[LoraEngine]:
    """Serve an engine on loopback."""
    engine = LoraEngine(_secret(folder), store)
    app = web.Application(middlewares=[_guarded])
    app.router.add_get("/v1/models", engine.models)
    app.router.add_post("/v1/load_lora_adapter", engine.load)
    app.router.add_post("/v1/unload_lora_adapter", engine.unload)
    app.router.add_post("/v1/completions", engine.complete)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield engine
    finally:
        await asyncio.shield(runner.cleanup())
