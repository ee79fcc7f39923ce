"""How far an engine has loaded its model, and whoever waits for that.

An engine with a ``/ready`` says so itself, as the embedded one does. vLLM listens only once its model is loaded; what
is known before that is what it logs, so ``concilium engine run`` reads the log along and keeps the share in a file.
"""

import asyncio
import contextlib
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

import aiohttp
from pydantic import ValidationError

from concilium.contracts.base import JSON, Model
from concilium.contracts.config import EngineConfig
from concilium.engine.errors import EngineError
from concilium.engine.messages import Message

OK, AWAY, NONE = "ok", "away", "none"
POLL_S = 1.0
"""How often an engine that is loading is looked at."""
ASK_S = 2.0
_SAID = re.compile(r"model loading, (\d{1,3}) ?%")
_STARTED = "Application startup complete"
ALMOST = 99
"""Percent that are said once all weights are read: the cache and the first run of the model follow."""
_SHARDS = re.compile(r"Loading .*?shards.*?:\s+(\d{1,3})% Completed")


class Loading(Model):
    """What ``concilium engine run`` knows of the engine it started."""

    pid: int
    percent: int


def percent_of(line: str) -> int | None:
    """Return the share of the weights that a line of vLLM's log tells; None for any other line."""
    found = _SHARDS.search(line)
    return min(100, int(found[1])) if found else None


def follow(output: IO[bytes], pid: int, place: Path, show: Callable[[str], None]) -> None:
    """Read vLLM's output to its end and keep in a file how far it has loaded; the file goes once it has.

    Args:
        output: what it writes.
        pid: its process.
        place: the file.
        show: is given each line.
    """
    keep(place, Loading(pid=pid, percent=0))
    try:
        for raw in output:
            for line in raw.decode("utf-8", "replace").rstrip("\r\n").split("\r"):
                show(line)
                percent = percent_of(line)
                if percent is not None:
                    keep(place, Loading(pid=pid, percent=min(percent, ALMOST)))
                elif _STARTED in line:
                    place.unlink(missing_ok=True)
    finally:
        place.unlink(missing_ok=True)


def keep(place: Path, loading: Loading) -> None:
    """Write how far it is, so that a reader finds the old or the new."""
    new = place.with_name(f".{place.name}.new")
    new.write_text(loading.model_dump_json(), encoding="utf-8")
    new.replace(place)


def kept(place: Path) -> int | None:
    """Return how far the engine of this home is; None when none is loading."""
    try:
        found = Loading.model_validate_json(place.read_bytes())
        os.kill(found.pid, 0)
    except (OSError, ValidationError):
        return None
    return found.percent


class Watch:
    """Looks at an engine from outside."""

    def __init__(self, config: EngineConfig, progress: Path) -> None:
        """Prepare.

        Args:
            config: where the engine is.
            progress: the file that ``concilium engine run`` keeps.
        """
        self._config = config
        self._progress = progress
        self._seen = NONE, -math.inf

    async def word(self) -> str:
        """Return ``none`` (not configured), ``ok``, ``model loading, 40 %`` or ``away``; of replicas, the best.

        It may be as old as `POLL_S`: whoever asks often does not ask the engine each time.
        """
        word, until = self._seen
        if time.monotonic() > until:
            word = await self._look()
            self._seen = word, time.monotonic() + POLL_S
        return word

    async def loading(self) -> bool:
        """Whether the engine is known to be loading now: it will answer, but not yet."""
        return (await self._look()).startswith("model loading")

    async def _look(self) -> str:
        urls = self._config.urls
        if not urls:
            return NONE
        timeout = aiohttp.ClientTimeout(total=ASK_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers()) as session:
            words = await asyncio.gather(*(self._of(session, url.removesuffix("/v1")) for url in urls))
        loading = sorted((word for word in words if word not in (OK, AWAY)), key=_percent)
        if OK in words:
            return OK
        here = kept(self._progress)
        if here is not None:
            loading.append(_word(here))
        return max(loading, key=_percent, default=AWAY)

    async def _of(self, session: aiohttp.ClientSession, base: str) -> str:
        """Return the word of one replica; one without ``/ready`` is asked for its ``/health``."""
        try:
            async with session.get(f"{base}/ready", allow_redirects=False) as answer:
                if answer.status == 200:
                    return OK
                said = _SAID.search((await answer.content.read(4096)).decode("utf-8", "replace"))
                if said:
                    return _word(min(100, int(said[1])))
            async with session.get(f"{base}/health", allow_redirects=False) as answer:
                return OK if answer.status == 200 else AWAY
        except (aiohttp.ClientError, TimeoutError, OSError):
            return AWAY

    def _headers(self) -> dict[str, str]:
        if not self._config.api_key_file:
            return {}
        with contextlib.suppress(OSError, UnicodeDecodeError):
            key = Path(self._config.api_key_file).expanduser().read_text(encoding="ascii").strip()
            return {"Authorization": f"Bearer {key}"}
        return {}


def _word(percent: int) -> str:
    return f"model loading, {percent} %"


def _percent(word: str) -> int:
    found = _SAID.search(word)
    return int(found[1]) if found else 0


class Engine(Protocol):
    """What is waited for; `EngineClient` is one."""

    async def chat(
        self, messages: Sequence[Message], *, schema: dict[str, JSON] | None = None, max_tokens: int, purpose: str = ""
    ) -> str:
        """Return the model's answer. Raises `EngineError`."""


class Patient:
    """An engine that is waited for while it is known to load; what is asked of it meanwhile waits.

    An engine that is away is not waited for: that is for the caller to deal with.
    """

    def __init__(self, engine: Engine, watch: Watch) -> None:
        self._engine = engine
        self._watch = watch
        self._loads = False

    async def chat(
        self, messages: Sequence[Message], *, schema: dict[str, JSON] | None = None, max_tokens: int, purpose: str = ""
    ) -> str:
        """Return the model's answer, as `EngineClient.chat`. Raises `EngineError`."""
        while True:
            await self._until_loaded()
            try:
                return await self._engine.chat(messages, schema=schema, max_tokens=max_tokens, purpose=purpose)
            except EngineError:
                self._loads = await self._watch.loading()
                if not self._loads:
                    raise

    async def _until_loaded(self) -> None:
        while self._loads:
            await asyncio.sleep(POLL_S)
            self._loads = await self._watch.loading()
