"""Recordings heard over the API: ranges, formats, what can't be heard; and who listened."""

from __future__ import annotations

import asyncio
import email
import hashlib
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.unit.recordings.parts import audio
from tests.unit.test_keeping import NOW_US, WHY
from tests.unit.web.recordings_api import UTTERANCE, Api
from turnrec.core.entry import EntryKind, Origin
from turnrec.listening import ONCE_WITHIN_US
from turnrec.recordings.inside import open_inside
from turnrec.recordings.join import UnsafeNameError
from turnrec.recordings.sound import SoundUnreadableError
from turnrec.recordings.sound import hash_file as sha256
from turnrec.web.access import Right
from turnrec.web.ranges import ranges_of

# ------------------------------------------------------------------ heard


SIZE = 48_044


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-99", 206, 0, 99),
        ("bytes=48000-", 206, 48_000, SIZE - 1),
        ("bytes=-44", 206, SIZE - 44, SIZE - 1),
        ("bytes=-99999999", 206, 0, SIZE - 1),
        ("bytes=100-99999999", 206, 100, SIZE - 1),
        ("BYTES = 0-0 ,", 206, 0, 0),
        ("bytes=0-9,60000-70000", 206, 0, 9),
        (f"bytes={SIZE}-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        # What is no range is as if it weren't there.
        ("bytes=9-0", 200, 0, SIZE - 1),
        ("bytes=", 200, 0, SIZE - 1),
        ("bytes=-", 200, 0, SIZE - 1),
        ("bytes=+1-2", 200, 0, SIZE - 1),
        ("bytes=1_0-20", 200, 0, SIZE - 1),
        ("bytes=0-9,x", 200, 0, SIZE - 1),
        ("seconds=0-1", 200, 0, SIZE - 1),
        ("bytes=0-9,5-20", 200, 0, SIZE - 1),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 200, 2)), 200, 0, SIZE - 1),
    ],
)
async def test_a_range_is_those_very_bytes(
    api: Api, asked: str, status: int, first: int, last: int
) -> None:
    path = await api.house.record("R1")
    key = api.key(Right.READ)
    answer = await api.ask("/R1/audio", key, headers={"Range": asked})
    assert answer.status_code == status, answer.text
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
        assert answer.json()["id"] == "range-not-satisfiable"
        return
    assert answer.content == path.read_bytes()[first : last + 1]
    assert answer.headers["Content-Length"] == str(last - first + 1)
    expected = f"bytes {first}-{last}/{SIZE}" if status == 206 else None
    assert answer.headers.get("Content-Range") == expected
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{sha256(path)}"'
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="R1.wav"'


async def test_several_ranges_come_as_parts_in_the_order_asked_for(api: Api) -> None:
    data = (await api.house.record("R1")).read_bytes()
    headers = {"Range": "bytes=40000-40099, 0-43, -10"}
    answer = await api.ask("/R1/audio", api.key(Right.READ), headers=headers)
    assert answer.status_code == 206
    assert answer.headers["Content-Length"] == str(len(answer.content))
    kind = answer.headers["Content-Type"].encode()
    message = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + answer.content)
    parts: Any = message.get_payload()
    found = [(one["Content-Range"], one.get_payload(decode=True)) for one in parts]
    assert [one["Content-Type"] for one in parts] == ["audio/wav"] * 3
    assert found == [
        (f"bytes {first}-{last}/{SIZE}", data[first : last + 1])
        for first, last in ((40_000, 40_099), (0, 43), (SIZE - 10, SIZE - 1))
    ]


async def test_conditions_are_held_against_the_hash(api: Api) -> None:
    tag = f'"{sha256(await api.house.record("R1"))}"'
    key = api.key(Right.READ)

    async def status(**headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await api.ask("/R1/audio", key, headers=sent)).status_code

    assert await status(Range="bytes=0-9", If_Range=tag) == 206
    assert await status(Range="bytes=0-9", If_Range='"other"') == 200
    assert await status(Range="bytes=0-9", If_Range=f"W/{tag}") == 200
    assert await status(Range="bytes=0-9", If_Range="Wed, 21 Oct 2015 07:28:00 GMT") == 200
    assert await status(If_None_Match=tag) == 304
    assert await status(If_None_Match=f'"other", W/{tag}') == 304
    assert await status(If_None_Match="*") == 304
    assert await status(If_None_Match='"other"') == 200
    assert await status(If_Match=tag) == 200
    assert await status(If_Match="*") == 200
    assert await status(If_Match=f"W/{tag}") == 412
    assert await status(If_Match='"other"', Range="bytes=0-9") == 412


async def test_a_head_says_all_and_sends_nothing_and_nobody_has_listened(api: Api) -> None:
    await api.house.record("R1")
    key = api.key(Right.READ)
    headers = {"Range": "bytes=0-9"}
    answer = await api.ask("/R1/audio", key, method="HEAD", headers=headers)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(SIZE))
    assert answer.headers["ETag"]
    assert answer.content == b""
    assert await api.accesses("R1") == []


@pytest.mark.parametrize(("form", "kind"), [("flac", "audio/flac"), ("opus", "audio/ogg")])
async def test_another_format_is_made_once_and_heard_in_ranges(
    api: Api, form: str, kind: str
) -> None:
    path = await api.house.record("R1")
    key = api.key(Right.READ)
    whole = await api.ask("/R1/audio", key, format=form)
    assert whole.headers["Content-Type"].startswith(kind)
    assert whole.headers["Content-Disposition"] == f'attachment; filename="R1.{form}"'
    assert whole.headers["ETag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    samples, rate_hz = soundfile.read(BytesIO(whole.content), dtype="int16")
    assert (len(samples), rate_hz) == (24_000, 8_000)
    if form == "flac":
        assert (samples == audio(path)).all()
    part = await api.ask("/R1/audio", key, format=form, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    # An encoder's file isn't the same twice: it was made once.
    assert part.headers["ETag"] == whole.headers["ETag"]
    assert list((api.house.folder / ".copies").iterdir()) == []


async def test_pauses_are_cut_out_or_kept_and_channels_are_two_where_asked(api: Api) -> None:
    path = await api.house.record("R1", stereo=True)
    key = api.key(Right.READ)
    skipped = await api.ask("/R1/audio", key, behavior="skip")
    samples, _ = soundfile.read(BytesIO(skipped.content), dtype="int16")
    whole = audio(path)
    assert (samples == np.concatenate([whole[:8000], whole[16000:]])).all()
    assert skipped.headers["Content-Disposition"].endswith('"R1.skip.wav"')
    same = await api.ask("/R1/audio", key, behavior="silence")
    assert same.content == path.read_bytes()
    two = await api.ask("/R1/audio", key, stereo="true")
    assert two.content == path.with_suffix(".stereo.wav").read_bytes()
    flac = await api.ask("/R1/audio", key, stereo="true", format="flac", behavior="skip")
    samples, _ = soundfile.read(BytesIO(flac.content), dtype="int16")
    assert samples.shape == (16_000, 2)
    assert flac.headers["Content-Disposition"].endswith('"R1.stereo.skip.flac"')


async def test_copies_are_few_and_of_what_is_deleted_none_stays(api: Api) -> None:
    await api.house.record("R1")
    key = api.key(Right.READ)
    for form, behavior in (("flac", "silence"), ("opus", "silence"), ("wav", "skip")):
        answer = await api.ask("/R1/audio", key, format=form, behavior=behavior)
        assert answer.status_code == 200
    assert len(api.copies._kept) == 2
    at_once = [api.ask("/R1/audio", key, format="flac", behavior="skip") for _ in range(5)]
    assert len({one.headers["ETag"] for one in await asyncio.gather(*at_once)}) == 1
    await api.house.keeper.delete("R1", WHY)
    assert len(api.copies._kept) == 0
    answer = await api.ask("/R1/audio", key, format="flac")
    assert (answer.status_code, answer.json()["id"]) == (410, "recording-deleted")
    assert len(api.copies._kept) == 0


async def test_a_copy_in_the_making_of_what_is_deleted_is_not_kept(api: Api) -> None:
    await api.house.record("R1")
    key = api.key(Right.READ)
    let_go = threading.Event()
    threads = api.copies._threads
    for _ in range(threads._max_workers):
        threads.submit(let_go.wait)
    asked = asyncio.create_task(api.ask("/R1/audio", key, format="flac"))
    async with asyncio.timeout(30):
        while not api.copies._making:  # noqa: ASYNC110 - a request's way there is nobody's event
            await asyncio.sleep(0)
    # What a deletion's entry does; the file itself is still there, as it is open.
    api.copies.forget("R1")
    let_go.set()
    answer = await asked
    assert (answer.status_code, answer.json()["id"]) == (409, "sound-unreadable")
    assert (len(api.copies._kept), len(api.copies._making)) == (0, 0)


@pytest.mark.parametrize("what", ["audio", "peaks"])
async def test_what_cannot_be_heard_says_why(api: Api, what: str) -> None:
    key = api.key(Right.READ)
    await api.enter("OPEN", "kyc", None)
    await api.enter("PAUSED", "kyc", "done")
    await api.enter("FAILED", "kyc", "failed")
    changed = await api.house.record("CHANGED")
    changed.write_bytes(changed.read_bytes()[:-2] + b"\x01\x00")
    (await api.house.record("GONE")).unlink()
    linked = await api.house.record("LINKED")
    linked.rename(api.house.folder / "elsewhere.wav")
    linked.symlink_to(api.house.folder / "elsewhere.wav")
    await api.house.record("DELETED")
    await api.house.keeper.delete("DELETED", WHY)
    expected = {
        "OPEN": (409, "recording-not-closed"),
        "PAUSED": (404, "no-sound"),
        "FAILED": (404, "no-sound"),
        "CHANGED": (409, "recording-changed"),
        "GONE": (409, "sound-unreadable"),
        "LINKED": (409, "unsafe-name"),
        "DELETED": (410, "recording-deleted"),
        "UNKNOWN": (404, "unknown-recording"),
    }
    for name, (status, problem) in expected.items():
        answer = await api.ask(f"/{name}/{what}", key)
        assert (name, answer.status_code, answer.json()["id"]) == (name, status, problem)
        if name != "UNKNOWN":
            assert await api.accesses(name) == []
    await api.house.record("MONO")
    answer = await api.ask("/MONO/audio", key, stereo="true")
    assert (answer.status_code, answer.json()["id"]) == (404, "no-sound")


def test_nothing_outside_of_the_folder_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    (folder / "day").mkdir(parents=True)
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (folder / "day" / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "day" / "own.wav").write_bytes(b"own")
    with open_inside(folder, "day/own.wav") as file:
        assert file.read() == b"own"
    for name in ("../secret.wav", "/etc/passwd", "", "a\0b", "day/link.wav", "linked/secret.wav"):
        with pytest.raises(UnsafeNameError):
            open_inside(folder, name)
    for name in ("day", "day/none.wav", "none/own.wav"):
        with pytest.raises(SoundUnreadableError):
            open_inside(folder, name)


def test_no_range_reaches_beyond_the_file() -> None:
    for size in (0, 1, 10):
        for first in range(12):
            for last in range(12):
                for header in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
                    for found in ranges_of(header, size) or ():
                        assert 0 <= found[0] <= found[1] < size


# ------------------------------------------------------------------ who listened


async def test_who_listens_is_entered_once_in_ten_minutes_for_each_kind(api: Api) -> None:
    path = await api.house.record("R1")
    path.with_suffix(".json").write_bytes(b'{"a":1}\n')
    desk = api.key(Right.READ)
    other = api.key(Right.READ, name="other")
    for first in range(0, 4000, 100):
        headers = {"Range": f"bytes={first}-{first + 99}"}
        assert (await api.ask("/R1/audio", desk, headers=headers)).status_code == 206
    assert await api.accesses("R1") == [("key:desk", "audio")]
    await api.ask("/R1/audio", other)
    assert (await api.ask("/R1/manifest", desk)).content == b'{"a":1}\n'
    expected = [("key:desk", "audio"), ("key:other", "audio"), ("key:desk", "manifest")]
    assert await api.accesses("R1") == expected
    api.now_us += ONCE_WITHIN_US - 1
    await api.ask("/R1/audio", desk, format="flac")
    assert await api.accesses("R1") == expected
    api.now_us += 1
    await api.ask("/R1/audio", desk)
    assert await api.accesses("R1") == [*expected, ("key:desk", "audio")]
    first_entry = (await api.house.of("R1", EntryKind.ACCESSED))[0]
    assert (first_entry.origin, first_entry.call_id) == (Origin.HTTP, "C-R1")
    assert first_entry.detail == {"what": "audio", "address": "127.0.0.1"}


async def test_the_entry_is_on_the_disk_before_the_first_byte(api: Api) -> None:
    await api.house.record("R1")
    key = api.key(Right.READ)
    api.journal.may_write.clear()
    asked = [asyncio.create_task(api.ask("/R1/audio", key)) for _ in range(3)]
    while not await api.accesses("R1"):
        pass
    assert not any(one.done() for one in asked)
    api.journal.may_write.set()
    assert [(await one).status_code for one in asked] == [200] * 3
    assert len(await api.accesses("R1")) == 1


async def test_what_cannot_be_entered_is_not_handed_out(api: Api) -> None:
    path = await api.house.record("R1")
    path.with_suffix(".json").write_bytes(b"{}\n")
    api.transcripts.append_later("R1", "C-R1", NOW_US, [UTTERANCE])
    key = api.key(Right.READ)
    api.journal.is_durable = False
    for what in ("audio", "manifest", "transcript"):
        answer = await api.ask(f"/R1/{what}", key)
        assert (answer.status_code, answer.json()["id"]) == (503, "ledger-unavailable")
    api.journal.is_durable = True
    assert (await api.ask("/R1/audio", key)).status_code == 200
