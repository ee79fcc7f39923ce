"""What the server refuses, in the form of OpenAI's error object."""

from typing import Any

_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    500: "server_error",
    503: "overloaded_error",
}


class Refusal(Exception):
    """A request that is not served.

    Attributes:
        status: of HTTP.
        code: a stable word for programs.
        param: the field of the request that is at fault.
        retry_after_s: when to ask again; None: asking again brings the same.
    """

    def __init__(
        self, status: int, message: str, code: str, *, param: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """Return OpenAI's error object."""
        kind = _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to it."""
        found = {}
        if self.retry_after_s is not None:
            found["Retry-After"] = str(self.retry_after_s)
        if self.status == 401:
            found["WWW-Authenticate"] = "Bearer"
        return found


class Unserved(Exception):
    """A model that cannot be served here; the text says why."""


def invalid(message: str, code: str = "invalid_value", param: str | None = None) -> Refusal:
    """Return a refusal of what was asked."""
    return Refusal(400, message, code, param=param)
