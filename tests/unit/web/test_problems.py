"""One shape for every error: a status by its id, a sentence, and nothing of what was sent."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Literal

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Header, Query
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

import turnrec
from turnrec.core.errors import (
    AsteriskUnreachableError,
    CallEndedError,
    DiskLowError,
    HeldByAnotherError,
    LedgerUnavailableError,
    NotAllowedError,
    RefusedError,
    TurnrecError,
    UnansweredError,
    UnknownCallError,
)
from turnrec.web import problems
from turnrec.web.app import create_app
from turnrec.web.problems import MEDIA_TYPE, STATUSES, problem_body, status_of
from turnrec.web.rates import TooManyRequestsError

SECRET = "314159265358"


class Inner(BaseModel):
    """A body's part."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: Literal["a", "b"]
    numbers: list[int] = []
    names: dict[str, int] = {}


class Outer(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    inner: Inner


def application(error: Exception | None = None) -> FastAPI:
    router = APIRouter(prefix="/v1")

    @router.get("/fails")
    async def fails() -> None:
        assert error is not None
        raise error

    @router.post("/takes/{number}")
    async def takes(
        body: Outer,
        number: Annotated[int, InPath(le=10)],
        word: Annotated[str, Query(pattern="^[a-z]*$")] = "",
        x_word: Annotated[str, Header(max_length=3)] = "",
    ) -> dict[str, bool]:
        return {"taken": True}

    return create_app([router])


async def ask(app: FastAPI, method: str, url: str, **options: object) -> httpx.Response:
    # The gate stands before the application; here only what it answers counts.
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://turnrec") as client:
        return await client.request(method, url, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownCallError("x"), 404),
        (CallEndedError("pause", "ended"), 410),
        (NotAllowedError("no"), 403),
        (HeldByAnotherError("resume", "paused"), 409),
        (TooManyRequestsError(7), 429),
        (AsteriskUnreachableError("down"), 503),
        (UnansweredError("late"), 504),
        (LedgerUnavailableError("behind"), 503),
        (DiskLowError("full"), 507),
        (RefusedError("no"), 409),
    ],
)
async def test_each_error_has_its_status_its_id_and_its_sentence(
    error: TurnrecError, status: int
) -> None:
    answer = await ask(application(error), "GET", "/v1/fails")
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json() == problem_body(status, error.id, str(error))
    assert answer.json()["type"] == f"turnrec:{error.id}"
    assert answer.json()["title"] != "Error"
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)


def errors_of(module_prefix: str) -> Iterator[type[TurnrecError]]:
    for module in pkgutil.walk_packages(turnrec.__path__, "turnrec."):
        if module.name.startswith(module_prefix):
            importlib.import_module(module.name)
    waiting: list[type[TurnrecError]] = [TurnrecError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith(module_prefix):
            yield kind


def test_each_error_of_the_api_has_a_status_that_says_whose_fault_it_is() -> None:
    for kind in errors_of("turnrec.core"):
        status = status_of(kind.__new__(kind))
        if kind.id in STATUSES:
            continue
        assert status in {409, 500, 503}, kind
        assert (status == 409) == issubclass(kind, RefusedError), kind


async def test_a_defect_tells_its_kind_and_nothing_else() -> None:
    answer = await ask(application(ValueError(SECRET)), "GET", "/v1/fails")
    assert (answer.status_code, answer.json()["id"]) == (500, "internal-error")
    assert "ValueError" in answer.text
    assert SECRET not in answer.text


async def test_no_such_address_and_no_such_method_are_problems_too() -> None:
    app = application()
    for method, url, status, error_id in (
        ("GET", f"/v1/{SECRET}", 404, "not-found"),
        ("DELETE", "/v1/fails", 405, "method-not-allowed"),
    ):
        answer = await ask(app, method, url)
        assert (answer.status_code, answer.json()["id"]) == (status, error_id)
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert SECRET not in answer.text
    assert "GET" in answer.headers["allow"]


async def test_what_a_library_says_of_a_request_is_not_passed_on() -> None:
    answer = await ask(application(HTTPException(400, SECRET)), "GET", "/v1/fails")
    assert answer.status_code == 400
    assert SECRET not in answer.text


GOOD = {"inner": {"kind": "a"}}


@pytest.mark.parametrize(
    ("url", "options", "where"),
    [
        ("/v1/takes/1", {"json": {"inner": {"kind": SECRET}}}, "body.inner.kind: "),
        ("/v1/takes/1", {"json": {"inner": {"kind": "a", SECRET: 1}}}, "body.inner.?: "),
        ("/v1/takes/1", {"json": {"inner": {"kind": "a", "numbers": [SECRET + "x"]}}}, "numbers.0"),
        ("/v1/takes/1", {"json": {"inner": {"kind": "a", "names": {SECRET: "x"}}}}, "names.?: "),
        ("/v1/takes/1", {"json": {SECRET: 1}}, "body.inner: missing"),
        ("/v1/takes/1", {"content": f"{{{SECRET}"}, "body."),
        ("/v1/takes/1", {"content": SECRET}, "body"),
        (f"/v1/takes/{SECRET}", {"json": GOOD}, "path.number: "),
        (f"/v1/takes/1?word={SECRET}", {"json": GOOD}, "query.word: "),
        ("/v1/takes/1", {"json": GOOD, "headers": {"X-Word": SECRET}}, "header.x"),
    ],
)
async def test_a_request_that_is_not_understood_is_told_where_but_not_what(
    url: str, options: dict[str, object], where: str
) -> None:
    if "content" in options:
        options["headers"] = {"content-type": "application/json"}
    answer = await ask(application(), "POST", url, **options)
    assert (answer.status_code, answer.json()["id"]) == (422, "bad-request")
    assert where in answer.json()["detail"]
    assert SECRET not in answer.text


def test_every_status_in_the_table_has_a_title() -> None:
    for status in set(STATUSES.values()):
        assert problem_body(status, "x", "y")["title"] != "Error", status
    assert problems.Problem.model_validate(problem_body(404, "x", "y")).status == 404
