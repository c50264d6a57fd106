"""Every error of the API as RFC 9457's problem details, with ids that never change.

The one table of HTTP statuses. An answer repeats nothing of a body, which may hold what a caller
said; of an address, only the name that isn't known, to whoever sent it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from turnrec.core.errors import (
    AsteriskUnreachableError,
    FaultError,
    RefusedError,
    TurnrecError,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

STATUSES: Final[Mapping[str, int]] = {
    "bad-request": 422,
    "bad-utterance": 422,
    "invalid-name": 422,
    "invalid-time": 422,
    "reason-missing": 422,
    "unknown-action": 422,
    "invalid-webhook": 422,
    "bad-cursor": 422,
    "unauthorized": 401,
    "not-allowed": 403,
    "unknown-call": 404,
    "unknown-recording": 404,
    "unknown-name": 404,
    "unknown-recogniser": 404,
    "unknown-bot": 404,
    "unknown-channel": 404,
    "unknown-webhook": 404,
    "no-transcript": 404,
    "no-sound": 404,
    "no-manifest": 404,
    "not-found": 404,
    "method-not-allowed": 405,
    "request-timeout": 408,
    "call-ended": 410,
    "recording-deleted": 410,
    "length-required": 411,
    "precondition-failed": 412,
    "too-large": 413,
    "range-not-satisfiable": 416,
    "too-many-requests": 429,
    "too-many-utterances": 429,
    "too-many-recognisers": 429,
    "internal-error": 500,
    "sound-unreadable": 409,
    "recording-changed": 409,
    "recording-exists": 409,
    "span-map-invalid": 409,
    "transcript-unreadable": 409,
    "unsafe-name": 409,
    "export-not-verified": 503,
    "recording-not-written": 503,
    "command-unanswered": 504,
    "disk-low": 507,
}
"""By the error's id. What isn't here goes by its kind: refused 409, a fault or no Asterisk 503."""

_TITLES: Final[Mapping[int, str]] = {
    400: "Bad request",
    401: "No valid key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Refused as things stand",
    410: "It is over",
    411: "Length required",
    412: "Not what was meant",
    413: "Too large",
    416: "Range not satisfiable",
    422: "Not understood",
    429: "Too many requests",
    500: "Internal error",
    503: "It could not be done",
    504: "Asterisk did not answer in time",
    507: "No room",
}


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="`turnrec:` and the id")
    title: str = Field(description="the kind of error, by its status")
    status: int
    detail: str = Field(description="a sentence for people")
    id: str = Field(description="the stable id of the error, for programs")


PROBLEM_RESPONSES: Final[dict[int | str, dict[str, object]]] = {
    "default": {
        "description": "An error: RFC 9457 problem details with a stable `id`",
        "model": Problem,
        "content": {MEDIA_TYPE: {}},
    }
}
"""What every route of the API may answer, for its contract."""


def status_of(error: TurnrecError) -> int:
    """The HTTP status of an error."""
    if error.id in STATUSES:
        return STATUSES[error.id]
    if isinstance(error, RefusedError):
        return 409
    return 503 if isinstance(error, (AsteriskUnreachableError, FaultError)) else 500


def problem_body(status: int, problem_id: str, detail: str) -> dict[str, object]:
    """The members of one problem."""
    return {
        "type": f"turnrec:{problem_id}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "id": problem_id,
    }


def problem(
    status: int, problem_id: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Answer with a problem."""
    body = problem_body(status, problem_id, detail)
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def problem_of(error: TurnrecError) -> JSONResponse:
    """Answer with what went wrong."""
    retry_after_s = getattr(error, "retry_after_s", None)
    headers = None if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return problem(status_of(error), error.id, str(error), headers)


def install(app: FastAPI) -> None:
    """Have every error of the application answered as a problem."""
    known: set[str] = set()

    @app.exception_handler(TurnrecError)
    async def refused(_request: Request, error: TurnrecError) -> JSONResponse:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def not_understood(_request: Request, error: RequestValidationError) -> JSONResponse:
        if not known:
            known.update(_names_in(app.openapi()), ("body", "path", "query", "header"))
        first = error.errors()[0]
        # A key that isn't one of ours could be anything, and so could the value.
        where = ".".join(
            str(step) if isinstance(step, int) or step in known else "?" for step in first["loc"]
        )
        return problem(422, "bad-request", f"{where}: {first['type'].replace('_', ' ')}")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        names = {404: "not-found", 405: "method-not-allowed", 400: "bad-request"}
        detail = {404: "there is no such address", 405: "this address has other methods"}
        return problem(
            error.status_code,
            names.get(error.status_code, "http-error"),
            detail.get(error.status_code, "the request can't be read"),
            _allow(request) if error.status_code == 405 else error.headers,
        )

    @app.exception_handler(Exception)
    async def defect(_request: Request, error: Exception) -> JSONResponse:
        # The type alone: a traceback's locals may hold what a caller said. The server logs it.
        return problem(500, "internal-error", f"a defect in turnrec ({type(error).__name__})")


def _routes_in(router: Any) -> Iterator[Any]:
    """All routes, also where the framework keeps those of an included router together."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from _routes_in(inner)


def _allow(request: Request) -> dict[str, str]:
    """The methods of an address; a framework's route knows only its own."""
    methods = set[str]()
    for route in _routes_in(request.app):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return {"Allow": ", ".join(sorted(methods))}


def _names_in(contract: object) -> set[str]:
    """The names of all members and parameters in an OpenAPI contract."""
    names: set[str] = set()
    if isinstance(contract, dict):
        properties = contract.get("properties")
        if isinstance(properties, dict):
            names.update(properties)
        if "in" in contract and isinstance(contract.get("name"), str):
            names.add(contract["name"])
        for value in contract.values():
            names |= _names_in(value)
    elif isinstance(contract, list):
        for value in contract:
            names |= _names_in(value)
    return names
