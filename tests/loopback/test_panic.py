"""`turnrec panic` says that nothing of ours runs only where it is known."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.ami_helpers import HOUR_MS, patient, within
from tests.loopback.fake_ami import FakeAmi, error, listing, silence
from tests.loopback.fake_asterisk import ASTERISK_SPOOL, FakeAsterisk, FakeChannel
from tests.loopback.fake_console import FakeConsole
from tests.loopback.fake_manager import speaks_for
from turnrec.asterisk.ami_settings import AmiSettings
from turnrec.asterisk.console import Console
from turnrec.asterisk.spool import Spool
from turnrec.panic import PanicFailedError, PanicReport, panic

PART, OTHER = "R1-001.wav", "R2-001.wav"
NO_COMMAND = "/no/such/asterisk"
LONG_AGO_S = 1_700_000_000


def ours(part: str) -> str:
    return f"{ASTERISK_SPOOL}/{part}"


def write_part(spool: Spool, part: str, *, closed: bool, at_s: float | None = None) -> None:
    spool.path(part).write_bytes(b"RIFF" + struct.pack("<I", 36 if closed else 0) + bytes(36))
    if at_s is not None:
        os.utime(spool.path(part), (at_s, at_s))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, ASTERISK_SPOOL)


@pytest.fixture
def console(tmp_path: Path) -> FakeConsole:
    return FakeConsole(tmp_path)


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[FakeChannel]:
    """A channel with a running monitor of ours, as AMI shows it."""
    channel = FakeAsterisk(tmp_path).channel()
    channel.run("MixMonitor", f"{ours(PART)},i(TURNREC_MIXMON_ID)")
    channel.variables["TURNREC_PART"] = PART
    yield channel
    for monitor in channel.running:
        monitor.close()


def shows(peer: FakeAmi, *channels: FakeChannel) -> AmiSettings:
    """Let AMI list these channels (and act on the last)."""
    rows = [{"Channel": one.name, "Uniqueid": one.uniqueid} for one in channels]
    peer.on("CoreShowChannels", listing("CoreShowChannel", rows, end="CoreShowChannelsComplete"))
    for one in channels:
        speaks_for(peer, one)
    return patient(peer)


def told(report: PanicReport) -> str:
    return "; ".join([*report.still_running, *report.unknown])


# ------------------------------------------------------------------ by AMI alone


async def test_by_ami_alone_it_is_clear_once_every_part_is_closed(
    spool: Spool, caller: FakeChannel
) -> None:
    async with FakeAmi() as peer:
        report = await within(panic(shows(peer, caller), spool, NO_COMMAND))
    assert report.is_clear, told(report)
    assert report.stopped == (PART,)
    assert caller.running == []
    assert NO_COMMAND in report.failures[0]


@pytest.mark.parametrize("lost", ["", "0xdead"], ids=["empty", "stale"])
async def test_by_ami_alone_a_monitor_that_its_channel_no_longer_names_is_not_known_to_be_gone(
    spool: Spool, caller: FakeChannel, lost: str
) -> None:
    caller.variables["TURNREC_MIXMON_ID"] = lost
    async with FakeAmi() as peer:
        report = await within(panic(shows(peer, caller), spool, NO_COMMAND))
    assert not report.is_clear
    assert report.stopped == ()
    assert report.unknown[0].startswith(f"{PART} on {caller.name} is not closed")


async def test_by_ami_alone_a_part_that_no_channel_claims_is_not_known_to_be_done(
    spool: Spool,
) -> None:
    write_part(spool, OTHER, closed=False, at_s=LONG_AGO_S)
    write_part(spool, PART, closed=True)
    async with FakeAmi() as peer:
        report = await within(panic(shows(peer), spool, NO_COMMAND))
    assert [one.partition(" is")[0] for one in report.unknown] == [OTHER]


async def test_by_ami_alone_nothing_is_known_where_the_spool_cannot_be_read(
    spool: Spool, tmp_path: Path
) -> None:
    elsewhere = Spool(tmp_path / "gone", ASTERISK_SPOOL)
    async with FakeAmi() as peer:
        report = await within(panic(shows(peer), elsewhere, NO_COMMAND))
    assert not report.is_clear
    assert "can't be read" in told(report)


async def test_by_ami_alone_nothing_is_known_where_the_spool_is_another_one(
    spool: Spool, caller: FakeChannel, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    async with FakeAmi() as peer:
        settings = shows(peer, caller)
        report = await within(
            panic(settings, Spool(tmp_path / "empty", ASTERISK_SPOOL), NO_COMMAND)
        )
    assert report.stopped == (PART,)
    assert f"{PART} on {caller.name} is not in the spool" in told(report)


async def test_a_channel_that_ami_did_not_answer_for_was_not_looked_at(
    spool: Spool, caller: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnrec.panic._ACTION_MS", 50)
    write_part(spool, PART, closed=True)
    async with FakeAmi() as peer:
        settings = shows(peer, caller)
        peer.on("Getvar", silence)
        report = await within(panic(settings, spool, NO_COMMAND))
    assert f"channel {caller.name} was not looked at" in told(report)


# ------------------------------------------------------------------ by Asterisk's command


async def test_the_command_stops_what_ami_cannot_see(
    spool: Spool, caller: FakeChannel, console: FakeConsole
) -> None:
    caller.variables["TURNREC_MIXMON_ID"] = ""
    console.channel(caller.name, caller.uniqueid, {"0xa1": ours(PART), "0xa2": "/theirs/x.wav"})
    async with FakeAmi() as peer:
        report = await within(panic(shows(peer, caller), spool, console.command))
    assert report.is_clear, told(report)
    assert report.stopped == (PART,)
    assert console.monitors == ["/theirs/x.wav"]


async def test_what_does_not_stop_is_named_with_its_channel(
    spool: Spool, console: FakeConsole
) -> None:
    console.channel("PJSIP/a-00000001", "1.1", {"0xa1": ours(PART)})
    console.be(stubborn=True)
    report = await within(panic(None, spool, console.command))
    assert report.still_running == (f"{PART} on PJSIP/a-00000001",)
    assert not report.is_clear


async def test_a_channel_that_is_there_and_not_listed_was_not_looked_at(
    spool: Spool, console: FakeConsole
) -> None:
    console.channel("PJSIP/a-00000001", "1.1", {"0xa1": ours(PART)})
    console.be(unlisted=["PJSIP/a-00000001"])
    report = await within(panic(None, spool, console.command))
    assert report.unknown == ("channel PJSIP/a-00000001 was not looked at",)


async def test_a_name_that_begins_another_is_not_known_to_have_been_looked_at(
    spool: Spool, console: FakeConsole
) -> None:
    console.channel("DAHDI/i1/7-10", "1.1")
    console.channel("DAHDI/i1/7-1", "1.2", {"0xa1": ours(PART)})
    report = await within(panic(None, spool, console.command))
    assert report.unknown == ("channel DAHDI/i1/7-1 was not looked at",)


async def test_blanks_and_quotes_in_a_channels_name_hide_nothing(
    spool: Spool, console: FakeConsole
) -> None:
    console.channel('Local/a "b\\ c@ctx-00000001;2', "1.1", {"0xa1": ours(PART)})
    console.be(noise="Privilege escalation protection disabled! See the documentation")
    report = await within(panic(None, spool, console.command))
    assert (report.channels, report.stopped) == (1, (PART,))
    assert report.is_clear, told(report)


async def test_a_row_is_not_a_line(spool: Spool, tmp_path: Path) -> None:
    """As Asterisk 22.10.1 and 16.28.0 printed it, for numbers that hold a line end."""
    printed = (
        "Local/a@odd1-00000001;2!odd1!a!5!Up!Wait!600!49151\n12345!!!3!3!!1795289804.3\n"
        "Local/a@odd1-00000001;1!odd1!a!1!Up!Wait!600!!!!3!3!!1795289804.2\n"
        "Local/a@odd3-00000003;2!odd3!a!5!Up!Wait!600!1\n0xdead\t/spool!!!3!3!!1795289804.7\n"
        "Local/a@odd2-00000002;2!odd2!a!5!Up!Wait!600!49\nPJSIP/x-1!c!s!1!Up!AGI!d!1!!!3!0!!9.9"
        "\n1!!!3!3!!1795289804.5\n"
    )
    count = "4 active channels\n4 active calls\n4 calls processed\n"
    stub = tmp_path / "asterisk"
    stub.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"print({printed!r} if 'concise' in sys.argv[2] else {count!r}, end='')\n"
    )
    stub.chmod(0o700)
    found = await within(Console(str(stub)).channels())
    assert found.count == 4
    assert [(row.name, row.uniqueid) for row in found.rows] == [
        ("Local/a@odd1-00000001;2", "1795289804.3"),
        ("Local/a@odd1-00000001;1", "1795289804.2"),
        ("Local/a@odd3-00000003;2", "1795289804.7"),
        ("Local/a@odd2-00000002;2", "49"),
        ("PJSIP/x-1", "1795289804.5"),
    ]


@pytest.mark.parametrize(
    "number",
    [
        "49151\n12345",
        "49151\n",
        "\n\n!!!!!!!!!!!!!!",
        "49\nPJSIP/b-00000002!ctx!s!1!Up!AGI!d!1!!!3!0!!9.9\n1",
        "49\nPJSIP/nobody-00000009!ctx!s!1!Up!AGI!d!1!!!3!0!!9.9\n1",
    ],
)
async def test_a_callers_number_hides_no_monitor_and_has_no_other_stopped(
    spool: Spool, console: FakeConsole, number: str
) -> None:
    console.channel("PJSIP/a-00000001", "1.1", {"0xa1": ours(PART)}, number)
    console.channel("PJSIP/b-00000002", "1.2", {"0xa2": "/theirs/x.wav", "0xa3": ours(OTHER)})
    report = await within(panic(None, spool, console.command))
    assert report.stopped == (PART, OTHER)
    assert report.is_clear, told(report)
    assert console.monitors == ["/theirs/x.wav"]


async def test_a_channel_that_the_list_does_not_show_is_missed_by_its_count(
    spool: Spool, console: FakeConsole
) -> None:
    """A line end in what was dialled, say, which a Local channel is named by."""
    console.channel("PJSIP/a-00000001", "1.1", {"0xa1": ours(PART)})
    console.channel("Local/1\n2@ctx-00000001;2", "1.2", {"0xa2": ours(OTHER)})
    console.be(unreadable=["Local/1\n2@ctx-00000001;2"])
    report = await within(panic(None, spool, console.command))
    assert report.stopped == (PART,)
    assert report.unknown == ("1 channels can't be read from its list",)


async def test_the_command_outlives_the_parts_of_an_asterisk_that_died_long_ago(
    spool: Spool, console: FakeConsole
) -> None:
    write_part(spool, OTHER, closed=False, at_s=LONG_AGO_S)
    report = await within(panic(None, spool, console.command))
    assert report.is_clear, told(report)


async def test_a_part_that_was_just_written_is_doubted_whatever_the_command_lists(
    spool: Spool, console: FakeConsole
) -> None:
    write_part(spool, OTHER, closed=False)
    report = await within(panic(None, spool, console.command))
    assert [one.partition(" is")[0] for one in report.unknown] == [OTHER]


async def test_the_command_of_another_asterisk_is_not_believed(
    spool: Spool, caller: FakeChannel, console: FakeConsole
) -> None:
    caller.variables["TURNREC_MIXMON_ID"] = ""
    os.utime(spool.path(PART), (LONG_AGO_S, LONG_AGO_S))
    console.channel("PJSIP/else-00000001", "7.7")
    async with FakeAmi() as peer:
        report = await within(panic(shows(peer, caller), spool, console.command))
    assert PART in told(report)
    assert "another Asterisk" in report.failures[0]


# ------------------------------------------------------------------ neither


async def test_a_command_that_says_nothing_has_said_nothing(
    spool: Spool, console: FakeConsole
) -> None:
    """`asterisk -rx` says 0 where Asterisk ends before it has answered."""
    console.be(silent=True)
    with pytest.raises(PanicFailedError, match="doesn't say which channels"):
        await within(panic(None, spool, console.command))


async def test_where_nobody_answers_the_open_parts_are_named(spool: Spool) -> None:
    write_part(spool, PART, closed=False)
    with pytest.raises(PanicFailedError, match=f"(?s)can't be reached.*{PART} is not closed"):
        await within(panic(None, spool, NO_COMMAND))


@pytest.mark.parametrize("why", ["refused", "login"])
async def test_an_ami_that_refuses_is_not_waited_for(
    spool: Spool, console: FakeConsole, why: str
) -> None:
    console.channel("PJSIP/a-00000001", "1.1", {"0xa1": ours(PART)})
    async with FakeAmi() as peer:
        # Whoever waits for a second attempt waits for ever.
        settings = patient(peer, reconnect_min_ms=HOUR_MS, reconnect_max_ms=HOUR_MS, secret="wrong")
        if why == "refused":
            await peer.stop_listening()
        peer.on("CoreShowChannels", error("not logged in"))
        report = await within(panic(settings, spool, console.command))
    assert report.is_clear, told(report)
    assert report.stopped == (PART,)
    assert report.failures[0].startswith("AMI: ")
