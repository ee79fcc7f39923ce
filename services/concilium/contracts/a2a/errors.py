"""Our refusals as A2A errors (Google-style JSON with ErrorInfo), and an agent's refusal as a `Problem`.

The SDK maps an error's exact class to a status and a reason. A2A 1.0 names no error for a conflict, a size or a
rate, so those are added here to the SDK's table with the ``google.rpc.Code`` of their HTTP status; a refused fence is
``ABORTED`` (409), the code google.rpc reserves for sequencer checks and concurrency conflicts.
"""

from typing import Final

import orjson
from a2a.utils import errors as sdk
from a2a.utils.error_handlers import build_rest_error_payload

from concilium.contracts.base import JSON
from concilium.contracts.errors import ConciliumError, StaleLease, UnsupportedMedia
from concilium.contracts.task import Problem


class StaleFenceError(sdk.A2AError):
    """A lower fence, or a lower attempt, than the agent has seen for this step."""


class ConflictError(sdk.A2AError):
    """The state of the thing forbids this."""


class TooLargeError(sdk.A2AError):
    """A limit on size was exceeded."""


class UnauthenticatedError(sdk.A2AError):
    """A valid key is needed."""


class PermissionDeniedError(sdk.A2AError):
    """The key lacks the scope."""


class BodyTimeoutError(sdk.A2AError):
    """The body did not arrive in time."""


class RateLimitedError(sdk.A2AError):
    """Too many requests for this key."""


class UnavailableError(sdk.A2AError):
    """The service cannot take this now."""


_ADDED: Final[dict[type[sdk.A2AError], sdk.ErrorMapping]] = {
    StaleFenceError: sdk.ErrorMapping(409, "ABORTED", "STALE_FENCE"),
    ConflictError: sdk.ErrorMapping(409, "ABORTED", "CONFLICT"),
    TooLargeError: sdk.ErrorMapping(413, "OUT_OF_RANGE", "TOO_LARGE"),
    UnauthenticatedError: sdk.ErrorMapping(401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
    PermissionDeniedError: sdk.ErrorMapping(403, "PERMISSION_DENIED", "PERMISSION_DENIED"),
    BodyTimeoutError: sdk.ErrorMapping(408, "DEADLINE_EXCEEDED", "BODY_TIMEOUT"),
    RateLimitedError: sdk.ErrorMapping(429, "RESOURCE_EXHAUSTED", "RATE_LIMITED"),
    UnavailableError: sdk.ErrorMapping(503, "UNAVAILABLE", "UNAVAILABLE"),
}
sdk.A2A_ERROR_MAPPING.update(_ADDED)
sdk.A2A_ERROR_REASONS.update({error: mapping.reason for error, mapping in _ADDED.items()})

_BY_TYPE: Final[tuple[tuple[type[ConciliumError], type[sdk.A2AError]], ...]] = (
    (StaleLease, StaleFenceError),
    (UnsupportedMedia, sdk.ContentTypeNotSupportedError),
)
_BY_STATUS: Final[dict[int, type[sdk.A2AError]]] = {
    400: sdk.InvalidRequestError,
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: sdk.TaskNotFoundError,
    408: BodyTimeoutError,
    409: ConflictError,
    413: TooLargeError,
    422: sdk.InvalidParamsError,
    429: RateLimitedError,
    503: UnavailableError,
}

_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


def to_a2a(error: ConciliumError) -> sdk.A2AError:
    """Return the A2A error that says the same."""
    for ours, theirs in _BY_TYPE:
        if isinstance(error, ours):
            return theirs(error.detail, {"type": error.type})
    known = _BY_STATUS.get(error.status)
    return sdk.InternalError() if known is None else known(error.detail, {"type": error.type})


def refusal(error: ConciliumError) -> tuple[int, bytes]:
    """Return status and body of a refusal made before the SDK's routes."""
    payload = build_rest_error_payload(to_a2a(error))
    return int(payload["error"]["code"]), orjson.dumps(payload)


def read_error(status: int, body: bytes) -> Problem:
    """Return an agent's HTTP refusal as a problem; its type is the reason in lower case with dashes.

    Retryable are 408, 425, 429 and 5xx except 501.
    """
    reason, message = f"http-{status}", body[:500].decode(errors="replace")
    try:
        error: JSON = orjson.loads(body)["error"]
        message = str(error["message"])[:2000]
        reason = next((str(d["reason"]) for d in error.get("details", ()) if "reason" in d), reason)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        pass
    return Problem(type=reason.lower().replace("_", "-")[:64], detail=message, retryable=status in _RETRYABLE)
