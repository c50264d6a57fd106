"""Events over HTTP, from the whole server: the stream, the live board, timelines, webhooks' routes.

turnrec is real, with its ledger, its doors and its keys; Asterisk's side of FastAGI is the tests'.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.loopback.fake_asterisk import ASTERISK_SPOOL, HANG_S, FakeAsterisk, FakeChannel, ignored
from tests.loopback.receiver import Receiver
from turnrec.core.event import EventType
from turnrec.service import Service
from turnrec.settings import Settings
from turnrec.web.access import Right
from turnrec.web.sse import EventStream

FLOW = """\
version: 1
defaults:
  guard_ms: 10
bots:
  kyc:
    nodes: &nodes
      greeting: {}
      ask_otp: pause
      confirm: resume
      next_topic: {action: start, new: yes}
      goodbye: stop
  sales:
    nodes: *nodes
"""
_NAMES = count(1)
DOCS = Path(__file__).parents[2] / "docs" / "events.md"


@dataclass
class Heard:
    """One server-sent event."""

    id: str
    type: str
    data: dict[str, Any]


class Stream:
    """A listener, as a browser's EventSource is one."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last_id = ""
        self._lines = response.aiter_lines()

    async def next(self) -> Heard | None:
        """The next event; None at the stream's end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(HANG_S):
            async for line in self._lines:
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                self.last_id = fields.get("id", self.last_id)
                if "data" in fields:
                    return Heard(self.last_id, fields["event"], json.loads(fields["data"]))
                fields = {}
        return None

    async def hear(self, count: int) -> list[Heard]:
        heard = [await self.next() for _ in range(count)]
        return [one for one in heard if one is not None]

    async def until(self, event_type: str) -> list[Heard]:
        """Listen until an event of this type has come."""
        heard: list[Heard] = []
        while not heard or heard[-1].type != event_type:
            one = await self.next()
            assert one is not None, f"the stream ended before {event_type}"
            heard.append(one)
        return heard


@dataclass
class Server:
    """A running turnrec and a way to ask it."""

    service: Service
    pbx: FakeAsterisk
    client: httpx.AsyncClient

    def key(self, *rights: Right, bots: frozenset[str] | None = None) -> dict[str, str]:
        """Make a key; return the header that gives it."""
        key = self.service.keys.make(f"key-{next(_NAMES)}", frozenset(rights), bots, 0)
        return {"authorization": f"Bearer {key}"}

    @asynccontextmanager
    async def listening(
        self, path: str = "/v1/events", *, last_id: str | None = None, **options: Any
    ) -> AsyncIterator[Stream]:
        headers = options.pop("headers", {})
        if last_id is not None:
            headers = {**headers, "Last-Event-ID": last_id}
        async with self.client.stream("GET", path, headers=headers, **options) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            stream = Stream(response)
            yield stream

    async def ask(self, caller: FakeChannel, *request: str) -> str:
        return await caller.gosub(*request)

    async def talk(self, caller: FakeChannel, *nodes: str, bot: str = "kyc") -> None:
        """Begin a call and go through these turns, all well."""
        assert await caller.gosub("start", bot) == "OK"
        for node in nodes:
            assert await caller.gosub("turn", node) == "OK"

    async def all_events(self) -> list[Heard]:
        """Everything that was ever told, read anew from the ledger."""
        await self.service.ledger.flush()
        head = (await self.service.ledger.head()).seq
        found: list[Heard] = []
        records = await self.service.ledger.calls(limit=100)
        for record in records:
            page = await self.client.get(
                f"/v1/calls/{record.call_id}/timeline", params={"limit": 1000}
            )
            found += [Heard(str(one["seq"]), one["type"], one) for one in page.json()["items"]]
        assert all(int(one.id) <= head for one in found)
        return sorted(found, key=lambda one: int(one.id))


def settings_in(folder: Path, pbx: FakeAsterisk) -> Settings:
    """The settings of a turnrec on a folder, without AMI."""
    (folder / "flow.yaml").write_text(FLOW)
    return Settings.model_validate(
        {
            "server": {"agi_port": 0, "control_socket": folder / "control.sock"},
            "api": {"port": 0, "keys_file": folder / "keys.json", "requests_per_s": 10_000},
            "asterisk": {"ami_enabled": False, "ami_secret": "none"},
            "recordings": {
                "dir": folder / "recordings",
                "spool_dir": pbx.spool,
                "asterisk_spool_dir": str(ASTERISK_SPOOL),
                "min_free_mb": 0,
            },
            "ledger": {"url": f"sqlite:///{folder / 'ledger.db'}"},
            "flow": {"path": folder / "flow.yaml"},
            "log": {},
            "sweep": {},
            "retention": {},
            "transcripts": {},
        }
    )


@asynccontextmanager
async def turnrec(folder: Path, pbx: FakeAsterisk) -> AsyncIterator[Server]:
    """Start it on a folder, as `serve` does, without AMI; end it as SIGTERM does."""
    service = Service(settings_in(folder, pbx))
    await service.start()
    pbx.port = service.agi_port
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{service.api_port}", timeout=HANG_S
        ) as client:
            server = Server(service, pbx, client)
            client.headers.update(server.key(Right.ADMIN))
            yield server
    finally:
        await service.stop()


@pytest.fixture
def pbx(tmp_path: Path) -> FakeAsterisk:
    spool = tmp_path / "spool"
    spool.mkdir()
    return FakeAsterisk(spool)


@pytest.fixture
async def server(tmp_path: Path, pbx: FakeAsterisk) -> AsyncIterator[Server]:
    async with turnrec(tmp_path, pbx) as server:
        yield server


FILES = ("recording.done", "recording.failed")
"""They come when the file is made, beside the rest."""


def types(heard: list[Heard]) -> list[str]:
    return [
        one.type
        for one in heard
        if one.type not in FILES and one.data["data"]["result"] != "recording-failed"
    ]


# ------------------------------------------------------------------ what is told


async def test_a_call_is_told_step_by_step_and_each_change_once(server: Server) -> None:
    caller = server.pbx.channel()
    async with server.listening() as stream:
        await server.talk(
            caller,
            "greeting",
            "ask_otp",
            "ask_otp",  # the same turn again
            "confirm",
            "confirm",
            "next_topic",
            "ask_otp",
            "next_topic",  # a new recording, paused from its first moment
            "goodbye",
        )
        await caller.hang_up()
        heard = await stream.until("call.ended")
        await server.service.calls.settle()  # the files are made
        everything = await server.all_events()
        heard += await stream.hear(len(everything) - len(heard))
    assert types(heard) == [
        "call.started",
        "recording.started",
        "turn.begun",  # greeting
        "turn.begun",  # ask_otp
        "recording.paused",
        "turn.begun",  # confirm
        "recording.resumed",
        "turn.begun",  # next_topic
        "recording.stopped",
        "recording.started",
        "turn.begun",  # ask_otp
        "recording.paused",
        "turn.begun",  # next_topic
        "recording.stopped",
        "recording.started",
        "turn.begun",  # goodbye
        "recording.stopped",
        "call.ended",
    ]
    ids = [int(one.id) for one in heard]
    assert ids == sorted(set(ids))
    assert all(one.data["bot"] == "kyc" for one in heard)
    # Each recording: one start, one stop, one file, in this order.
    started = [one.data["recording"] for one in heard if one.type == "recording.started"]
    assert len(set(started)) == 3
    for recording in started:
        told = [one.type for one in heard if one.data["recording"] == recording]
        steps = [one for one in told if one.startswith("recording.")]
        assert steps[0] == "recording.started"
        assert steps[-2] == "recording.stopped"
        assert steps[-1] in FILES
    states = [one.data["data"]["state"] for one in heard if one.type == "recording.started"]
    assert states == ["recording", "recording", "paused"]
    assert [one.id for one in heard] == [one.id for one in everything]


async def test_a_fault_pauses_once_and_the_next_turn_resumes(server: Server) -> None:
    caller = server.pbx.channel()
    async with server.listening() as stream:
        await server.talk(caller, "greeting")
        caller.on("StopMixMonitor", ignored)
        assert await caller.gosub("turn", "ask_otp") == "FAILCLOSED"
        assert await caller.gosub("turn", "confirm") == "OK"
        heard = await stream.until("recording.resumed")
    told = types(heard)
    assert told.count("recording.paused") == told.count("recording.resumed") == 1
    paused = next(one for one in heard if one.type == "recording.paused")
    assert "fault" in paused.data["data"]["holds"]
    assert paused.data["data"]["result"] != "ok"
    assert told.count("action.failed") == told.count("alarm") == 1


async def test_a_start_that_failed_opens_a_recording_that_is_held(server: Server) -> None:
    caller = server.pbx.channel()
    caller.on("MixMonitor", ignored)
    async with server.listening(params={"types": "recording.*"}) as stream:
        assert await caller.gosub("start", "kyc") == "FAILCLOSED"
        assert await caller.gosub("turn", "confirm") == "OK"
        started, resumed = await stream.hear(2)
    assert (started.type, started.data["data"]["state"]) == ("recording.started", "paused")
    assert (resumed.type, resumed.data["data"]["state"]) == ("recording.resumed", "recording")
    assert started.data["recording"] == resumed.data["recording"]


# ------------------------------------------------------------------ resuming


async def test_who_resumes_hears_every_event_once_over_a_restart_of_turnrec(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    caller, other = pbx.channel(), pbx.channel("PJSIP/b-2", "1790000000.2")
    heard: list[Heard] = []
    async with turnrec(tmp_path, pbx) as first:
        async with first.listening() as stream:
            last_id = "0"
            await first.talk(caller, "greeting", "ask_otp")
            heard += await stream.hear(3)
            last_id = stream.last_id
        # Nobody listens meanwhile.
        assert await caller.gosub("turn", "confirm") == "OK"
        await first.talk(other, "greeting", bot="sales")
        async with first.listening(last_id=last_id) as stream:
            heard += await stream.until("recording.resumed")
            last_id = stream.last_id
            assert await caller.gosub("turn", "ask_otp") == "OK"
    async with turnrec(tmp_path, pbx) as second:
        assert await caller.gosub("turn", "confirm") == "OK"
        async with second.listening(last_id=last_id) as stream:
            await caller.hang_up()
            await other.hang_up()
            ended = 0
            while ended < 2:
                heard += await stream.hear(1)
                ended += heard[-1].type == "call.ended"
            await second.service.calls.settle()  # the files are made
            everything = await second.all_events()
            heard += await stream.hear(len(everything) - len(heard))
    assert [one.id for one in heard] == [one.id for one in everything]
    assert [one.data for one in heard] == [one.data for one in everything]
    of_caller = [one for one in heard if one.data["bot"] == "kyc"]
    told = types(of_caller)
    assert told.count("call.started") == told.count("call.ended") == 1
    assert told.count("recording.started") == told.count("recording.stopped") == 1
    assert told.count("recording.paused") == told.count("recording.resumed") == 2


async def test_who_was_cut_off_before_the_first_event_misses_none(server: Server) -> None:
    caller = server.pbx.channel()
    async with server.listening() as stream:
        reading = asyncio.create_task(stream.next())
        async with asyncio.timeout(HANG_S):
            while not stream.last_id:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
        reading.cancel()
        await asyncio.wait({reading})
    await server.talk(caller)
    async with server.listening(last_id=stream.last_id) as again:
        assert (await again.hear(1))[0].type == "call.started"


async def test_after_stands_for_the_header_and_the_header_goes_first(server: Server) -> None:
    await server.talk(server.pbx.channel(), "greeting")
    async with server.listening(params={"after": 0}) as stream:
        first, second = await stream.hear(2)
    async with server.listening(params={"after": 0}, last_id=first.id) as stream:
        assert (await stream.hear(1))[0].id == second.id


async def test_the_stream_ends_when_the_server_does(tmp_path: Path, pbx: FakeAsterisk) -> None:
    async with (
        turnrec(tmp_path, pbx) as server,
        server.listening() as stream,
        server.listening("/v1/calls/live") as board,
    ):
        await server.talk(pbx.channel())
        await stream.hear(2)
        assert (await board.hear(1))[0].type == "snapshot"
        async with asyncio.timeout(HANG_S):
            await server.service.stop()
        while await stream.next() is not None:
            pass  # a full end, no cut connection
        while await board.next() is not None:
            pass


async def test_a_comment_keeps_the_stream_alive(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = {"alive_every_s": 0.01, "longest_s": HANG_S}
    monkeypatch.setattr(EventStream.__init__, "__kwdefaults__", often)
    async with server.client.stream("GET", "/v1/events") as response:
        async with asyncio.timeout(HANG_S):
            async for line in response.aiter_lines():
                if line == ": alive":
                    break


async def test_the_docs_listener_hears_each_event_once_and_comes_back(
    tmp_path: Path, pbx: FakeAsterisk
) -> None:
    text = DOCS.read_text(encoding="utf-8")
    (code,) = (
        one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def listen" in one
    )
    scope: dict[str, Any] = {}
    exec(code, scope)
    caller = pbx.channel()
    heard: list[int] = []

    def listen(port: int, key: str, count: int) -> None:
        listener = scope["listen"](f"http://127.0.0.1:{port}", key, str(heard[-1] if heard else 0))
        while len(heard) < count:
            heard.append(json.loads(next(listener))["seq"])
        listener.close()

    for node, total in (("ask_otp", 4), ("confirm", 6)):
        async with turnrec(tmp_path, pbx) as server:
            if not heard:
                await server.talk(caller)
            assert await caller.gosub("turn", node) == "OK"
            key = server.client.headers["authorization"].removeprefix("Bearer ")
            async with asyncio.timeout(HANG_S):
                await asyncio.to_thread(listen, server.service.api_port, key, total)
            everything = [int(one.id) for one in await server.all_events()]
    assert heard == everything


async def test_transcription_s_halts_are_told_of_calls_that_somebody_transcribes(
    server: Server,
) -> None:
    heard_one, other = server.pbx.channel(), server.pbx.channel("PJSIP/b-2", "1790000000.2")
    await server.talk(heard_one, "greeting")
    await server.talk(other, "greeting")
    path = f"/v1/calls/{heard_one.uniqueid}/recognisers"
    assert (await server.client.post(path, json={"name": "ears"})).status_code == 201
    async with server.listening(params={"types": "transcription.*,alarm"}) as stream:
        for caller in (other, heard_one):
            assert await caller.gosub("turn", "ask_otp") == "OK"
            assert await caller.gosub("turn", "confirm") == "OK"
        halted, resumed = await stream.hear(2)
        await heard_one.hang_up()
        await other.hang_up()
        (ended,) = await stream.hear(1)
    told = [halted, resumed, ended]
    assert [one.type for one in told] == [
        "transcription.halted",
        "transcription.resumed",
        "transcription.halted",
    ]
    assert {one.data["data"]["uniqueid"] for one in told} == {heard_one.uniqueid}
    assert [one.data["data"]["reason"] for one in told] == ["turn", "recording", "ended"]


# ------------------------------------------------------------------ who hears what


async def test_a_key_for_some_bots_hears_of_no_other(server: Server) -> None:
    mine = server.key(Right.READ, bots=frozenset({"sales"}))
    ours, theirs = server.pbx.channel(), server.pbx.channel("PJSIP/b-2", "1790000000.2")
    async with (
        server.listening(headers=mine) as stream,
        server.listening("/v1/calls/live", headers=mine) as board,
    ):
        assert (await board.hear(1))[0].data == {"calls": []}
        await server.talk(ours, "greeting", "ask_otp")
        await server.talk(theirs, "greeting", bot="sales")
        heard = await stream.hear(3)
        (shown,) = await board.hear(1)
    assert {one.data["bot"] for one in heard} == {"sales"}
    assert {call["bot"] for call in shown.data["changed"]} == {"sales"}
    async with server.listening(headers=mine, params={"after": 0}) as stream:
        again = await stream.hear(3)
    assert [one.id for one in again] == [one.id for one in heard]
    hidden = await server.client.get(f"/v1/calls/{ours.uniqueid}/timeline", headers=mine)
    absent = await server.client.get("/v1/calls/no-such-call/timeline", headers=mine)
    assert hidden.status_code == absent.status_code == 404
    assert hidden.json()["id"] == absent.json()["id"] == "unknown-call"
    listening = await server.client.get("/v1/events", params={"call": ours.uniqueid}, headers=mine)
    assert listening.status_code == 404


@pytest.mark.parametrize(
    ("path", "rights", "status"),
    [
        ("/v1/events", {Right.BOT}, 403),
        ("/v1/events", {Right.AUDIT}, 403),
        ("/v1/calls/live", {Right.BOT}, 403),
        ("/v1/calls/x/timeline", {Right.CONTROL}, 403),
        ("/v1/calls/x/timeline", {Right.AUDIT}, 404),
        ("/v1/calls/x/timeline", {Right.BOT}, 404),
        ("/v1/webhooks", {Right.READ, Right.CONTROL, Right.BOT, Right.AUDIT}, 403),
    ],
)
async def test_a_key_opens_only_what_its_rights_do(
    server: Server, path: str, rights: set[Right], status: int
) -> None:
    answer = await server.client.get(path, headers=server.key(*rights))
    assert answer.status_code == status


@pytest.mark.parametrize("path", ["/v1/events", "/v1/calls/live", "/v1/webhooks"])
async def test_without_a_key_nothing_is_told(server: Server, path: str) -> None:
    answer = await server.client.get(path, headers={"authorization": "Bearer trk_none"})
    assert answer.status_code == 401


async def test_types_and_call_narrow_what_is_heard(server: Server) -> None:
    first, second = server.pbx.channel(), server.pbx.channel("PJSIP/b-2", "1790000000.2")
    await server.talk(first, "greeting", "ask_otp")
    await server.talk(second, "greeting")
    narrow = {"types": "call.started,recording.*", "call": second.uniqueid, "after": 0}
    async with server.listening(params=narrow) as stream:
        heard = await stream.hear(2)
        assert await first.gosub("turn", "confirm") == "OK"
        assert await second.gosub("turn", "ask_otp") == "OK"
        heard += await stream.hear(1)
    assert [one.type for one in heard] == ["call.started", "recording.started", "recording.paused"]
    assert len({one.data["call"] for one in heard}) == 1


@pytest.mark.parametrize(
    ("parameters", "headers"),
    [
        ({"types": "no.such"}, {}),
        ({"types": ""}, {}),
        ({"types": "recording"}, {}),
        ({"after": "-1"}, {}),
        ({"after": "x"}, {}),
        ({}, {"last-event-id": "x"}),
        ({}, {"last-event-id": "9" * 19}),
    ],
)
async def test_what_cannot_be_understood_is_refused(
    server: Server, parameters: dict[str, str], headers: dict[str, str]
) -> None:
    answer = await server.client.get("/v1/events", params=parameters, headers=headers)
    assert (answer.status_code, answer.json()["id"]) == (422, "bad-request")


# ------------------------------------------------------------------ the live board and timelines


async def test_the_board_shows_calls_as_they_come_change_and_go(server: Server) -> None:
    caller = server.pbx.channel()
    async with server.listening("/v1/calls/live") as board:
        assert (await board.hear(1))[0].data == {"calls": []}
        await server.talk(caller, "greeting", "ask_otp")
        shown: dict[str, Any] = {}
        while shown.get("state") != "paused":
            (changed,) = await board.hear(1)
            (shown,) = changed.data["changed"]
        listed = (await server.client.get(f"/v1/calls/{shown['id']}")).json()
        assert shown == listed
        async with server.listening("/v1/calls/live") as later:
            assert (await later.hear(1))[0].data == {"calls": [listed]}
        await caller.hang_up()
        ended: list[str] = []
        while not ended:
            (changed,) = await board.hear(1)
            ended = changed.data["ended"]
        assert ended == [shown["id"]]


async def test_a_timeline_is_the_call_s_events_in_pages(server: Server) -> None:
    caller = server.pbx.channel()
    await server.talk(caller, "greeting", "ask_otp", "confirm")
    await server.talk(server.pbx.channel("PJSIP/b-2", "1790000000.2"), "greeting")
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "3"} | ({} if cursor is None else {"cursor": cursor})
        page = await server.client.get(f"/v1/calls/{caller.uniqueid}/timeline", params=parameters)
        seen += page.json()["items"]
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert [one["type"] for one in seen] == [
        "call.started",
        "recording.started",
        "turn.begun",
        "turn.begun",
        "recording.paused",
        "turn.begun",
        "recording.resumed",
    ]
    # Who has read it goes on with the stream, and hears nothing of it again.
    async with server.listening(params={"after": seen[-1]["seq"], "call": seen[0]["call"]}) as one:
        assert await caller.gosub("turn", "goodbye") == "OK"
        assert (await one.hear(1))[0].data["data"]["node"] == "goodbye"


async def test_a_call_that_is_over_keeps_its_timeline(server: Server) -> None:
    caller = server.pbx.channel()
    await server.talk(caller, "greeting")
    async with server.listening(params={"after": 0}) as stream:
        await caller.hang_up()
        await stream.until("call.ended")
    answer = await server.client.get(f"/v1/calls/{caller.uniqueid}/timeline")
    assert "call.ended" in [one["type"] for one in answer.json()["items"]]


# ------------------------------------------------------------------ webhooks


async def test_a_webhook_is_made_heard_and_deleted(server: Server) -> None:
    async with Receiver.open() as receiver:
        made = await server.client.post(
            "/v1/webhooks",
            json={"url": receiver.url + "?token=hidden", "types": ["recording.*"]},
            headers={"Idempotency-Key": "once"},
        )
        assert made.status_code == 201
        hook = made.json()
        assert hook["secret"].startswith("whsec_")
        assert hook["types"] == sorted(
            one.value for one in EventType if one.value.startswith("recording.")
        )
        await server.talk(server.pbx.channel(), "ask_otp", "confirm")
        came = await receiver.count(3)
        for one in came:
            Webhook(hook["secret"]).verify(one.body, one.headers)
        assert {one.type for one in came} == {
            "recording.started",
            "recording.paused",
            "recording.resumed",
        }
        told = {event.id: event.data for event in await server.all_events()}
        assert all(json.loads(one.body) == told[str(one.seq)] for one in came)
        listed = await server.client.get("/v1/webhooks")
        shown = await server.client.get(f"/v1/webhooks/{hook['id']}")
        assert [one["id"] for one in listed.json()["items"]] == [hook["id"]]
        for answer in (listed, shown):
            assert "secret" not in answer.text
            assert "hidden" not in answer.text
        assert shown.json()["url"] == receiver.url + "?..."
        gone = await server.client.delete(f"/v1/webhooks/{hook['id']}")
        assert gone.status_code == 204
        assert (await server.client.delete(f"/v1/webhooks/{hook['id']}")).status_code == 404


async def test_a_dead_letter_is_listed_sent_anew_and_found_no_more(server: Server) -> None:
    async with Receiver.open(lambda _: "410 Gone") as receiver:
        made = (await server.client.post("/v1/webhooks", json={"url": receiver.url})).json()
        async with server.listening(params={"types": "alarm"}) as stream:
            await server.talk(server.pbx.channel())
            (alarm,) = await stream.hear(1)
        assert alarm.data["data"]["result"] == "webhook-disabled"
        assert made["id"] in alarm.data["data"]["sentence"]
        path = f"/v1/webhooks/{made['id']}"
        assert (await server.client.get(path)).json()["disabled"] == "gone"
        letters = (await server.client.get(f"{path}/dead-letters")).json()["items"]
        assert 410 in {one["status"] for one in letters}
        first = letters[-1]["id"]
        refused = await server.client.post(f"{path}/dead-letters/{first}/retry")
        assert (refused.status_code, refused.json()["id"]) == (409, "webhook-disabled")
        unknown = await server.client.get("/v1/webhooks/NONE/dead-letters")
        assert (unknown.status_code, unknown.json()["id"]) == (404, "unknown-webhook")


async def test_a_key_for_some_bots_makes_webhooks_for_them_alone(server: Server) -> None:
    mine = server.key(Right.ADMIN, bots=frozenset({"sales"}))
    async with Receiver.open() as receiver:
        ours = (await server.client.post("/v1/webhooks", json={"url": receiver.url})).json()
        made = await server.client.post("/v1/webhooks", json={"url": receiver.url}, headers=mine)
        assert made.json()["bots"] == ["sales"]
        other = await server.client.post(
            "/v1/webhooks", json={"url": receiver.url, "bots": ["kyc"]}, headers=mine
        )
        assert (other.status_code, other.json()["id"]) == (404, "unknown-bot")
        listed = await server.client.get("/v1/webhooks", headers=mine)
        assert [one["id"] for one in listed.json()["items"]] == [made.json()["id"]]
        hidden = await server.client.delete(f"/v1/webhooks/{ours['id']}", headers=mine)
        assert hidden.status_code == 404


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"url": "ftp://host/"}, "invalid-webhook"),
        ({"url": "http://user:swordfish@host/"}, "invalid-webhook"),
        ({"url": "http://host/", "types": ["no.such"]}, "bad-request"),
        ({"url": "http://host/", "types": []}, "bad-request"),
        ({"url": "http://host/", "bots": ["../x"]}, "bad-request"),
        ({"url": "http://host/", "more": 1}, "bad-request"),
        ({}, "bad-request"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_and_not_repeated(
    server: Server, body: dict[str, Any], problem: str
) -> None:
    answer = await server.client.post("/v1/webhooks", json=body)
    assert (answer.status_code, answer.json()["id"]) == (422, problem)
    assert "swordfish" not in answer.text
    assert (await server.client.get("/v1/webhooks")).json()["items"] == []
