"""What was decided, for the record: every use and every denial of a private view, without a word of the request."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from concilium.adapters.guard.paradigm import Decision, Language, Mode, Request, View
from concilium.contracts.base import Model

SALT_BYTES = 16
"""The shortest salt taken."""


class ParadigmEvent(Model):
    """A private view was used, or kept from speaking."""

    kind: Literal["paradigm"] = "paradigm"
    outcome: Literal["used", "denied"]
    at: AwareDatetime
    adapter: str = Field(min_length=1, max_length=255)
    """The adapter in question, with its version."""
    paradigm: str
    mode: Mode
    view: View
    reasons: tuple[str, ...] = Field(min_length=1)
    language: Language
    key_id: str
    task_id: str | None
    """None: plain chat, which is no task."""
    request_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """HMAC-SHA-256 (RFC 2104) of the request's text under the installation's salt: tells repeats, not words."""
    request_chars: int = Field(ge=0)
    history_turns: int = Field(ge=0)
    history_chars: int = Field(ge=0)


def audit_event(
    request: Request,
    history: Sequence[str],
    decision: Decision,
    *,
    at: datetime,
    adapter: str,
    mode: Mode,
    key_id: str,
    task_id: str | None,
    salt: bytes,
) -> ParadigmEvent:
    """Return the record of a decision.

    Args:
        request: what was decided about.
        history: the earlier turns the decision was made with.
        decision: the guard's.
        at: the ledger's time, aware.
        adapter: reference or served name of the adapter in question.
        mode: what the caller chose.
        key_id: the API key that asked.
        task_id: the task, if there is one.
        salt: the installation's secret for these hashes, at least `SALT_BYTES` long.

    Raises:
        ValueError: the salt is too short.
    """
    if len(salt) < SALT_BYTES:
        raise ValueError(f"the salt has {len(salt)} bytes; it needs {SALT_BYTES}")
    return ParadigmEvent(
        outcome="used" if decision.private else "denied",
        at=at,
        adapter=adapter,
        paradigm=decision.paradigm.id,
        mode=mode,
        view=decision.view,
        reasons=decision.reasons,
        language=decision.language,
        key_id=key_id,
        task_id=task_id,
        request_hash=hmac.new(salt, request.text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest(),
        request_chars=len(request.text),
        history_turns=len(history),
        history_chars=sum(map(len, history)),
    )
