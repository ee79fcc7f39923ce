"""Which files of a model are fetched: safetensors, the tokenizer's and the configuration's, each with its SHA-256.

Two layouts are known: a hub's (``/api/models/…/tree``, ``/…/resolve/…``, as Hugging Face and its mirrors have it) and a
plain folder with a list ``SHA256SUMS`` as ``sha256sum`` writes it.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid

SUMS = "SHA256SUMS"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,199}")
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_WEIGHTS = ".safetensors"
_KEPT = (_WEIGHTS, ".json", ".jinja", ".txt", ".model", ".md", "LICENSE")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".msgpack", ".tar")
_FILES_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to fetch."""

    name: str
    url: str
    size: int | None = None
    """Bytes; None: the server is asked."""
    sha256: str = ""
    git_sha1: str = ""
    """The name git has for its content, where the hub lists no SHA-256 (small files)."""

    def digest(self) -> "Digest":
        """Return what its bytes are put into."""
        return Digest(self)


class Digest:
    """Compares what came with what was listed."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._sha256 = hashlib.sha256()
        # Git's own name of a content (gitformat-pack): not a protection, but all that a hub lists of its small files.
        self._git = hashlib.sha1(b"blob %d\0" % (entry.size or 0), usedforsecurity=False)

    def update(self, data: bytes) -> None:
        self._sha256.update(data)
        if self._entry.git_sha1:
            self._git.update(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def right(self) -> bool:
        """Whether the bytes are those that were listed."""
        if self._entry.sha256:
            return self.sha256 == self._entry.sha256
        return self._git.hexdigest() == self._entry.git_sha1


def from_tree(body: bytes, base: str) -> list[Entry]:
    """Return the files in a hub's answer to ``/api/models/<repository>/tree/<commit>``.

    Args:
        body: the answer.
        base: where the files are, with a slash at the end.

    Raises:
        Invalid: the answer is no such list.
    """
    try:
        listed: JSON = orjson.loads(body)
        if not isinstance(listed, list):
            raise TypeError("no list")
        found = [_hub_entry(item, base) for item in listed if item["type"] == "file"]
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise Invalid(f"the hub's list of files cannot be read ({type(error).__name__})") from error
    return found


def _hub_entry(item: JSON, base: str) -> Entry:
    lfs = item.get("lfs") or {}
    size = lfs.get("size", item["size"])
    if type(size) is not int or size < 0:
        raise TypeError("size")
    return Entry(str(item["path"]), base + str(item["path"]), size, str(lfs.get("oid", "")), str(item["oid"]))


def from_sums(text: str, base: str) -> list[Entry]:
    """Return the files in a list ``SHA256SUMS``. Raises `Invalid` for a line that is none of its."""
    found = []
    for line in filter(None, text.splitlines()):
        made = _SUM.fullmatch(line)
        if made is None:
            raise Invalid(f"{SUMS}: a line is not '<sha256>  <name>'")
        found.append(Entry(made[2], base + made[2], sha256=made[1]))
    return found


def choose(listed: Iterable[Entry]) -> tuple[list[Entry], list[str]]:
    """Return the files to fetch and the names of those left out.

    Raises:
        Invalid: the weights are a pickle, or there are none; a name leads out of the folder; there are too many.
    """
    entries = list(listed)
    if len(entries) > _FILES_MAX:
        raise Invalid(f"{len(entries)} files are listed, more than {_FILES_MAX}")
    if len({entry.name for entry in entries}) < len(entries):
        raise Invalid("a file is listed twice")
    if any(".." in entry.name.split("/") or entry.name.startswith("/") for entry in entries):
        raise Invalid("a listed name leads out of its folder")
    kept = [entry for entry in entries if _NAME.fullmatch(entry.name) and entry.name.endswith(_KEPT)]
    if not any(entry.name.endswith(_WEIGHTS) for entry in kept):
        pickles = [entry.name for entry in entries if entry.name.endswith(_PICKLES)]
        held = f"; {', '.join(pickles[:3])} may run code when it is read and is not taken" if pickles else ""
        raise Invalid(f"there are no weights as safetensors{held}")
    return kept, [entry.name for entry in entries if entry not in kept]
