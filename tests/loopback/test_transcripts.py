"""Utterances, halts and transcripts over real HTTP on a Unix socket, beside the real main path."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.loopback.house import SOON_MS, House
from turnrec.core.entry import EntryKind
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.ports import Recordings
from turnrec.recognisers import Recognisers
from turnrec.recordings.transcript_file import TranscriptFiles, read
from turnrec.transcripts import Books, Transcripts
from turnrec.web.access import Access
from turnrec.web.app import create_app, guarded
from turnrec.web.doors import ControlSocket
from turnrec.web.gate import LocalAdmission
from turnrec.web.transcripts import transcript_routes

WAIT_S = 30.0
SECRET = "four-three-two-one"


async def no_export(
    _access: Access,
    _name: str,
    _form: TranscriptFormat,
    _time: TranscriptTime,
    _behavior: PauseBehavior | None,
) -> str:
    return "WEBVTT\n"


@dataclass
class Desk:
    """A call, and a recogniser's way to it."""

    house: House
    http: httpx.AsyncClient
    transcripts: Transcripts
    files: TranscriptFiles
    folder: Path

    @property
    def url(self) -> str:
        return f"/v1/calls/{self.house.caller.uniqueid}"

    def now_us(self) -> int:
        return self.house.ways.clock()

    async def post(self, body: Mapping[str, Any], what: str = "utterances") -> httpx.Response:
        return await self.http.post(f"{self.url}/{what}", json=body)

    async def say(self, text: str, begin_us: int, end_us: int, **more: Any) -> Mapping[str, int]:
        """Post one utterance of the caller's, and have it taken or dropped."""
        one = {"speaker": "caller", "text": text, "begin": begin_us, "end": end_us} | more
        answer = await self.post({"utterances": [one]})
        assert answer.status_code == 200, answer.text
        taken: Mapping[str, int] = answer.json()
        return taken

    async def said(self, text: str, **more: Any) -> Mapping[str, int]:
        """Post what was said just now."""
        begin_us = self.now_us()
        return await self.say(text, begin_us, self.now_us(), **more)

    async def register(self, **body: Any) -> dict[str, Any]:
        answer = await self.post({"name": "vosk", **body}, "recognisers")
        assert answer.status_code == 201, answer.text
        registered: dict[str, Any] = answer.json()
        return registered

    def written(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def everything(self) -> str:
        return "".join(path.read_text("utf-8") for path in self.written())


@asynccontextmanager
async def desk(
    folder: Path, *, halt_timeout_ms: int = 20_000, keep_late: bool = False
) -> AsyncIterator[Desk]:
    """Put a house and its transcripts together, as the service does."""
    spool, kept = folder / "spool", folder / "recordings"
    spool.mkdir()
    files = TranscriptFiles(kept)
    made: list[Books] = []

    def around(recordings: Recordings) -> Recordings:
        made.append(Books(files, recordings))
        return made[0]

    async with House.open(spool, around=around) as house:
        clock, ids = house.ways.clock, count(1)
        recognisers = Recognisers(
            house.calls.notes,
            clock,
            lambda: f"RECOGNISER{next(ids)}",
            halt_timeout_ms=halt_timeout_ms,
        )
        transcripts = Transcripts(house.calls, made[0], recognisers, clock, keep_late=keep_late)
        house.calls.listeners = transcripts
        app = create_app([transcript_routes(transcripts, no_export)])
        server = ControlSocket(guarded(app, LocalAdmission()), folder / "socket")
        await server.start()
        transport = httpx.AsyncHTTPTransport(uds=str(folder / "socket"))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://turnrec", timeout=WAIT_S
        ) as http:
            try:
                yield Desk(house, http, transcripts, files, kept)
            finally:
                recognisers.close()
                await server.stop()
                await house.calls.settle()
                files.shut_down()


# ------------------------------------------------------------------ the door


async def test_what_is_said_while_nothing_is_recorded_is_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with desk(tmp_path) as at:
        await at.house.hear()
        assert await at.said("hello") == {"kept": 1, "cut": 0, "dropped": 0}
        await at.house.hear("ask_aadhaar")
        assert await at.said(SECRET) == {"kept": 0, "cut": 0, "dropped": 1}
        assert await at.said(SECRET, final=False) == {"kept": 0, "cut": 0, "dropped": 1}
        paused_us = at.now_us()
        await at.house.hear("confirm")
        # It comes when something is recorded again, but that isn't what it is about.
        assert await at.say(SECRET, paused_us, paused_us + 1) == {"kept": 0, "cut": 0, "dropped": 1}
        assert await at.said("goodbye") == {"kept": 1, "cut": 0, "dropped": 0}
        await at.house.hang_up()
        assert "hello" in at.everything()
        assert "goodbye" in at.everything()
        assert SECRET not in at.everything()
        (path,) = at.written()
        transcript = read(path)
        assert transcript is not None
        assert transcript.is_closed
        assert transcript.dropped == 2, "the partial is none"
        ((gap),) = transcript.gaps
        assert (gap.holds, gap.node) == (("turn",), "ask_aadhaar")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert SECRET not in caplog.text
    assert SECRET not in str(at.house.journal.entries)


async def test_one_that_straddles_is_cut_at_its_words_or_dropped(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear("ask_aadhaar")
        paused_us = at.now_us()
        await at.house.hear("confirm")
        open_us = at.now_us()
        words = [
            {"text": SECRET, "begin": paused_us, "end": paused_us + 1},
            {"text": "yes", "begin": open_us, "end": open_us + 500},
        ]
        times = (paused_us, open_us + 500)
        assert await at.say(f"{SECRET} yes", *times, words=words) == {
            "kept": 0,
            "cut": 1,
            "dropped": 0,
        }
        assert await at.say(SECRET, *times) == {"kept": 0, "cut": 0, "dropped": 1}
        await at.house.hang_up()
        assert '"yes"' in at.everything()
        assert SECRET not in at.everything()


async def test_what_comes_late_is_dropped_or_judged_by_its_times(tmp_path: Path) -> None:
    for keep_late, taken in ((False, "dropped"), (True, "kept")):
        folder = tmp_path / taken
        folder.mkdir()
        async with desk(folder, keep_late=keep_late) as at:
            await at.house.hear()
            spoken_us = at.now_us()
            await at.house.hear("ask_aadhaar")
            answer = await at.say("before the pause", spoken_us, spoken_us + 1)
            assert [what for what, number in answer.items() if number] == [taken]
            assert (await at.said(SECRET))["dropped"] == 1
            await at.house.hang_up()
            assert ("before the pause" in at.everything()) is keep_late
            assert SECRET not in at.everything()


async def test_nothing_is_written_before_turnrec_has_looked_that_it_was_recorded(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        await at.said("hello")
        await at.house.hear()  # the same again: nothing was looked at
        assert at.written() == []
        await at.house.hear("small_talk")
        await at.files.read("ID0002", 0)  # whatever was given to the disk is there
        assert "hello" in at.everything()


async def test_what_was_said_after_a_monitor_was_last_seen_needs_its_sound(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear("small_talk")
        await at.said("seen")
        await at.house.hear("small_talk")
        # Somebody ends our monitor, and turnrec doesn't hear of it.
        at.house.caller.run("StopMixMonitor", "")
        await at.said(SECRET)
        assert await at.house.ask("turn", "small_talk") == "FAILCLOSED"
        await at.house.hang_up()
        assert "seen" in at.everything()
        assert SECRET not in at.everything()


async def test_a_future_is_not_audible_and_times_outside_the_call_are_refused(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        now_us = at.now_us()
        assert (await at.say(SECRET, now_us, now_us + 30_000_000))["dropped"] == 1
        assert (await at.say(SECRET, now_us - 30_000_000, now_us))["dropped"] == 1
        for begin, end in (
            (now_us - 3_600_000_000, now_us),
            (now_us // 1000, now_us // 1000 + 5),
            (now_us, now_us + 3_600_000_000),
        ):
            one = {"speaker": "caller", "text": SECRET, "begin": begin, "end": end}
            answer = await at.post({"utterances": [one]})
            assert (answer.status_code, answer.json()["id"]) == (422, "bad-utterance")
            assert SECRET not in answer.text


async def test_times_may_be_written_as_iso_8601(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        for _ in range(4):
            begin_us = at.now_us()
        # House begins at 2026-09-21T14:13:20Z and ticks a millisecond with each look.
        ms = (begin_us - 1_790_000_000_000_000) // 1000
        begin, end = (f"2026-09-21T16:13:20.{ms - n:03d}+02:00" for n in (2, 1))
        one = {"speaker": "bot", "text": "hello", "begin": begin, "end": end}
        answer = await at.post({"utterances": [one]})
        assert answer.json() == {"kept": 1, "cut": 0, "dropped": 0}


async def test_calls_unknown_or_over_are_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        one = {"speaker": "caller", "text": SECRET, "begin": 1, "end": 2}
        answer = await at.post({"utterances": [one]})
        assert (answer.status_code, answer.json()["id"]) == (404, "unknown-call")
        await at.house.hear()
        call_id = at.house.call.id
        await at.house.hang_up()
        for name in (at.house.caller.uniqueid, call_id):
            answer = await at.http.post(f"/v1/calls/{name}/utterances", json={"utterances": [one]})
            assert (answer.status_code, answer.json()["id"]) == (410, "call-ended")
            assert SECRET not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{" + SECRET.encode(),
        b'{"utterances": []}',
        b'{"utterances": [{"text": "' + SECRET.encode() + b'"}]}',
        b'{"utterances": [{"speaker": "' + SECRET.encode() + b'", "text": "x"}]}',
        b'{"utterances": [{"speaker": "caller", "text": "x", "' + SECRET.encode() + b'": 1}]}',
        b'{"' + SECRET.encode() + b'": 1}',
        b'{"utterances": [{"speaker": "caller", "text": "\\ud800' + SECRET.encode() + b'"}]}',
        b'{"utterances": [{"speaker": "caller", "text": "x", "begin": true, "end": 2}]}',
        b'{"utterances": [{"speaker": "caller", "text": "x", "begin": 1.5, "end": 2}]}',
        b'{"utterances": [{"speaker": "caller", "text": "x", "begin": "' + SECRET.encode() + b'",'
        b' "end": "2026-09-21T14:13:20"}]}',
        b'{"utterances": [{"speaker": "caller", "text": "x", "begin": 1}]}',
        b'{"utterances": [{"speaker": "caller", "text": "x", "begin": 99999999999999999999,'
        b' "end": 1}]}',
        b"\xff\xfe" + SECRET.encode(),
        b'{"utterances": ' + b"[" * 100_000,
        json.dumps({"utterances": [{"speaker": "caller", "text": SECRET * 10_000}]}).encode(),
    ],
    ids=range(17),
)
async def test_a_body_that_can_not_be_read_is_refused_without_repeating_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    async with desk(tmp_path) as at:
        await at.house.hear()
        headers = {"Content-Type": "application/json"}
        answer = await at.http.post(f"{at.url}/utterances", content=body, headers=headers)
        assert answer.status_code in {400, 422}, answer.text
        assert SECRET not in answer.text
    assert SECRET not in caplog.text


async def test_a_body_is_no_larger_than_its_limit(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        large = await at.http.post(f"{at.url}/utterances", content=b" " * (4 << 20) + b"{}")
        assert (large.status_code, large.json()["id"]) == (413, "too-large")

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b" " * (1 << 20)

        unknown = await at.http.post(f"{at.url}/utterances", content=chunks())
        assert (unknown.status_code, unknown.json()["id"]) == (413, "too-large")


async def test_partials_are_in_memory_alone_and_gone_with_the_halt(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        await at.said("hel", final=False)
        await at.said("hello", final=False)
        now = (await at.http.get(f"{at.url}/transcription")).json()
        assert [one["text"] for one in now["partials"]] == ["hello"]
        await at.house.hear("ask_aadhaar")
        assert (await at.http.get(f"{at.url}/transcription")).json()["partials"] == []
        await at.house.hear("confirm")
        assert (await at.http.get(f"{at.url}/transcription")).json()["partials"] == []
        await at.house.hang_up()
        assert at.written() == []


# ------------------------------------------------------------------ recognisers


@dataclass
class Ear:
    """A recogniser's connection for events."""

    at: Desk
    events: list[dict[str, Any]] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, recogniser: str | None = None) -> None:
        query = {} if recogniser is None else {"recogniser": recogniser}
        url = f"{self.at.url}/transcription/events"
        async with self.at.http.stream("GET", url, params=query) as stream:
            assert stream.status_code == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "data":
                    self.events.append(json.loads(value))
                    self.heard.set()
        self.ended.set()

    async def until(self, number: int) -> list[str]:
        """Wait for so many events."""
        async with asyncio.timeout(WAIT_S):
            while len(self.events) < number:
                self.heard.clear()
                await self.heard.wait()
        return [event["event"] for event in self.events]


@asynccontextmanager
async def listening(at: Desk, recogniser: str | None = None) -> AsyncIterator[Ear]:
    ear = Ear(at)
    task = asyncio.create_task(ear.listen(recogniser))
    await ear.until(1)
    try:
        yield ear
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_halts_and_resumes_reach_whoever_listens(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        async with listening(at) as ear:
            assert ear.events[0]["event"] == "resumed"
            await at.house.hear("ask_aadhaar", "confirm")
            assert await ear.until(3) == ["resumed", "halted", "resumed"]
            _, halted, resumed = ear.events
            recording = at.house.call.recording
            assert recording is not None
            assert recording.running is not None
            (segment,) = recording.segments
            assert (halted["reason"], halted["at_us"]) == ("turn", segment.ended_us)
            assert (resumed["reason"], resumed["at_us"]) == (
                "recording",
                recording.running.began_us,
            )
            assert halted["call"] == at.house.call.id
            await at.house.hang_up()
            assert (await ear.until(4))[-1] == "halted"
            assert ear.events[-1]["reason"] == "ended"
            async with asyncio.timeout(WAIT_S):
                await ear.ended.wait()


async def test_a_paused_turn_begins_when_whoever_must_acknowledge_has(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        recogniser = (await at.register(must_acknowledge=True))["recogniser"]
        async with listening(at, recogniser) as ear:
            turn = asyncio.create_task(at.house.caller.gosub("turn", "ask_aadhaar"))
            await ear.until(2)
            # Recording has ended; the bot waits still.
            assert at.house.caller.running == []
            assert not turn.done()
            stale = await at.post({"recogniser": recogniser, "halt": 0}, "acknowledgements")
            assert (stale.status_code, stale.json()["id"]) == (409, "stale-acknowledgement")
            assert not turn.done()
            halt = ear.events[-1]["halt"]
            await at.post({"recogniser": recogniser, "halt": halt}, "acknowledgements")
            assert await turn == "OK"
            assert at.house.caller.variables["TURNREC_ERROR"] == ""
        assert EntryKind.ALARM not in at.house.journal.kinds()


async def test_one_that_does_not_acknowledge_is_dropped_and_the_bot_is_told(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, halt_timeout_ms=SOON_MS) as at:
        await at.house.hear()
        deaf = (await at.register(must_acknowledge=True, name="deaf"))["recogniser"]
        other = (await at.register(must_acknowledge=False, name="other"))["recogniser"]
        async with listening(at, deaf) as ear, listening(at, other) as others:
            assert await at.house.ask("turn", "ask_aadhaar") == "OK"
            assert at.house.caller.variables["TURNREC_ERROR"] == "recogniser-not-halted"
            async with asyncio.timeout(WAIT_S):
                await ear.ended.wait()
            await at.house.hear("confirm")
            assert await others.until(3) == ["resumed", "halted", "resumed"]
        one = {"speaker": "caller", "text": SECRET, "begin": at.now_us(), "end": at.now_us()}
        refused = await at.post({"utterances": [one], "recogniser": deaf})
        assert (refused.status_code, refused.json()["id"]) == (409, "recogniser-dropped")
        # It is waited for once, not at every turn.
        assert await at.house.ask("turn", "ask_aadhaar") == "OK"
        assert at.house.caller.variables["TURNREC_ERROR"] == ""
        alarms = [one for one in at.house.journal.entries if one.kind is EntryKind.ALARM]
        assert [one.result for one in alarms] == ["recogniser-not-halted"]
        assert "deaf" in str(alarms[0].detail)


async def test_one_that_has_gone_by_itself_is_not_waited_for(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        recogniser = (await at.register(must_acknowledge=True))["recogniser"]
        gone = await at.http.delete(f"{at.url}/recognisers/{recogniser}")
        assert gone.status_code == 200
        await at.house.hear("ask_aadhaar")
        answer = await at.post({"recogniser": recogniser, "halt": 1}, "acknowledgements")
        assert (answer.status_code, answer.json()["id"]) == (404, "unknown-recogniser")


async def test_one_that_comes_during_a_pause_is_told_so_and_not_waited_for(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear("ask_aadhaar")
        registered = await at.register(must_acknowledge=True)
        assert (registered["event"], registered["reason"]) == ("halted", "turn")
        await at.house.hear("ask_otp", "confirm")


async def test_an_operators_pause_and_a_fault_halt_as_well(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        async with listening(at) as ear:
            at.house.caller.run("StopMixMonitor", "")
            assert await at.house.ask("turn", "small_talk") == "FAILCLOSED"
            await ear.until(2)
            assert (ear.events[1]["event"], ear.events[1]["reason"]) == ("halted", "fault")
            await at.house.hear("confirm")
            assert (await ear.until(3))[-1] == "resumed"


async def test_a_call_that_is_not_recorded_is_halted_from_the_start(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear(bot="manual")
        assert (await at.register())["event"] == "halted"
        assert await at.said(SECRET) == {"kept": 0, "cut": 0, "dropped": 1}
        await at.house.hang_up()
        assert at.written() == []


# ------------------------------------------------------------------ files


async def test_a_crash_leaves_what_was_sure_and_the_close_cleans_up(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        await at.said("hello")
        await at.house.hear("small_talk")
        await at.files.read("none", 0)
        (path,) = at.written()
        with path.open("ab") as file:
            file.write(b'{"kind": "utterance", "speaker": "call')
        transcript = read(path)
        assert transcript is not None
        assert [one.text for one in transcript.utterances] == ["hello"]
        assert not transcript.is_closed
        await at.said("again")
        await at.house.hear("small_talk")
        await at.house.hang_up()
        transcript = read(path)
        assert transcript is not None
        assert [one.text for one in transcript.utterances] == ["hello", "again"]


async def test_a_foreign_file_is_never_taken_for_a_transcript(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.house.hear()
        recording = at.house.call.recording
        assert recording is not None
        path = at.files.path(recording.id, recording.opened_us)
        path.parent.mkdir(parents=True)
        path.write_text(SECRET, "utf-8")
        await at.said("hello")
        await at.house.hang_up()
        assert SECRET not in at.everything()
