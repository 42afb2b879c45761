"""What can go wrong with a request, as the caller has to tell it apart.

The HTTP library's own errors never leave this package, so that it can be exchanged. A server's words
are kept, but cut: a validation message can repeat large parts of an object.
"""

from collections.abc import Mapping
from typing import Any

MESSAGE_LIMIT = 1024  # characters; a 422 of a large job was seen to be tens of KiB long


class KubeError(Exception):
    """Any failure to get something done at an API server."""


class Unreachable(KubeError):
    """No usable answer came: the outcome of a write is unknown, and only a new read can tell."""


class ApiError(KubeError):
    """The API server answered, and it was a refusal.

    ``status`` is the HTTP code, ``reason`` the ``Status.reason`` ("AlreadyExists"; "" when the answer
    was no Status object), ``message`` the server's words, cut to 1024 characters, ``retry_after`` the
    seconds that the server asks to wait (None: it asked for nothing), ``request`` what was asked
    ("hub: GET /version").
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        *,
        retry_after: float | None = None,
        request: str = "",
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = message[:MESSAGE_LIMIT]
        self.retry_after = retry_after
        self.request = request
        super().__init__(status, reason)

    def __str__(self) -> str:
        outcome = f"{self.status} {self.reason}".rstrip()
        return ": ".join(part for part in (self.request, outcome, self.message) if part)


class BadRequest(ApiError):
    """400: the object cannot be read, or has unknown fields; for an apply with such also 500."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: known, but not allowed."""


class NotFound(ApiError):
    """404: no such object, or the server does not serve the resource."""


class Conflict(ApiError):
    """409: a precondition (uid, resourceVersion, field owner) does not hold any more; for a uid also 422."""


class AlreadyExists(Conflict):
    """409 of a create: the name is taken."""


class Gone(ApiError):
    """410: the resourceVersion or continue token was compacted away."""


class Invalid(ApiError):
    """422: the object breaks a rule of its schema."""


class TooManyRequests(ApiError):
    """429: later, see ``retry_after``."""


class ServerError(ApiError):
    """5xx."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def error_from_status(
    code: int, status: Mapping[str, Any], *, retry_after: float | None = None, request: str = ""
) -> ApiError:
    """The error that an answer means: ``code`` of HTTP and its decoded ``v1.Status``.

    Without a Retry-After header ``details.retryAfterSeconds`` counts. Two answers of kube-apiserver 1.36.3
    mean something else than their code says:

    * A patch or apply whose uid is not the object's is 422, "metadata.uid: field is immutable". It is
      the Conflict that an update or delete of the kind gets.
    * An apply with an unknown field is 500 without a reason. It is the BadRequest that a create gets.
    """
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    kind = _BY_STATUS.get(code, ServerError if code >= 500 else ApiError)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    elif kind is Invalid and "metadata.uid" in _fields(details):
        kind = Conflict
    elif code == 500 and "field not declared in schema" in message:
        kind = BadRequest
    if retry_after is None:
        seconds = details.get("retryAfterSeconds")
        retry_after = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
    return kind(code, reason, message, retry_after=retry_after, request=request)


def _fields(details: Mapping[str, Any]) -> set[str]:
    """The fields that a 422 complains about."""
    return {str(cause.get("field")) for cause in details.get("causes") or () if isinstance(cause, dict)}
