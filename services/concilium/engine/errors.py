"""What may go wrong with an engine."""

import re
from typing import Literal

Kind = Literal["unreachable", "timeout", "refused", "garbage", "stream_interrupted"]
_BUSY = (429, 503)
_NOT_HERE = 404
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class EngineError(Exception):
    """The engine gave nothing that can be used. The text holds no secret and nothing that was sent or received.

    Attributes:
        kind: ``unreachable`` (no connection, or it broke), ``timeout``, ``refused`` (an HTTP status other than 200, or
            no key to show), ``garbage`` (too large, or no chat completion), or ``stream_interrupted`` (any of these
            after a part of the answer was handed out: the text says which, and only the caller can begin again).
        status: the HTTP status of a refusal.
    """

    def __init__(self, kind: Kind, detail: str, status: int | None = None) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.status = status

    @property
    def elsewhere(self) -> bool:
        """Whether another replica may do better: this one broke, is busy, or does not know the model yet."""
        if self.kind == "refused":
            return self.status is not None and (self.status >= 500 or self.status in (*_BUSY, _NOT_HERE))
        return self.kind != "stream_interrupted"

    @property
    def broke(self) -> bool:
        """Whether this speaks against the replica; to be busy does not."""
        if self.kind == "refused":
            return self.status is not None and self.status >= 500 and self.status not in _BUSY
        return True


def is_code(text: str) -> bool:
    """Whether a text of a server is a plain word that may be shown; anything else may quote the request or a key."""
    return _CODE.fullmatch(text) is not None
