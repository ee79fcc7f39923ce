"""Reading files from where the owner points to: https, http, or a folder, with redirects that are judged."""

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp

from concilium.contracts.errors import Invalid, Unavailable

REDIRECTS = 5
CHUNK = 1 << 20
LIST_BYTES = 16 << 20
"""Largest list of files that is read."""
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)

Judge = Callable[[str], Awaitable[None]]
"""Raises `Invalid` for a URL that a redirect may not lead to."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it comes."""

    start: int
    """Where its bytes begin: 0, although others were asked for, when the server gives no ranges or it has changed."""
    total: int | None
    """Bytes of the whole file, as the server says."""
    etag: str
    """Names this content exactly; empty when the server has no such name for it."""
    chunks: AsyncIterator[bytes]


class Remote:
    """Opens URLs in one session."""

    def __init__(self, session: aiohttp.ClientSession, judge: Judge) -> None:
        self._session = session
        self._judge = judge

    async def read(self, url: str) -> bytes:
        """Return a small file whole. Raises as `open`, and `Invalid` when it is large."""
        found = bytearray()
        async with self.open(url) as content:
            async for chunk in content.chunks:
                found += chunk
                if len(found) > LIST_BYTES:
                    raise Invalid(f"{_plain(url)} is larger than {LIST_BYTES} bytes")
        return bytes(found)

    async def size(self, url: str) -> int:
        """Return how large a file says it is. Raises as `open`, and `Invalid` when it does not say."""
        async with self.open(url, method="HEAD") as content:
            if content.total is None:
                raise Invalid(f"{_plain(url)} does not say how large it is, so whether it fits the disk is unknown")
            return content.total

    @contextlib.asynccontextmanager
    async def open(self, url: str, start: int = 0, etag: str = "", method: str = "GET") -> AsyncIterator[Content]:
        """Open a file from a byte on, if it still is the one that ``etag`` names.

        Raises:
            Invalid: it is not there, or a redirect leads where it may not.
            Unavailable: the connection failed or the server is in trouble; later it may do.
        """
        if urlsplit(url).scheme == "file":
            yield _local(Path(unquote(urlsplit(url).path)), start)
            return
        headers = {"Accept-Encoding": "identity"}
        if start and etag:
            headers |= {"Range": f"bytes={start}-", "If-Range": etag}
        try:
            async with contextlib.AsyncExitStack() as stack:
                response = await self._followed(stack, method, url, headers)
                yield _content(response, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{_plain(url)}: the connection failed ({type(error).__name__})") from error

    async def _followed(
        self, stack: contextlib.AsyncExitStack, method: str, url: str, headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        for _ in range(REDIRECTS + 1):
            asked = self._session.request(method, url, headers=headers, allow_redirects=False, timeout=_TIMEOUT)
            response = await stack.enter_async_context(asked)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            target = urljoin(url, response.headers.get("Location", ""))
            if urlsplit(url).scheme == "https" != urlsplit(target).scheme:
                raise Invalid(f"{_plain(url)} leads away from https")
            await self._judge(target)
            url = target
        raise Invalid(f"{_plain(url)}: more than {REDIRECTS} redirects")


def _content(response: aiohttp.ClientResponse, url: str) -> Content:
    if response.status in (429, 500, 502, 503, 504):
        raise Unavailable(f"{_plain(url)}: HTTP {response.status}")
    if response.status not in (200, 206):
        raise Invalid(f"{_plain(url)}: HTTP {response.status}")
    etag = response.headers.get("ETag", "")
    strong = "" if etag.startswith("W/") else etag
    chunks = response.content.iter_chunked(CHUNK)
    if response.status == 200:
        return Content(0, response.content_length, strong, chunks)
    part = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if part is None:
        raise Invalid(f"{_plain(url)} sends a part and does not say which")
    return Content(int(part[1]), int(part[2]), strong, chunks)


def _local(path: Path, start: int) -> Content:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from error
    return Content(start, size, "", _blocks(path, start))


async def _blocks(path: Path, start: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(CHUNK):
            yield block


def _plain(url: str) -> str:
    """Return a URL without its query, where tokens of signed addresses are."""
    return url.partition("?")[0]
