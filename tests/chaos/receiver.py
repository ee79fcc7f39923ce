"""Who receives the callbacks: a real HTTP server in the checker's process that verifies every signature."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Self

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from chaos.evidence import Received

REFUSE_EVERY = 20
"""Every so many messages the first delivery is answered 503, so that callbacks are seen to be tried again."""


class Receiver:
    """Takes callbacks on a port of this machine's loopback, or of another of its addresses."""

    def __init__(self, port: int, secret_file: Path, host: str = "127.0.0.1") -> None:
        self.url = f"http://{host}:{port}/callback"
        self.received: list[Received] = []
        self.told: Callable[[], None] = lambda: None
        """Called after each callback."""
        self._host, self._port = host, port
        self._secret_file = secret_file
        self._seen: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/callback", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def ended(self) -> set[str]:
        """Return the tasks whose end was told and taken."""
        ends = {"completed", "failed", "canceled", "rejected"}
        return {callback.task_id for callback in self.received if callback.taken and callback.state in ends}

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.text()
        data = json.loads(body)
        message = request.headers.get("webhook-id", "")
        refuse = message not in self._seen and len(self._seen) % REFUSE_EVERY == REFUSE_EVERY - 1
        self._seen.add(message)
        task = data["data"]
        valid = self._valid(body, dict(request.headers))
        self.received.append(Received(message, data["type"], task["id"], task["state"], valid, taken=not refuse))
        self.told()
        return web.Response(status=503 if refuse else 204)

    def _valid(self, body: str, headers: dict[str, str]) -> bool:
        secret = self._secret_file.read_text(encoding="ascii").strip()
        try:
            Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        except WebhookVerificationError:
            return False
        return True
