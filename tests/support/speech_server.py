"""A real HTTP server that speaks OpenAI's ``/audio/speech`` and ``/audio/voices``, with espeak-ng as its voice."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from concilium.contracts.config import EngineConfig

Speech = Callable[[str], Awaitable[bytes]]
"""Text in, an audio file out."""


@dataclass
class SpeechServer:
    """What it was asked, and what it does beside speaking."""

    speech: Speech
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the calls for speech."""
    made: list[dict[str, Any]] = field(default_factory=list)
    """Forms of the calls for a voice."""
    answer: bytes | None = None
    """Sent in the place of speech."""
    status: int = 200
    makes_voices: bool = True

    def config(self, **values: Any) -> EngineConfig:
        return EngineConfig(**{"url": self.url, "model": "test-voice", "timeout_s": 10.0, **values})

    async def say(self, request: web.Request) -> web.Response:
        """Speak, as OpenAI's API reference describes it."""
        body = await request.json()
        assert set(body) == {"model", "input", "voice", "speed", "response_format"}
        assert isinstance(body["voice"], str) or set(body["voice"]) == {"id"}
        self.asked.append(body)
        if self.status != 200:
            return web.json_response({"error": {"code": "no_such_voice", "message": "x"}}, status=self.status)
        audio = await self.speech(body["input"]) if self.answer is None else self.answer
        return web.Response(body=audio, content_type="audio/wav")

    async def make(self, request: web.Request) -> web.Response:
        """Make a voice of a recording."""
        if not self.makes_voices:
            return web.json_response({"error": {"code": "not_found"}}, status=404)
        form = await request.post()
        sample = form["audio_sample"]
        assert isinstance(sample, web.FileField)
        self.made.append({"name": form["name"], "consent": form["consent"], "sample": sample.file.read()})
        return web.json_response({"object": "audio.voice", "id": "voice_42", "name": form["name"], "created_at": 0})


@contextlib.asynccontextmanager
async def running_speech_server(speech: Speech) -> AsyncIterator[SpeechServer]:
    """Serve on a free loopback port."""
    server = SpeechServer(speech)
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/audio/speech", server.say)
    app.router.add_post("/v1/audio/voices", server.make)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()
