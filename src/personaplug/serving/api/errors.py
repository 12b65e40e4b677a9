"""What is refused, in the form in which OpenAI's API says so."""

import logging
from collections.abc import Mapping
from typing import Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from personaplug.errors import PersonaPlugError, UnknownUserError
from personaplug.serving.engine.engine import DrainingError, FullQueueError
from personaplug.serving.engine.store_file import ReplacedStoreError
from personaplug.serving.engine.turns import LongInputError
from personaplug.serving.engine.vllm_wire import UpstreamError

Kind = Literal["invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error"]

LOG = __name__
"""Name of the log of failures, whose words may be a user's: a server takes them out."""

log = logging.getLogger(LOG)

_KINDS: dict[int, Kind] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A request that gets no answer.

    Args:
        status: The HTTP status.
        message: What is wrong, for a person; never what a user wrote.
        code: The same, for a program.
        param: The field at fault.
        headers: More headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The refusal as JSON."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        """The refusal as a response."""
        return JSONResponse(self.body, status_code=self.status, headers=self.headers)


def too_often(wait: int) -> ApiError:
    """Refuse who asks too often, and say after how many seconds to ask again."""
    message = f"Too many requests; ask again in {wait} s."
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": str(wait)})


def as_api_error(error: BaseException) -> ApiError:
    """Say an error in the words of the wire; errors of ours may name users and files, so their own words stay here."""
    match error:
        case ApiError():
            return error
        case FullQueueError(seconds=seconds):
            wait = {"Retry-After": str(seconds)}
            return ApiError(429, f"Too many questions wait; ask again in {seconds} s.", code="queue_full", headers=wait)
        case LongInputError(tokens=tokens, room=room, field=field):
            message = f"The input has {tokens:,} tokens with the task's words; this model reads at most {room:,}."
            return ApiError(400, message, code="context_length_exceeded", param=field)
        case DrainingError():
            return ApiError(503, "This server is stopping.", code="stopping", headers={"Retry-After": "5"})
        case UpstreamError():
            return ApiError(502, "The language model's server does not answer.", code="upstream_error")
        case UnknownUserError():
            return ApiError(404, "Nothing is known of this user.", code="user_not_found", param="user")
        case ReplacedStoreError():
            message = "The file of the histories was replaced or deleted; this server must be restarted."
            return ApiError(503, message, code="store_replaced")
        case PersonaPlugError():
            return ApiError(503, "The server cannot do this now; its log says why.", code=type(error).__name__)
        case _:
            return ApiError(500, "The server failed at this; its log says where.", code="internal_error")


def log_failure(error: BaseException) -> None:
    """Log where the server failed, for whoever looks after it; the words of the error stay out of the log."""
    if isinstance(error, ApiError | ReplacedStoreError):
        return  # the one was meant, and the other is logged where it is found
    if as_api_error(error).status >= 500:
        log.error("a request failed", exc_info=error)


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer a request that raised an error."""
    log_failure(error)
    return as_api_error(error).response


async def refuse_invalid(_: Request, error: Exception) -> JSONResponse:
    """Answer a request that does not fit its schema, by the field at fault and without its value."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or None
    message = f"{place}: {first['msg']}" if place else str(first["msg"])
    return ApiError(400, message, code=str(first["type"]), param=place).response


async def refuse_unrouted(_: Request, error: Exception) -> JSONResponse:
    """Answer a request that no route takes."""
    assert isinstance(error, HTTPException)
    code = "no_such_route" if error.status_code in (404, 405) else "invalid_request"
    return ApiError(error.status_code, str(error.detail), code=code, headers=error.headers).response
