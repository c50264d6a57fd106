"""The feed: what is durable is told in order and once, to who is quick, slow, or comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.unit.ledger.helpers import CALL, QUICK, RECORDING, entry, url_of
from turnrec.core.call import Call
from turnrec.core.entry import JSON, EntryKind
from turnrec.core.event import Event, EventType
from turnrec.core.policy import Bot
from turnrec.feed import Feed, LiveBoard, Told
from turnrec.feed.feed import MAX_BEHIND
from turnrec.ledger import Ledger, LedgerError
from turnrec.ledger.chain import Head

HANG_S = 60
OTHER = "01JCALL00000000000000000BB"


def everything(_event: Event) -> bool:
    return True


@asynccontextmanager
async def following(file: Path) -> AsyncIterator[tuple[Ledger, Feed]]:
    ledger = Ledger.open(url_of(file), limits=QUICK)
    feed = Feed(ledger)
    await feed.start()
    try:
        yield ledger, feed
    finally:
        await feed.close()
        await ledger.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


class Ear:
    """Somebody who listens, and remembers what they heard."""

    def __init__(self, stream: AsyncIterator[tuple[int, Sequence[Told]]]) -> None:
        self._stream = stream
        self.heard: list[Told] = []
        self.position = -1

    async def begin(self) -> None:
        """Take the first, empty answer: from here on nothing is missed."""
        self.position, told = await asyncio.wait_for(anext(self._stream), HANG_S)
        assert told == ()

    async def hear(self, count: int) -> list[int]:
        """Listen until so many events were heard; return their numbers."""
        async with asyncio.timeout(HANG_S):
            while len(self.heard) < count:
                self.position, told = await anext(self._stream)
                self.heard += told
        return [one.event.seq for one in self.heard]

    async def rest(self) -> list[int]:
        """Listen until the stream ends."""
        async with asyncio.timeout(HANG_S):
            async for _, told in self._stream:
                self.heard += told
        return [one.event.seq for one in self.heard]

    async def go(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]


def turns(ledger: Ledger, count: int, call_id: str = CALL) -> None:
    for number in range(count):
        ledger.append(entry(node=f"node_{number}", turn=number, call_id=call_id))


async def test_an_event_is_told_once_its_entry_is_durable(file: Path) -> None:
    async with following(file) as (ledger, feed):
        ear = Ear(feed.listen(everything))
        await ear.begin()
        ledger.append(entry(EntryKind.CALL_STARTED, bot="kyc", channel="PJSIP/a-1"))
        ledger.append(entry(EntryKind.SEGMENT_BEGAN, recording_id=RECORDING))  # told to nobody
        ledger.append(entry(node="ask_otp", turn=1))
        assert await ear.hear(2) == [1, 3]
        assert [one.event.type for one in ear.heard] == [
            EventType.CALL_STARTED,
            EventType.TURN_BEGUN,
        ]
        assert {one.event.bot for one in ear.heard} == {"kyc"}
        written = await ledger.entries()
        assert [one.key for one in ear.heard] == [written[0].hash, written[2].hash]


async def test_what_nobody_heard_is_passed_over_and_whoever_comes_hears_what_comes_next(
    file: Path,
) -> None:
    async with following(file) as (ledger, feed):
        told: list[int] = []
        feed.on_told = lambda: told.append(feed.position)
        turns(ledger, 700)
        async with asyncio.timeout(HANG_S):
            while feed.position < 700:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
        assert told[-1] == 700
        ear = Ear(feed.listen(everything))
        await ear.begin()
        turns(ledger, 1)
        assert await ear.hear(1) == [701]


async def test_who_joins_while_the_rest_is_passed_over_misses_nothing(file: Path) -> None:
    class Slow(Ledger):
        """Its head is known late."""

        asked, known = asyncio.Event(), asyncio.Event()

        async def head(self) -> Head:
            found = await super().head()
            if found.seq:
                self.asked.set()
                await self.known.wait()
            return found

    ledger = Slow.open(url_of(file), limits=QUICK)
    assert isinstance(ledger, Slow)
    feed = Feed(ledger)
    await feed.start()
    try:
        turns(ledger, 1)
        await asyncio.wait_for(ledger.asked.wait(), HANG_S)
        ear = Ear(feed.listen(everything))
        await ear.begin()
        hearing = asyncio.create_task(ear.hear(1))
        await asyncio.sleep(0)  # it has joined
        ledger.known.set()
        assert await hearing == [1]
    finally:
        ledger.known.set()
        await feed.close()
        await ledger.close()


async def test_its_one_text_is_the_stream_s_data(file: Path) -> None:
    async with following(file) as (ledger, feed):
        ear = Ear(feed.listen(everything))
        await ear.begin()
        ledger.append(entry(node="ask_otp", turn=1))
        await ear.hear(1)
        (told,) = ear.heard
        identity, kind, data, *end = told.frame.decode("ascii").split("\n")
        assert (identity, kind, end) == ("id: 1", "event: turn.begun", ["", ""])
        assert data == f"data: {told.text}"
        shown = json.loads(told.text)
        assert set(shown) == {"type", "seq", "timestamp", "call", "recording", "bot", "data"}
        assert shown["timestamp"] == "2023-11-14T22:13:20.000+00:00"


async def test_what_was_there_before_is_told_only_to_who_resumes(file: Path) -> None:
    async with following(file) as (ledger, feed):
        turns(ledger, 5)
        await ledger.flush()
    async with following(file) as (ledger, feed):
        fresh, returned = Ear(feed.listen(everything)), Ear(feed.listen(everything, 2))
        await fresh.begin()
        await returned.begin()
        assert (fresh.position, returned.position) == (5, 2)
        turns(ledger, 1)
        assert await fresh.hear(1) == [6]
        assert await returned.hear(4) == [3, 4, 5, 6]


@pytest.mark.parametrize("heard", [0, 1, 7, 499, 500, 501])
async def test_who_resumes_while_much_is_written_hears_each_event_once(
    file: Path, heard: int
) -> None:
    async with following(file) as (ledger, feed):
        turns(ledger, 501)
        await ledger.flush()
        ear = Ear(feed.listen(everything, heard))
        await ear.begin()
        # They catch up while the writer goes on, in commits of any size.
        for _ in range(20):
            turns(ledger, 10)
            await asyncio.sleep(0)
        expected = list(range(heard + 1, 702))
        assert await ear.hear(len(expected)) == expected


async def test_who_comes_back_over_a_restart_hears_each_event_once(file: Path) -> None:
    numbers: list[int] = []
    last = 0
    for _generation in range(3):
        async with following(file) as (ledger, feed):
            turns(ledger, 3)  # before they are back
            ear = Ear(feed.listen(everything, last))
            await ear.begin()
            turns(ledger, 4)
            await ear.hear(5)  # and away again before the rest
            numbers += [one.event.seq for one in ear.heard[:5]]
            last = numbers[-1]
    async with following(file) as (_, feed):
        ear = Ear(feed.listen(everything, last))
        await ear.begin()
        await ear.hear(6)
        numbers += [one.event.seq for one in ear.heard]
    assert numbers == list(range(1, 22))


async def test_a_number_that_the_ledger_never_reached_is_from_now_on(file: Path) -> None:
    async with following(file) as (ledger, feed):
        ear = Ear(feed.listen(everything, 1_000_000))
        await ear.begin()
        turns(ledger, 1)
        assert await ear.hear(1) == [1]


async def test_a_listener_hears_only_what_is_theirs(file: Path) -> None:
    async with following(file) as (ledger, feed):
        ledger.append(entry(EntryKind.CALL_STARTED, bot="kyc"))
        ledger.append(entry(EntryKind.CALL_STARTED, bot="sales", call_id=OTHER))
        mine = Ear(feed.listen(lambda event: event.bot == "kyc", 0))
        theirs = Ear(feed.listen(everything, 0, call_id=OTHER))
        await mine.begin()
        await theirs.begin()
        await mine.hear(1)
        await theirs.hear(1)
        turns(ledger, 2)
        turns(ledger, 2, OTHER)
        assert await mine.hear(3) == [1, 3, 4]
        assert await theirs.hear(3) == [2, 5, 6]


async def test_who_is_too_slow_is_let_go_and_resumes_while_the_others_hear_on(file: Path) -> None:
    async with following(file) as (ledger, feed):
        slow, quick = Ear(feed.listen(everything)), Ear(feed.listen(everything))
        await slow.begin()
        await quick.begin()
        # The next step joins; it waits for news.
        waiting = asyncio.create_task(slow.hear(1))
        await asyncio.sleep(0)
        turns(ledger, 1)
        await waiting
        count = MAX_BEHIND + 1
        for _ in range(count):
            ledger.append(entry())
        assert await quick.hear(count + 1) == list(range(1, count + 2))
        first = await slow.rest()
        assert first == list(range(1, len(first) + 1))
        assert len(first) < count + 1
        again = Ear(feed.listen(everything, first[-1]))
        await again.begin()
        assert first + await again.hear(count + 1 - len(first)) == list(range(1, count + 2))


async def test_a_listener_who_goes_is_forgotten(file: Path) -> None:
    async with following(file) as (ledger, feed):
        ear = Ear(feed.listen(everything))
        await ear.begin()
        turns(ledger, 1)
        await ear.hear(1)
        assert len(feed._listeners) == 1
        await ear.go()
        assert not feed._listeners


async def test_everybody_is_let_go_when_the_feed_ends(file: Path) -> None:
    async with following(file) as (ledger, feed):
        ears = [Ear(feed.listen(everything)) for _ in range(3)]
        for ear in ears:
            await ear.begin()
        turns(ledger, 2)
        for ear in ears:
            await ear.hear(2)
        ends = [asyncio.create_task(ear.rest()) for ear in ears]
        await asyncio.sleep(0)
        await feed.close()
        assert await asyncio.gather(*ends) == [[1, 2]] * 3


async def test_events_wait_while_the_ledger_cannot_be_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnrec.feed.feed._RETRY_S", 0.001)
    async with following(file) as (ledger, feed):
        ear = Ear(feed.listen(everything))
        await ear.begin()
        read, failures = ledger.told, [0]

        async def fails(*arguments: object, **options: object) -> object:
            failures[0] += 1
            if failures[0] <= 3:
                raise LedgerError("not now")
            return await read(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(ledger, "told", fails)
        turns(ledger, 2)
        assert await ear.hear(2) == [1, 2]
        assert failures[0] > 3


async def test_a_timeline_comes_in_pages(file: Path) -> None:
    async with following(file) as (ledger, feed):
        ledger.append(entry(EntryKind.CALL_STARTED, bot="kyc"))
        turns(ledger, 3)
        turns(ledger, 2, OTHER)
        ledger.append(entry(EntryKind.SEGMENT_BEGAN))
        ledger.append(entry(EntryKind.CALL_ENDED))
        await ledger.flush()
        seen: list[JSON] = []
        after: int | None = 0
        while after is not None:
            events, after = await feed.timeline(CALL, after, 2)
            assert len(events) <= 2
            seen += [one["seq"] for one in events]
        assert seen == [1, 2, 3, 4, 8]


# ------------------------------------------------------------------ the live board


class Calls:
    """Live calls that a test makes and ends."""

    def __init__(self) -> None:
        self.live: dict[str, Call] = {}
        self.described: list[str] = []

    def begin(self, call_id: str, bot: str) -> None:
        self.live[call_id] = Call(call_id, f"u-{call_id}", f"PJSIP/{call_id}", Bot(bot), 0)

    def describe(self, call: Call) -> dict[str, JSON]:
        self.described.append(call.id)
        return {"id": call.id, "bot": call.bot.name}


async def frame(stream: AsyncIterator[bytes]) -> tuple[str, dict[str, list[object]]]:
    text = (await asyncio.wait_for(anext(stream), HANG_S)).decode("ascii")
    kind, data = text.removesuffix("\n\n").split("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def ids(calls: Sequence[object]) -> list[str]:
    return [one["id"] for one in calls if isinstance(one, dict)]


@pytest.fixture
def calls() -> Calls:
    calls = Calls()
    calls.begin("a", "kyc")
    calls.begin("b", "sales")
    return calls


@pytest.fixture
def board(calls: Calls) -> LiveBoard:
    return LiveBoard(lambda: calls.live.values(), calls.describe, coalesced_s=0.001)


async def test_a_watcher_sees_all_calls_first_and_then_what_changes(
    calls: Calls, board: LiveBoard
) -> None:
    watcher = board.watch(None)
    kind, shown = await frame(watcher)
    assert (kind, ids(shown["calls"])) == ("snapshot", ["a", "b"])
    board.touched("a")
    kind, shown = await frame(watcher)
    assert (kind, ids(shown["changed"]), shown["ended"]) == ("calls", ["a"], [])
    calls.begin("c", "kyc")
    board.touched("c")
    del calls.live["b"]
    board.touched("b")
    kind, shown = await frame(watcher)
    assert (ids(shown["changed"]), shown["ended"]) == (["c"], ["b"])


async def test_a_change_is_serialised_once_however_many_watch(
    calls: Calls, board: LiveBoard
) -> None:
    watchers = [board.watch(None) for _ in range(20)]
    for watcher in watchers:
        await frame(watcher)
    calls.described.clear()
    for _ in range(50):
        board.touched("a")
    frames = {await asyncio.wait_for(anext(watcher), HANG_S) for watcher in watchers}
    assert len(frames) == 1
    assert calls.described == ["a"]


async def test_a_watcher_sees_the_calls_of_their_bots_alone(calls: Calls, board: LiveBoard) -> None:
    watcher = board.watch(frozenset({"sales"}))
    _, shown = await frame(watcher)
    assert ids(shown["calls"]) == ["b"]
    everybody = board.watch(None)
    await frame(everybody)
    del calls.live["a"]
    board.touched("a")
    _, shown = await frame(everybody)
    assert shown["ended"] == ["a"]
    board.touched("b")
    _, shown = await frame(watcher)  # the first that they hear of since
    assert (ids(shown["changed"]), shown["ended"]) == (["b"], [])


async def test_nobody_watching_costs_nothing(calls: Calls, board: LiveBoard) -> None:
    board.touched("a")
    assert calls.described == []
    await frame(board.watch(None))
    assert calls.described == ["a", "b"]


async def test_who_comes_later_sees_how_it_is_then(calls: Calls, board: LiveBoard) -> None:
    first = board.watch(None)
    await frame(first)
    calls.begin("c", "kyc")
    board.touched("c")
    await frame(first)
    del calls.live["a"]
    board.touched("a")
    await frame(first)
    _, shown = await frame(board.watch(None))
    assert ids(shown["calls"]) == ["b", "c"]


async def test_a_watcher_who_does_not_read_is_let_go(calls: Calls, board: LiveBoard) -> None:
    slow, quick = board.watch(None), board.watch(None)
    await frame(slow)
    for _ in range(100):
        await frame(quick) if not calls.described else None
        board.touched("a")
        await frame(quick)
    async with asyncio.timeout(HANG_S):
        assert [one async for one in slow] == []


async def test_the_board_ends_every_watch(board: LiveBoard) -> None:
    watcher = board.watch(None)
    await frame(watcher)
    ending = asyncio.create_task(anext(watcher, None))
    await asyncio.sleep(0)
    board.close()
    assert await asyncio.wait_for(ending, HANG_S) is None
    assert [one async for one in board.watch(None)] == []
