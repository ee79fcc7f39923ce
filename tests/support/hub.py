"""A real server of files, as a hub or a plain folder, that misbehaves when a test asks for it."""

import asyncio
import contextlib
import hashlib
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

REPOSITORY = "Qwen/Qwen3-8B-AWQ"
COMMIT = "c0ffee" * 6 + "c0ff"


def safetensors(size: int) -> bytes:
    """Return a file of one tensor of that many bytes."""
    header = json.dumps({"t": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    body = bytes(at * 31 % 251 for at in range(min(size, 4096))) * (size // 4096 + 1)
    return struct.pack("<Q", len(header)) + header + body[:size]


def blob(data: bytes) -> str:
    """Return git's name of a content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


MOMENT_S = 0.2
"""How long a file behind the gate is held back, for those to come that should not."""


@dataclass
class Hub:
    """What is served, how it misbehaves, and what was asked."""

    files: dict[str, bytes]
    url: str = ""
    commit: str = COMMIT
    ranges: bool = True
    tagged: bool = True
    """It names contents (ETag)."""
    break_after: dict[str, list[int]] = field(default_factory=dict)
    """By file: after how many bytes each of the next answers breaks off."""
    listed_size: dict[str, int] = field(default_factory=dict)
    """By file: the size the list tells, where it lies."""
    longer: set[str] = field(default_factory=set)
    """Files that are followed by more, in an answer without a length."""
    redirects: dict[str, str] = field(default_factory=dict)
    """By file: where to."""
    busy: dict[str, int] = field(default_factory=dict)
    """By file: how many answers are a 503."""
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, file, first byte."""
    at_once: int = 0
    """Most files under way at one time."""
    gate: int = 0
    """No file is sent before this many were under way."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a file is asked for that breaks off."""
    _running: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def listing(self) -> list[dict[str, object]]:
        """Return the list of files as a hub tells it: large ones with a SHA-256, small ones as git names them."""
        found: list[dict[str, object]] = []
        for name, data in self.files.items():
            size = self.listed_size.get(name, len(data))
            entry: dict[str, object] = {"type": "file", "path": name, "size": size, "oid": blob(data)}
            if name.endswith(".safetensors"):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": size}
            found.append(entry)
        return found

    def sums(self) -> str:
        """Return the list of a plain folder."""
        return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in self.files.items())

    def starts(self, name: str) -> list[int]:
        """Return the first byte of each request for a file."""
        return [start for method, asked, start in self.asked if asked == name and method == "GET"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Send a file, a list, or trouble."""
        path = request.path
        if path == f"/api/models/{REPOSITORY}/revision/main":
            return web.json_response({"sha": self.commit})
        if path == f"/api/models/{REPOSITORY}/tree/{self.commit}":
            return web.json_response(self.listing())
        name = path.removeprefix(f"/{REPOSITORY}/resolve/{self.commit}/").removeprefix("/plain/").removeprefix("/")
        if name == "SHA256SUMS":
            return web.Response(text=self.sums())
        if name in self.redirects:
            return web.Response(status=302, headers={"Location": self.redirects[name]})
        if self.busy.get(name):
            self.busy[name] -= 1
            return web.Response(status=503)
        if name not in self.files:
            return web.Response(status=404)
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        if self._running >= self.gate:
            self._open.set()
        try:
            await self._open.wait()
            if self.gate:
                await asyncio.sleep(MOMENT_S)
            return await self._file(request, name)
        finally:
            self._running -= 1

    async def _file(self, request: web.Request, name: str) -> web.StreamResponse:
        data, tag = self.files[name], f'"{hashlib.md5(self.files[name], usedforsecurity=False).hexdigest()}"'
        start = (
            int(request.headers["Range"].removeprefix("bytes=").removesuffix("-")) if "Range" in request.headers else 0
        )
        if not self.ranges or request.headers.get("If-Range", tag) != tag:
            start = 0
        self.asked.append((request.method, name, start))
        response = web.StreamResponse(status=206 if start else 200)
        if self.tagged:
            response.headers["ETag"] = tag
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if name in self.longer:
            data += b"more" * 1000
        else:
            response.content_length = len(data) - start
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        breaks = self.break_after.get(name)
        end = min(len(data), start + breaks.pop(0)) if breaks else len(data)
        for at in range(start, end, 65_536):
            await response.write(data[at : min(end, at + 65_536)])
        if end < len(data):
            self.begun.set()
            assert request.transport is not None
            await asyncio.sleep(0)  # what was written goes out before the wire is cut
            request.transport.close()
        return response


@contextlib.asynccontextmanager
async def serving(hub: Hub) -> AsyncIterator[Hub]:
    """Serve on a free loopback port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hub.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        hub.url = f"http://127.0.0.1:{port}"
        yield hub
    finally:
        await runner.cleanup()
