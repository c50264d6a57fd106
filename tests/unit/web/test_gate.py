"""The door before every route: keys and rights, sizes and rates, and calls that come twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from turnrec.config import load_settings
from turnrec.core.errors import LedgerUnavailableError
from turnrec.service import Service
from turnrec.web.access import Access, Right
from turnrec.web.app import create_app, guarded
from turnrec.web.asking import RIGHTS, needs
from turnrec.web.gate import MAX_BODY_BYTES, Gate, KeyAdmission, LocalAdmission
from turnrec.web.keys import KeyRing

# ------------------------------------------------------------------ every route of the service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "flow.yaml").write_text("version: 1\nbots: {kyc: {nodes: {a: pause}}}\n")
    (tmp_path / "turnrec.toml").write_text(
        "[asterisk]\nami_enabled = false\n"
        '[server]\ncontrol_socket = "s"\n[api]\nkeys_file = "keys.json"\n'
        '[recordings]\ndir = "r"\nspool_dir = "p"\nasterisk_spool_dir = "/p"\n'
        '[ledger]\nurl = "sqlite:///l.db"\n[flow]\npath = "flow.yaml"\n'
    )
    made = Service(load_settings(tmp_path / "turnrec.toml", {}))
    yield made
    asyncio.run(made.ledger.close())


def routes_in(router: Any) -> Iterator[APIRoute]:
    """All routes, those of included routers too."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_in(inner)
        elif isinstance(route, APIRoute):
            yield route


def rights_of(dependant: Dependant) -> list[frozenset[Right]]:
    """What each `needs(...)` of a route asks for."""
    own = [getattr(one.call, RIGHTS, None) for one in dependant.dependencies]
    deeper = [found for one in dependant.dependencies for found in rights_of(one)]
    return [one for one in own if one is not None] + deeper


FREE = {"/v1/me", "/v1/openapi.json"}
"""What any good key may ask."""


def test_every_route_of_the_api_needs_a_right(service: Service) -> None:
    guarded_routes = [
        one for one in routes_in(service.app) if one.path.startswith("/v1") or "metrics" in one.path
    ]
    assert len(guarded_routes) > 30
    for route in guarded_routes:
        found = rights_of(route.dependant)
        assert len(found) == 1, f"{route.methods} {route.path} has no needs(...)"
        assert bool(found[0]) != (route.path in FREE), f"{route.methods} {route.path}: {found[0]}"


def test_only_health_and_the_page_are_outside_the_door(service: Service) -> None:
    outside = {one.path for one in routes_in(service.app) if not one.path.startswith("/v1/")}
    pages = {one for one in outside if one not in {"/healthz", "/readyz", "/metrics"}}
    assert outside >= {"/healthz", "/readyz", "/metrics"}
    for route in routes_in(service.app):
        if route.path in pages:
            assert route.methods is not None
            assert route.methods <= {"GET", "HEAD"}, route.path
            assert not rights_of(route.dependant), route.path


RIGHT_OF = {
    ("GET", "/v1/calls"): {Right.READ, Right.BOT},
    ("POST", "/v1/calls"): {Right.BOT},
    ("POST", "/v1/calls/{call}/turns"): {Right.BOT},
    ("POST", "/v1/calls/{call}/actions"): {Right.CONTROL, Right.BOT},
    ("GET", "/v1/calls/live"): {Right.READ},
    ("GET", "/v1/events"): {Right.READ},
    ("GET", "/v1/recordings/{recording_id}/audio"): {Right.READ},
    ("GET", "/v1/recordings/{recording_id}/manifest"): {Right.READ, Right.AUDIT},
    ("POST", "/v1/recordings/{recording_id}/delete"): {Right.ADMIN},
    ("POST", "/v1/recordings/{recording_id}/redact"): {Right.ADMIN},
    ("POST", "/v1/webhooks"): {Right.ADMIN},
    ("POST", "/v1/flow/reload"): {Right.ADMIN},
    ("GET", "/v1/status"): {Right.READ},
    ("GET", "/metrics"): {Right.READ},
}


def test_the_rights_are_those_of_the_contract(service: Service) -> None:
    found = {
        (method, route.path): rights_of(route.dependant)
        for route in routes_in(service.app)
        for method in route.methods or ()
    }
    for which, rights in RIGHT_OF.items():
        assert found[which] == [frozenset(rights)], which


# ------------------------------------------------------------------ a small application


class Body(BaseModel):
    """What the sample route takes."""

    number: int


class Sample:
    """Routes that count what reaches them."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.wait: asyncio.Event | None = None

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.get("/v1/read")
        async def read(access: Annotated[Access, Depends(needs(Right.READ))]) -> dict[str, Any]:
            return {"name": access.name, "actor": access.actor()}

        @router.post("/v1/do")
        async def do(
            access: Annotated[Access, Depends(needs(Right.CONTROL, Right.BOT))], body: Body
        ) -> dict[str, int]:
            self.count += 1
            if self.wait is not None:
                await self.wait.wait()
            if self.error is not None:
                raise self.error
            return {"count": self.count, "number": body.number}

        @router.get("/open")
        async def open_to_all() -> dict[str, bool]:
            return {"open": True}

        return router


class World:
    """The sample behind a gate with keys."""

    def __init__(self, folder: Path) -> None:
        self.sample = Sample()
        self.keys = KeyRing(folder / "keys.json")
        self.refused: list[str] = []
        self.gate = self.make_gate()

    def make_gate(self, requests_per_s: float = 10_000) -> Gate:
        admission = KeyAdmission(
            self.keys, requests_per_s=requests_per_s, on_refused=self.refused.append
        )
        return guarded(create_app([self.sample.router()]), admission)

    def key(self, *rights: Right, name: str = "desk") -> str:
        return self.keys.make(name, frozenset(rights), None, 1)

    async def ask(
        self, method: str, url: str, key: str | None = None, **options: Any
    ) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(app=self.gate, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://turnrec") as client:
            return await client.request(method, url, headers=headers, **options)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# ------------------------------------------------------------------ keys and rights


async def test_without_a_good_key_nothing_of_the_api_answers(world: World) -> None:
    good = world.key(Right.ADMIN)
    world.key(Right.ADMIN, name="gone")
    gone = world.key(Right.ADMIN, name="gone2")
    world.keys.revoke("gone2", 2)
    bad = [None, "", "x", good[:-1], good + "x", gone, "trk_" + "a" * 12 + "_" + "b" * 43]
    for key in bad:
        for path in ("/v1/read", "/v1/nothing", "/metrics", "/v1/openapi.json"):
            answer = await world.ask("GET", path, key)
            assert answer.status_code == 401, (key, path)
            assert answer.json()["id"] == "unauthorized"
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"
    assert (await world.ask("POST", "/v1/do", json={"number": 1})).status_code == 401
    assert world.sample.count == 0
    assert (await world.ask("GET", "/open")).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Basic {}", "bearer", "Bearer", "Token {}", "{}", "Bearer  Bearer {}", "Bearer\xe9{}"],
)
async def test_a_key_is_given_as_a_bearer_s_and_no_other_way(header: str, world: World) -> None:
    key = world.key(Right.ADMIN)
    headers = {"Authorization": header.format(key).encode("latin-1")}
    answer = await world.ask("GET", "/v1/read", headers=headers)
    assert answer.status_code == 401
    in_address = await world.ask("GET", f"/v1/read?access_token={key}&key={key}")
    assert in_address.status_code == 401


async def test_the_word_bearer_is_read_as_rfc_9110_has_it(world: World) -> None:
    key = world.key(Right.READ)
    for word in ("Bearer", "bearer", "BEARER"):
        answer = await world.ask("GET", "/v1/read", headers={"Authorization": f"{word} {key}"})
        assert answer.status_code == 200


async def test_a_route_opens_to_any_of_its_rights_and_to_admins(world: World) -> None:
    opened = {
        right: (
            (await world.ask("GET", "/v1/read", key)).status_code,
            (await world.ask("POST", "/v1/do", key, json={"number": 1})).status_code,
        )
        for right in Right
        for key in [world.key(right, name=right.value)]
    }
    assert opened == {
        Right.READ: (200, 403),
        Right.CONTROL: (403, 200),
        Right.BOT: (403, 200),
        Right.AUDIT: (403, 403),
        Right.ADMIN: (200, 200),
    }


async def test_a_key_without_the_right_is_told_which_one(world: World) -> None:
    answer = await world.ask("POST", "/v1/do", world.key(Right.READ), json={"number": 1})
    assert answer.json()["id"] == "not-allowed"
    assert "'control' or 'bot'" in answer.json()["detail"]


async def test_a_revoked_key_is_refused_at_the_very_next_request(world: World) -> None:
    key = world.key(Right.READ)
    assert (await world.ask("GET", "/v1/read", key)).status_code == 200
    KeyRing(world.keys.path).revoke("desk", 2)
    assert (await world.ask("GET", "/v1/read", key)).status_code == 401


async def test_keys_that_cannot_be_read_let_nobody_in_and_tell_nobody_where_they_lie(
    world: World,
) -> None:
    key = world.key(Right.READ)
    world.keys.path.write_text("{")
    answer = await world.ask("GET", "/v1/read", key)
    assert answer.status_code == 503
    assert answer.json()["id"] == "api-keys-unreadable"
    assert str(world.keys.path.parent) not in answer.text
    assert world.keys.path.name not in answer.text


async def test_who_comes_with_a_bad_key_is_noted_and_who_comes_without_is_not(world: World) -> None:
    await world.ask("GET", "/v1/read")
    assert world.refused == []
    await world.ask("GET", "/v1/read", "bad")
    assert world.refused == ["127.0.0.1"]


async def test_at_the_control_socket_nobody_can_be_what_they_are_not(world: World) -> None:
    world.gate = guarded(create_app([world.sample.router()]), LocalAdmission())
    for given, actor in {
        "anna": "cli:anna",
        "key:desk": "cli:local",
        "a b": "cli:local",
        "": "cli:local",
        "x" * 65: "cli:local",
    }.items():
        answer = await world.ask("GET", "/v1/read", headers={"Turnrec-Actor": given})
        assert answer.json()["actor"] == actor


# ------------------------------------------------------------------ sizes


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_body_beyond_the_limit_is_refused_by_its_declared_length(world: World) -> None:
    key = world.key(Right.BOT)
    answer = await world.ask("POST", "/v1/do", key, content=b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["id"]) == (413, "too-large")
    assert world.sample.count == 0


async def test_a_body_beyond_the_limit_is_refused_where_no_length_was_declared(
    world: World,
) -> None:
    key, part = world.key(Right.BOT), b" " * (MAX_BODY_BYTES // 4)
    answer = await world.ask("POST", "/v1/do", key, content=chunks(*[part] * 4, b"{}"))
    assert (answer.status_code, answer.json()["id"]) == (413, "too-large")
    assert world.sample.count == 0


async def test_a_body_at_the_limit_is_taken_in_one_piece_and_in_many(world: World) -> None:
    key, wish = world.key(Right.BOT), b'{"number": 7}'
    padding = b" " * (MAX_BODY_BYTES - len(wish))
    headers = {"Content-Type": "application/json"}
    whole = await world.ask("POST", "/v1/do", key, content=padding + wish, headers=headers)
    assert whole.status_code == 200
    pieces = chunks(padding[:1000], padding[1000:], wish[:3], wish[3:])
    many = await world.ask("POST", "/v1/do", key, content=pieces, headers=headers)
    assert many.status_code == 200


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 30])
async def test_a_length_that_is_none_is_refused(length: str, world: World) -> None:
    answer = await world.ask(
        "POST", "/v1/do", world.key(Right.BOT), content=b"{}", headers={"Content-Length": length}
    )
    assert answer.status_code == 413


async def test_an_address_that_is_too_long_is_refused(world: World) -> None:
    key = world.key(Right.READ)
    for url in ("/v1/" + "x" * 3000, "/v1/read?q=" + "x" * 3000, "/open?q=" + "x" * 3000):
        assert (await world.ask("GET", url, key)).status_code == 414


async def run(gate: Gate, key: str, received: list[dict[str, Any]]) -> list[Any]:
    """Call the gate as a server does, with these messages from whoever asks."""
    sent: list[Any] = []
    waiting = iter(received)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/do",
        "raw_path": b"/v1/do",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {key}".encode()),
            (b"content-type", b"application/json"),
        ],
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    await gate(scope, receive, send)
    return sent


async def test_half_a_body_is_nobody_s_wish(world: World) -> None:
    key = world.key(Right.BOT)
    begun = {"type": "http.request", "body": b'{"number": 1}', "more_body": True}
    assert await run(world.gate, key, [begun, {"type": "http.disconnect"}]) == []
    assert world.sample.count == 0
    ended = {"type": "http.request", "body": b" ", "more_body": False}
    sent = await run(world.gate, key, [begun, ended, {"type": "http.disconnect"}])
    assert sent[0]["status"] == 200
    assert world.sample.count == 1


# ------------------------------------------------------------------ rates


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(world: World) -> None:
    world.gate = world.make_gate(requests_per_s=3)
    key, other = world.key(Right.READ), world.key(Right.READ, name="other")
    answers = [await world.ask("GET", "/v1/read", key) for _ in range(40)]
    refused = [one for one in answers if one.status_code == 429]
    assert len(refused) >= 10
    assert refused[0].json()["id"] == "too-many-requests"
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert [one.status_code for one in answers[:6]] == [200] * 6
    assert (await world.ask("GET", "/v1/read", other)).status_code == 200


async def test_who_guesses_keys_is_slowed_down_and_keeps_nobody_else_out(world: World) -> None:
    world.gate = world.make_gate(requests_per_s=3)
    key = world.key(Right.READ)
    statuses = [(await world.ask("GET", "/v1/read", f"bad{n}")).status_code for n in range(40)]
    assert set(statuses) == {401, 429}
    assert (await world.ask("GET", "/v1/read", key)).status_code == 200


# ------------------------------------------------------------------ calls that come twice


def body_of(number: int) -> dict[str, Any]:
    return {"json": {"number": number}, "headers": {"Idempotency-Key": "k-1"}}


async def test_the_same_call_is_carried_out_once_however_often_it_comes(world: World) -> None:
    key = world.key(Right.BOT)
    world.sample.wait = asyncio.Event()
    calls = [asyncio.create_task(world.ask("POST", "/v1/do", key, **body_of(1))) for _ in range(5)]
    await asyncio.sleep(0.01)
    world.sample.wait.set()
    answers = [*await asyncio.gather(*calls), await world.ask("POST", "/v1/do", key, **body_of(1))]
    assert world.sample.count == 1
    assert {one.text for one in answers} == {'{"count":1,"number":1}'}
    assert sum("idempotency-replayed" in one.headers for one in answers) == 5


async def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    key = world.key(Right.BOT)
    await world.ask("POST", "/v1/do", key, **body_of(1))
    other = await world.ask("POST", "/v1/do", key, **body_of(2))
    assert other.json()["id"] == "idempotency-key-reused"
    assert 400 <= other.status_code < 500
    assert world.sample.count == 1


async def test_after_a_fault_the_same_key_tries_again(world: World) -> None:
    key = world.key(Right.BOT)
    for error, status in ((LedgerUnavailableError("behind"), 503), (ValueError("x"), 500)):
        world.sample.error = error
        assert (await world.ask("POST", "/v1/do", key, **body_of(1))).status_code == status
    world.sample.error = None
    assert (await world.ask("POST", "/v1/do", key, **body_of(1))).json()["count"] == 3


async def test_nobody_is_answered_with_what_another_was(world: World) -> None:
    first, second = world.key(Right.BOT), world.key(Right.BOT, name="other")
    await world.ask("POST", "/v1/do", first, **body_of(1))
    answer = await world.ask("POST", "/v1/do", second, **body_of(2))
    assert answer.json() == {"count": 2, "number": 2}


async def test_a_repeat_without_the_right_is_refused_like_the_first(world: World) -> None:
    key = world.key(Right.READ)
    for _ in range(2):
        answer = await world.ask("POST", "/v1/do", key, **body_of(1))
        assert answer.status_code == 403
        assert "idempotency-replayed" not in answer.headers


async def test_a_repeat_after_the_key_was_revoked_is_refused(world: World) -> None:
    key = world.key(Right.BOT)
    await world.ask("POST", "/v1/do", key, **body_of(1))
    world.keys.revoke("desk", 2)
    assert (await world.ask("POST", "/v1/do", key, **body_of(1))).status_code == 401


SPOKEN = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"content": f'{{"number": "{SPOKEN}"}}'},
        lambda: {"content": f'{{"{SPOKEN}": 1}}'},
        lambda: {"content": f'{{"number": {SPOKEN}}}'},
        lambda: {"content": SPOKEN},
        lambda: {"content": json.dumps([SPOKEN] * 3)},
        lambda: {"content": b"\xff" + SPOKEN.encode()},
        lambda: {"json": {"number": 1}, "headers": {"Idempotency-Key": SPOKEN}},
    ],
)
async def test_an_answer_repeats_nothing_of_what_was_sent(
    make: Callable[[], dict[str, Any]], world: World
) -> None:
    options = make()
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    answer = await world.ask("POST", "/v1/do", world.key(Right.BOT), headers=headers, **options)
    assert answer.status_code in {400, 422}
    assert answer.json()["id"] == "bad-request"
    assert answer.headers["content-type"] == "application/problem+json"
    assert SPOKEN not in answer.text
    assert "4111" not in answer.text
