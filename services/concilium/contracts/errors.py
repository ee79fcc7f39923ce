"""Errors with a stable type: what was wrong and what to do.

Each surface speaks its own dialect of them: RFC 9457 problem details on ``/v1``, Google-style errors on A2A.
"""

from typing import ClassVar


class ConciliumError(Exception):
    """A refusal that a caller can act on.

    Attributes:
        type: stable slug; the last path segment of the problem's ``type`` URI.
        title: short summary, the same for every occurrence of the type.
        status: HTTP status.
        detail: what was wrong this time and what to do.
        extra: further members of the problem (RFC 9457 section 3.2).
    """

    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class BadRequest(ConciliumError):
    type, title, status = "bad-request", "The request cannot be understood", 400


class Unauthorized(ConciliumError):
    type, title, status = "unauthorized", "A valid API key is needed", 401


class Forbidden(ConciliumError):
    type, title, status = "forbidden", "The key lacks the scope", 403


class NotFound(ConciliumError):
    type, title, status = "not-found", "No such thing, or not yours", 404


class Conflict(ConciliumError):
    type, title, status = "conflict", "The state of the thing forbids this", 409


class IdempotencyConflict(ConciliumError):
    type, title, status = "idempotency-conflict", "The Idempotency-Key was used for another request", 422


class StaleLease(ConciliumError):
    type, title, status = "stale-lease", "The lease is no longer held", 409


class IllegalTransition(ConciliumError):
    type, title, status = "illegal-transition", "The state does not allow this", 409


class TooLarge(ConciliumError):
    type, title, status = "too-large", "A limit on size was exceeded", 413


class UnsupportedMedia(ConciliumError):
    type, title, status = "unsupported-media-type", "The media type is not accepted", 415


class Invalid(ConciliumError):
    type, title, status = "invalid", "The request is well formed but invalid", 422


class InvalidPlan(Invalid):
    type, title = "invalid-plan", "The plan cannot be carried out"


class PlacementRefused(Invalid):
    type, title = "placement-refused", "No node may do this work"


class RateLimited(ConciliumError):
    type, title, status = "rate-limited", "Too many requests for this key", 429


class BudgetExhausted(ConciliumError):
    type, title, status = "budget-exhausted", "The budget takes no such work this month", 429


class Unavailable(ConciliumError):
    type, title, status = "unavailable", "The service cannot take this now", 503


class DiskFull(Unavailable):
    """503 and not 507: with ``Retry-After``, since new tasks are taken again as soon as there is room."""

    type, title = "disk-full", "There is no room for new tasks"
