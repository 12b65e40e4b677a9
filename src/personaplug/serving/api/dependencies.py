"""What a route asks of whoever calls it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from personaplug.serving.api.access import Caller, check_id
from personaplug.serving.api.errors import ApiError
from personaplug.serving.api.keys import Right
from personaplug.serving.api.schemas import ErrorBody
from personaplug.serving.api.service import Service
from personaplug.serving.engine.limits import LONGEST_ID

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": description}
    for status, description in {
        400: "It is asked wrongly.",
        401: "No valid key was sent.",
        403: "The key lacks a right.",
        404: "There is no such model or user.",
        408: "The body took too long.",
        413: "The body is too large.",
        429: "Too many requests; `Retry-After` says when to ask again.",
        500: "The server failed at this; its log says where.",
        502: "The language model's server, where another is, does not answer.",
        503: "The server cannot do this now.",
    }.items()
}

_BEARER = HTTPBearer(auto_error=False, description="An API key, made by `personaplug keys add`.")


def allowed(service: Service, right: Right) -> Callable[..., Awaitable[Caller]]:
    """Make the check that a caller has a right."""

    async def check(bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> Caller:
        caller = service.access.caller(f"{bearer.scheme} {bearer.credentials}" if bearer else None)
        caller.check(right)
        return caller

    return check


async def named_user(
    user: Annotated[
        str, Path(description="The user's id, percent-encoded; a slash is `%2F`.", max_length=12 * LONGEST_ID)
    ],
) -> str:
    """Read a user's id out of a path.

    Raises:
        ApiError: It is none.
    """
    try:
        name = unquote(user, errors="strict")
    except UnicodeDecodeError:
        raise ApiError(400, "A user's id in a path is UTF-8.", code="invalid_id", param="user") from None
    check_id(name, "user")
    return name
