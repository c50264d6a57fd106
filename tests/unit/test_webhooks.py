"""Webhooks: signed, tried until they are taken, kept over a restart; no receiver delays another.

The receivers are real HTTP servers on 127.0.0.1, the ledger is a real one; signatures are verified
by the Standard Webhooks project's own library.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import ssl
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.loopback.receiver import HANG_S, Received, Receiver
from tests.unit.ledger.helpers import CALL, QUICK, entry, url_of
from turnrec.clock import SteadyClock
from turnrec.core.entry import EntryKind
from turnrec.core.event import EventType
from turnrec.feed import tell
from turnrec.ledger import Ledger
from turnrec.ledger.reader import LedgerReader
from turnrec.webhooks import InvalidWebhookError, Patience, Store, Webhooks
from turnrec.webhooks.courier import Courier, Recent
from turnrec.webhooks.endpoint import Delivery, Endpoint, check_url, message_id, new_secret, signed
from turnrec.webhooks.store import Later

DOCS = Path(__file__).parents[2] / "docs" / "events.md"
OTHER = "01JCALL00000000000000000BB"
SOON = Patience(retry_after_s=(0.001,) * 8, timeout_s=HANG_S)
"""Retries at once: for tests in which it matters how often, and not when."""
_IDS = count(1)


def call_on_written(ledger: Ledger, wake: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def written() -> None:
        loop.call_soon_threadsafe(wake)

    ledger.on_written(written)


def files_of(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


@dataclass
class Post:
    """A ledger, and a courier that follows it, as the server and its process do."""

    folder: Path
    ledger: Ledger
    store: Store
    courier: Courier
    alarms: list[tuple[str, str]] = field(default_factory=list)
    alarmed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, patience: Patience = SOON) -> AsyncIterator[Post]:
        url = url_of(folder / "ledger.db")
        ledger = Ledger.open(url, limits=QUICK)
        # The server and its courier have a connection each.
        store, its_own = Store(folder / "webhooks.db"), Store(folder / "webhooks.db")
        reader, trusted = LedgerReader(url), ssl.create_default_context()
        alarms: list[tuple[str, str]] = []
        alarmed = asyncio.Event()

        def alarm(alarm_id: str, sentence: str) -> None:
            alarms.append((alarm_id, sentence))
            alarmed.set()

        courier = Courier(its_own, reader, trusted, SteadyClock(), alarm, patience=patience)
        call_on_written(ledger, courier.wake)
        courier.start()
        try:
            yield cls(folder, ledger, store, courier, alarms, alarmed)
        finally:
            ledger.on_written(None)
            await courier.close()
            await reader.close()
            await ledger.close()
            store.close()
            its_own.close()

    async def hook(
        self,
        url: str,
        types: frozenset[EventType] | None = None,
        bots: frozenset[str] | None = None,
    ) -> Endpoint:
        """Make a webhook that hears what is written from now on."""
        await self.ledger.flush()
        head = (await self.ledger.head()).seq
        endpoint = Endpoint(f"HOOK{next(_IDS):04d}", url, new_secret(), types, bots, 0, head)
        self.store.add(endpoint)
        self.courier.wake()
        return endpoint

    def happen(self, number: int, call_id: str = CALL) -> None:
        for turn in range(number):
            self.ledger.append(entry(node="ask_otp", turn=turn, call_id=call_id))

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait until something is true of the store, which tells nobody."""
        async with asyncio.timeout(HANG_S):
            while not what():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def seqs(came: list[Received]) -> list[int]:
    return sorted(one.seq for one in came)


# ------------------------------------------------------------------ what is sent


async def test_an_event_is_sent_signed_as_the_convention_says(tmp_path: Path) -> None:
    async with Post.open(tmp_path) as post, Receiver.open() as receiver:
        hook = await post.hook(receiver.url)
        post.ledger.append(entry(EntryKind.CALL_STARTED, bot="kyc", channel="PJSIP/a-1"))
        (came, *_) = await receiver.count(1)
        assert came.headers["content-type"] == "application/json"
        verified = Webhook(hook.secret).verify(came.body, came.headers)
        assert verified["type"] == "call.started"
        with pytest.raises(WebhookVerificationError):
            Webhook(new_secret()).verify(came.body, came.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(hook.secret).verify(came.body + b" ", came.headers)
        (written,) = await post.ledger.entries()
        told = tell(written, "kyc")
        assert told is not None
        assert came.body.decode("ascii") == told.text  # as in the event stream


def test_the_signature_is_the_convention_s_own_example() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, the libraries' shared test.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_the_docs_verify_with_is_right() -> None:
    text = DOCS.read_text(encoding="utf-8")
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "hmac" in one)
    scope: dict[str, Any] = {}
    exec(code, scope)
    secret, body, now_s = new_secret(), b'{"type":"alarm"}', int(time.time())
    headers = dict(signed(secret, "msg_1", now_s, body))
    scope["verify"](secret, headers, body)
    for wrong in (
        (new_secret(), headers, body),
        (secret, headers, body + b" "),
        (secret, {**headers, "webhook-id": "msg_2"}, body),
        (secret, dict(signed(secret, "msg_1", now_s - 301, body)), body),
    ):
        with pytest.raises(ValueError, match=r"not signed|too old"):
            scope["verify"](*wrong)


def test_a_secret_has_as_many_bits_as_the_convention_asks() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64
    assert secret != new_secret()


async def test_a_webhook_hears_only_what_it_asked_for(tmp_path: Path) -> None:
    async with (
        Post.open(tmp_path) as post,
        Receiver.open() as everything,
        Receiver.open() as turns,
        Receiver.open() as sales,
    ):
        await post.hook(everything.url)
        await post.hook(turns.url, types=frozenset({EventType.TURN_BEGUN}))
        await post.hook(sales.url, bots=frozenset({"sales"}))
        post.ledger.append(entry(EntryKind.CALL_STARTED, bot="kyc"))
        post.ledger.append(entry(EntryKind.CALL_STARTED, bot="sales", call_id=OTHER))
        post.ledger.append(entry(EntryKind.ALARM, call_id=None, sentence="of no bot"))
        post.happen(1)
        post.happen(1, OTHER)
        assert seqs(await everything.count(5)) == [1, 2, 3, 4, 5]
        assert seqs(await turns.count(2)) == [4, 5]
        assert seqs(await sales.count(2)) == [2, 5]


async def test_a_new_webhook_hears_nothing_of_before(tmp_path: Path) -> None:
    async with Post.open(tmp_path) as post, Receiver.open() as receiver:
        post.happen(5)
        await post.hook(receiver.url)
        post.happen(2)
        assert seqs(await receiver.count(2)) == [6, 7]


async def test_connections_are_kept_and_bounded(tmp_path: Path) -> None:
    running, most = [0], [0]

    async def answer(_: Received) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0)
        running[0] -= 1
        return "200 OK"

    async with Post.open(tmp_path, replace(SOON, at_once=4)) as post, Receiver.open(answer) as one:
        await post.hook(one.url)
        post.happen(100)
        assert seqs(await one.count(100)) == list(range(1, 101))
        assert most[0] <= 4
        assert one.connections <= 8  # a connection may be closed while its request ends


# ------------------------------------------------------------------ trying again


@pytest.mark.parametrize("status", ["500 Internal Server Error", "429 Slow", "404 No", "302 Found"])
async def test_what_was_not_taken_is_tried_again_under_the_same_id(
    tmp_path: Path, status: str
) -> None:
    refusals = 3

    def answer(_: Received) -> str:
        return status if len(receiver.came) <= refusals else "200 OK"

    async with Post.open(tmp_path) as post, Receiver.open() as receiver:
        receiver.answer = answer
        hook = await post.hook(receiver.url)
        post.happen(1)
        came = await receiver.count(refusals + 1)
        assert len({one.message_id for one in came}) == 1
        assert len({one.body for one in came}) == 1
        for one in came:
            Webhook(hook.secret).verify(one.body, one.headers)
        await post.until(lambda: post.store.waiting(hook.id) == 0)
        assert post.store.count_dead(hook.id) == 0
        assert len(receiver.came) == refusals + 1


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async with (
        Post.open(tmp_path) as post,
        Receiver.open() as elsewhere,
        Receiver.open() as receiver,
    ):
        receiver.answer = lambda _: f"307 Elsewhere\r\nLocation: {elsewhere.url}"
        hook = await post.hook(receiver.url)
        post.happen(1)
        await post.until(lambda: post.store.count_dead(hook.id) == 1)
        assert elsewhere.came == []


async def test_a_receiver_that_does_not_answer_is_given_its_time_and_tried_again(
    tmp_path: Path,
) -> None:
    never = asyncio.Event()

    async def answer(_: Received) -> str:
        if len(receiver.came) == 1:
            await never.wait()
        return "200 OK"

    async with (
        Post.open(tmp_path, replace(SOON, timeout_s=0.05)) as post,
        Receiver.open() as receiver,
    ):
        receiver.answer = answer
        await post.hook(receiver.url)
        post.happen(1)
        first, second, *_ = await receiver.count(2)
        assert first.message_id == second.message_id
        never.set()


async def test_each_pause_is_as_long_as_the_plan_says_and_a_little_longer() -> None:
    plan = Patience()
    pauses = [plan.pause_s(attempts, 0.0) for attempts in range(1, 10)]
    assert pauses == [5, 30, 120, 600, 1800, 7200, 21600, 86400, None]
    assert plan.pause_s(1, 1.0) == pytest.approx(6)


async def test_after_the_last_try_it_is_a_dead_letter_and_somebody_is_woken_once(
    tmp_path: Path,
) -> None:
    async with (
        Post.open(tmp_path) as post,
        Receiver.open(lambda _: "500 No") as receiver,
    ):
        hook = await post.hook(receiver.url)
        post.happen(3)
        await post.until(lambda: post.store.count_dead(hook.id) == 3)
        tries = len(SOON.retry_after_s) + 1
        assert len(receiver.came) == 3 * tries
        letters = post.store.dead_letters(hook.id, None, 10)
        assert [one.seq for one in letters] == [3, 2, 1]
        assert {(one.attempts, one.last_status) for one in letters} == {(tries, 500)}
        assert [alarm_id for alarm_id, _ in post.alarms] == ["webhook-dead-letter"]
        assert hook.id in post.alarms[0][1]
        assert receiver.url not in post.alarms[0][1]


async def test_a_dead_letter_can_be_sent_anew(tmp_path: Path) -> None:
    async with (
        Post.open(tmp_path, replace(SOON, retry_after_s=())) as post,
        Receiver.open(lambda _: "500 No") as receiver,
    ):
        hook = await post.hook(receiver.url)
        post.happen(1)
        await post.until(lambda: post.store.count_dead(hook.id) == 1)
        receiver.answer = lambda _: "200 OK"
        (letter,) = post.store.dead_letters(hook.id, None, 10)
        assert post.store.revive(hook.id, letter.id, 0) is not None
        post.courier.wake()
        first, second = await receiver.count(2)
        assert first.message_id == second.message_id
        await post.until(lambda: post.store.waiting(hook.id) == 0)
        assert post.store.revive(hook.id, letter.id, 0) is None


async def test_dead_letters_are_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    patience = replace(SOON, retry_after_s=(), dead_letters=3)
    async with Post.open(tmp_path, patience) as post, Receiver.open(lambda _: "500 No") as receiver:
        hook = await post.hook(receiver.url)
        post.happen(10)
        await receiver.count(10)
        await post.until(lambda: post.store.waiting(hook.id) == 0)
        await post.until(lambda: post.store.count_dead(hook.id) == 3)
        assert [one.seq for one in post.store.dead_letters(hook.id, None, 10)] == [10, 9, 8]


async def test_a_receiver_that_is_gone_is_sent_nothing_more(tmp_path: Path) -> None:
    async with (
        Post.open(tmp_path, replace(SOON, at_once=1)) as post,
        Receiver.open(lambda _: "410 Gone") as receiver,
    ):
        hook = await post.hook(receiver.url)
        post.happen(3)
        await asyncio.wait_for(post.alarmed.wait(), HANG_S)
        assert [alarm_id for alarm_id, _ in post.alarms] == ["webhook-disabled"]
        (known,) = post.store.endpoints()
        assert known.disabled == "gone"
        assert (post.store.waiting(hook.id), post.store.count_dead(hook.id)) == (0, 3)
        post.happen(3)
        await post.ledger.flush()
        post.courier.wake()
        async with Receiver.open() as other:
            await post.hook(other.url)
            post.happen(1)
            await other.count(1)
        assert len(receiver.came) == 1


# ------------------------------------------------------------------ the others


async def test_a_dead_and_a_slow_receiver_delay_nobody_else(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def slow(_: Received) -> str:
        await never.wait()
        return "200 OK"

    async with (
        Post.open(tmp_path, replace(SOON, retry_after_s=(HANG_S,))) as post,
        Receiver.open() as quick,
        Receiver.open(slow) as hanging,
    ):
        await post.hook("http://127.0.0.1:1/nobody-listens")
        await post.hook(hanging.url)
        await post.hook(quick.url)
        post.happen(200)
        assert seqs(await quick.count(200)) == list(range(1, 201))
        assert len(hanging.came) <= SOON.at_once
        never.set()


async def test_what_waits_is_bounded_and_the_ledger_keeps_the_rest(tmp_path: Path) -> None:
    is_up = [False]
    async with (
        Post.open(tmp_path, replace(SOON, window=20, retry_after_s=(0.001,) * 1000)) as post,
        Receiver.open(lambda _: "200 OK" if is_up[0] else "500 No") as receiver,
    ):
        hook = await post.hook(receiver.url)
        post.happen(300)
        await receiver.count(5)
        assert post.store.waiting(hook.id) <= 20
        is_up[0] = True
        await receiver.until(lambda came: len({one.seq for one in came}) == 300)


async def test_a_failing_receiver_is_asked_one_at_a_time(tmp_path: Path) -> None:
    running, most, is_up = [0], [0], [False]

    async def answer(_: Received) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.003)  # long enough for another to come meanwhile
        running[0] -= 1
        return "200 OK" if is_up[0] else "500 No"

    patience = replace(SOON, retry_after_s=(0.001,) * 1000)
    async with Post.open(tmp_path, patience) as post, Receiver.open(answer) as receiver:
        await post.hook(receiver.url)
        post.happen(50)
        await receiver.count(20)  # the first eight may have been under way together
        most[0] = 0
        await receiver.count(60)
        assert most[0] == 1
        is_up[0] = True
        await receiver.until(lambda came: len({one.seq for one in came}) == 50)


# ------------------------------------------------------------------ restarts


async def test_nothing_is_lost_over_a_restart_and_nothing_changes_its_id(tmp_path: Path) -> None:
    async with Receiver.open(lambda _: "500 No") as receiver:
        later = replace(SOON, retry_after_s=(0.001, HANG_S))
        async with Post.open(tmp_path, later) as post:
            hook = await post.hook(receiver.url)
            post.happen(3)
            await receiver.until(lambda came: {one.seq for one in came} == {1, 2, 3})
        while_down = Ledger.open(url_of(tmp_path / "ledger.db"), limits=QUICK)
        while_down.append(entry(node="confirm", turn=9))
        await while_down.close()
        ids = {one.seq: one.message_id for one in receiver.came}
        tried = len(receiver.came)
        receiver.answer = lambda _: "200 OK"
        async with Post.open(tmp_path) as post:
            for one in post.store.due(hook.id, 2**62, 10, ())[0]:
                post.store.settle((), [_now(one)], 0)  # so that nobody waits for the pause
            post.courier.wake()
            post.happen(1)
            came = await receiver.until(lambda came: {one.seq for one in came[tried:]} >= {4, 5})
            await post.until(lambda: post.store.waiting(hook.id) == 0)
        assert {one.seq for one in came[tried:]} == {1, 2, 3, 4, 5}
        assert all(ids.get(one.seq, one.message_id) == one.message_id for one in came)


def _now(one: Delivery) -> Later:
    return Later(one, 1)


async def test_what_was_taken_is_not_sent_again_after_a_restart(tmp_path: Path) -> None:
    async with Receiver.open() as receiver:
        async with Post.open(tmp_path) as post:
            hook = await post.hook(receiver.url)
            post.happen(5)
            await receiver.count(5)
            await post.until(lambda: post.store.waiting(hook.id) == 0)
        async with Post.open(tmp_path) as post:
            post.happen(2)
            await receiver.until(lambda came: {one.seq for one in came} >= {6, 7})
        assert seqs(receiver.came) == [1, 2, 3, 4, 5, 6, 7]


def test_an_event_has_one_id_for_each_webhook() -> None:
    # A crash may leave it to be taken over again: then it is known by this.
    key = "0123456789abcdef" * 4
    assert message_id("HOOK1", key) == message_id("HOOK1", key)
    assert (
        len({message_id(hook, one) for hook in ("HOOK1", "HOOK2") for one in (key, "f" * 64)}) == 4
    )


async def test_another_ledger_s_numbers_are_not_mistaken_for_this_one_s(tmp_path: Path) -> None:
    async with Receiver.open() as receiver:
        async with Post.open(tmp_path) as post:
            hook = await post.hook(receiver.url)
            post.happen(10)
            await receiver.count(10)
            await post.until(lambda: post.store.waiting(hook.id) == 0)
        for file in files_of(tmp_path, "ledger.db*"):
            file.unlink()
        anew = Ledger.open(url_of(tmp_path / "ledger.db"), limits=QUICK)
        anew.append(entry(node="confirm", turn=77))
        await anew.close()
        async with Post.open(tmp_path) as post:
            await post.until(lambda: post.store.endpoints()[0].cursor == 1)
            post.happen(2)
            came = await receiver.count(12)
        assert [one.seq for one in came[10:]] == [2, 3]


async def test_the_newest_events_are_read_once_and_older_ones_from_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnrec.webhooks.courier._REMEMBERED", 10)
    ledger = Ledger.open(url_of(tmp_path / "ledger.db"), limits=QUICK)
    recent = Recent(ledger)
    seen: dict[int, list[int]] = {place: [] for place in (0, 3, 40)}
    places = dict(seen.fromkeys(seen, 0)) | {place: place for place in seen}

    async def read_on(limit: int) -> None:
        for place, numbers in seen.items():
            while True:
                told, end = await recent.after(places[place], limit)
                numbers += [one.event.seq for one in told]
                if end == places[place]:
                    break
                places[place] = end

    await recent.refresh()
    for size in (1, 50, 7, 30, 12):
        for _ in range(size):
            ledger.append(entry())
        await ledger.flush()
        await recent.refresh()
        await read_on(3)
    assert seen == {place: list(range(place + 1, 101)) for place in seen}
    await ledger.close()


# ------------------------------------------------------------------ secrets and addresses


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "//host/path",
        "host/path",
        "http://user:password@host/",
        "http://user@host/",
        "http://host/#part",
        "http://host:0/",
        "http://host:99999/",
        "http://host/\r\nX: y",
        "http://host/a b",
        "http://hóst/",
        "",
        "http://host/" + "x" * 2000,
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidWebhookError) as refused:
        check_url(url)
    assert "password@" not in str(refused.value)
    assert "host" not in str(refused.value).replace("and a host", "")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/hook", "https://a.example/x?token=1", "http://[::1]:9/"]
)
def test_an_address_is_kept_as_it_is(url: str) -> None:
    assert check_url(url) == url


async def test_the_database_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    async with Post.open(tmp_path) as post, Receiver.open() as receiver:
        await post.hook(receiver.url)
        post.happen(1)
        await receiver.count(1)
        files = list(files_of(tmp_path, "webhooks.db*"))
        assert files
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_no_secret_and_no_answer_is_logged_or_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # as `turnrec.logs` has it
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    async with (
        Post.open(tmp_path, replace(SOON, retry_after_s=())) as post,
        Receiver.open(lambda _: "500 No\r\nX-Said: 2345-6789") as receiver,
    ):
        hook = await post.hook(receiver.url + "?token=hidden-token")
        post.happen(1)
        await post.until(lambda: post.store.count_dead(hook.id) == 1)
    stored = b"".join(file.read_bytes() for file in files_of(tmp_path, "webhooks.db*"))
    for secret in (hook.secret.removeprefix("whsec_"), "hidden-token", "2345-6789"):
        assert secret not in caplog.text
        assert secret not in str(post.alarms)
        assert secret not in repr(hook) or secret == "hidden-token"
    assert b"2345-6789" not in stored


# ------------------------------------------------------------------ the process


async def test_the_courier_is_a_process_that_ends_with_the_server(tmp_path: Path) -> None:
    url = url_of(tmp_path / "ledger.db")
    ledger = Ledger.open(url, limits=QUICK)
    alarms: list[str] = []
    alarmed = asyncio.Event()

    def alarm(alarm_id: str, _sentence: str) -> None:
        alarms.append(alarm_id)
        alarmed.set()

    webhooks = Webhooks(
        tmp_path / "webhooks.db",
        url,
        lambda: 0,
        SteadyClock(),
        lambda: f"HOOK{next(_IDS):04d}",
        alarm,
        told_to_courier={"patience": {"retry_after_s": []}},
    )
    await webhooks.start()
    assert webhooks._process is None  # without a webhook there is no process
    call_on_written(ledger, webhooks.wake)
    async with Receiver.open() as receiver:
        hook = await webhooks.create(receiver.url, None, None)
        ledger.append(entry())
        (came,) = await receiver.count(1)
        assert json.loads(came.body)["seq"] == 1
        Webhook(hook.secret).verify(came.body, came.headers)
        # Killed, it is started again, and goes on where it was.
        process = webhooks._process
        assert process is not None
        process.kill()
        await asyncio.wait_for(alarmed.wait(), HANG_S)
        assert alarms == ["webhooks-down"]
        ledger.append(entry())
        await receiver.until(lambda came: {one.seq for one in came} == {1, 2})
        # What it can't deliver it tells the server of.
        alarmed.clear()
        receiver.answer = lambda _: "500 No"
        ledger.append(entry())
        await asyncio.wait_for(alarmed.wait(), HANG_S)
        assert alarms == ["webhooks-down", "webhook-dead-letter"]
        (letter,) = await webhooks.dead_letters(hook.id, None, 10)
        receiver.answer = lambda _: "200 OK"
        before = len(receiver.came)
        assert (await webhooks.retry(hook, letter.id)).message_id == letter.message_id
        await receiver.count(before + 1)
        process = webhooks._process
        assert process is not None
        await webhooks.close()
        assert process.returncode == 0
    ledger.on_written(None)
    await ledger.close()
