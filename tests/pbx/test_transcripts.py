"""Transcripts beside real calls: a gap's words are nowhere on disk, the others lie on the sound.

A caller's recogniser posts what it "heard" every 100 ms, partial and final, a word of its own each,
and sentences that straddle every boundary, with and without word times. The caller sounds 500 Hz in
bursts, and each burst is an utterance too: by these the exported times are held against the sound.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import pytest

from tests.pbx.callers import Caller, connect, dialplan
from tests.pbx.mouth import LATE_S
from tests.pbx.process import Server, eventually, free_port, ledger_of, serving, turnrec
from tests.pbx.rig import WAIT_S, Rig, rig, until, write_tones
from tests.pbx.tones import NOMINAL_AMPLITUDE, OPEN_CALLER_HZ, analyse, read_wav
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.g711 import Codec
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, Silence, Tone

pytestmark = pytest.mark.pbx

GAPS = 5
OPEN_S, PAUSED_S = 2.4, 1.6
EVERY_S = 0.1
BURST_PACKETS, REST_PACKETS = 15, 15
BESIDE_US = 50_000
"""How far a transcript's time may be from the sound, in a segment that lacks nothing."""
NEVER_US = 1_000_000

FLOW = """
version: 1
defaults: {guard_ms: 80}
bots:
  segment: {nodes: {open: resume, ask: pause}}
  skip: {pause_behavior: skip, nodes: {open: resume, ask: pause}}
  mute: {pause_method: mute, nodes: {open: resume, ask: pause}}
"""
BOT = dialplan("start", *(("open", "ask") * GAPS), "open")


def now_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst of the caller's tone, as it went out."""

    begin_us: int
    end_us: int
    late_us: int
    """When a packet was last late. What is late on the wire Asterisk drops, or it is late with all
    that follows in the segment: then the file differs from what was said, not the transcript from
    the file."""


@dataclass(eq=False)
class Bursts:
    """A source: bursts of a tone, and when each was on the wire."""

    said: list[Burst] = field(default_factory=list)
    _began_us: int = 0
    _last_s: float = 0.0
    _late_us: int = 0

    def payload(self, clock: int, played: int, codec: Codec) -> bytes | None:
        now_s = time.monotonic()
        if now_s - self._last_s > LATE_S:
            self._late_us = now_us()
        self._last_s = now_s
        place = played % (BURST_PACKETS + REST_PACKETS)
        if place == 0:
            self._began_us = now_us()
        elif place == BURST_PACKETS:
            self.said.append(Burst(self._began_us, now_us(), self._late_us))
        source = Tone(OPEN_CALLER_HZ) if place < BURST_PACKETS else Silence()
        return source.payload(clock, played, codec)

    def is_over(self, _played: int) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Said:
    """One word that was posted."""

    word: str
    begin_us: int
    end_us: int
    answered_us: int


@dataclass
class Talk:
    """One call, its recogniser and what the bot marked."""

    extension: str
    folder: Path
    http: httpx.AsyncClient
    bursts: Bursts = field(default_factory=Bursts)
    said: list[Said] = field(default_factory=list)
    marks: list[tuple[str, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    found_early: list[str] = field(default_factory=list)

    async def on_mark(self, _extension: str, word: str) -> None:
        name, _, told = word.partition(":")
        if told and not told.startswith("OK:"):
            self.problems.append(word)
        self.marks.append((name, now_us()))
        if name == "asked":
            # Not even for a moment: the turn is not over yet.
            began_us, _ = self.gaps()[-1]
            words = [one.word for one in self.said if one.begin_us >= began_us]
            self.found_early += await asyncio.to_thread(found_in, self.folder, words)
            self.marks[-1] = (name, now_us())

    def gaps(self) -> list[tuple[int, int]]:
        """What surely lies in a paused turn: from its answer until the next turn is asked for."""
        return self._between("ask", "asked")

    def opens(self) -> list[tuple[int, int]]:
        """What surely is recorded."""
        return self._between("open", "opened")

    def was_in_time(self, burst: Burst) -> bool:
        """Whether nothing was late since the burst's segment can have begun."""
        before = [at for name, at in self.marks if name in {"asked", "starting"}]
        return burst.late_us < max((at for at in before if at < burst.begin_us), default=0)

    def _between(self, first: str, last: str) -> list[tuple[int, int]]:
        begins = [at_us for name, at_us in self.marks if name == first]
        ends = [at_us for name, at_us in self.marks if name == last]
        return list(zip(begins, [*ends, now_us()], strict=False))

    async def recognise(self, call: str) -> None:
        """Post what was said in the last 100 ms, every 100 ms, until the call is over."""
        posted_bursts = 0
        for number in range(100_000):
            await asyncio.sleep(EVERY_S)
            end_us = now_us() - 20_000
            begin_us = end_us - round(EVERY_S * 1_000_000)
            word = f"zx{self.extension.replace('-', '')}q{number:05d}q"
            times = {"begin": begin_us, "end": end_us}
            utterances = [
                {"speaker": "caller", "text": word, "final": False, **times},
                {"speaker": "caller", "text": word, "words": [{"text": word, **times}], **times},
            ]
            if number % 5 == 4:
                utterances += self.sentences(word, begin_us, end_us)
            for burst in self.bursts.said[posted_bursts:]:
                text = f"burst {posted_bursts}"
                when = {"begin": burst.begin_us, "end": burst.end_us}
                utterances.append({"speaker": "agent", "text": text, **when})
                posted_bursts += 1
            url = f"/v1/calls/{call}/utterances"
            answer = await self.http.post(url, json={"utterances": utterances})
            if answer.status_code in {404, 409, 410}:
                return
            assert answer.status_code == 200, answer.text
            self.said.append(Said(word, begin_us, end_us, now_us()))

    def sentences(self, word: str, begin_us: int, end_us: int) -> list[dict[str, Any]]:
        """The last words once more as a whole: with their times, and without any."""
        last = [*self.said[-12:], Said(word, begin_us, end_us, 0)]
        whole = {
            "speaker": "bot",
            "text": " ".join(one.word for one in last),
            "begin": last[0].begin_us,
            "end": end_us,
        }
        words = [{"text": one.word, "begin": one.begin_us, "end": one.end_us} for one in last]
        return [whole, whole | {"words": words}]


@asynccontextmanager
async def asking(here: Rig) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(here.settings.server.control_socket))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://turnrec", timeout=WAIT_S
    ) as client:
        yield client


async def talk(here: Rig, server: Server, phone: Phone, http: httpx.AsyncClient, bot: str) -> Talk:
    """Have one call from start to end."""
    one = Talk(f"test-{bot}", here.folder, http)
    here.marks[one.extension] = one.on_mark
    media = MediaOptions(source=one.bursts, keep_chunks=10)
    call = await phone.dial(f"sip:{one.extension}@{here.sip}", media, timeout_s=WAIT_S)
    await until(lambda: any(name == "start" for name, _ in one.marks), "the bot has begun")
    (found,) = [live for live in await server.calls() if live["bot"] == bot]
    recogniser = asyncio.create_task(one.recognise(found["id"]))
    await call.wait_ended(timeout_s=WAIT_S)
    async with asyncio.timeout(WAIT_S):
        await recogniser
    return one


def found_in(folder: Path, words: list[str]) -> list[str]:
    """Which of these words are in any file of a folder, and where."""
    found = []
    pattern = re.compile(b"zx[a-z]+q[0-9]{5}q")
    wanted = {word.encode() for word in words}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            there = set(pattern.findall(path.read_bytes())) & wanted
        except FileNotFoundError:
            continue  # a database's journal comes and goes
        found += [f"{word.decode()} in {path.relative_to(folder)}" for word in there]
    return found


def onsets_us(path: Path) -> list[float]:
    """Where the caller's bursts begin in a file."""
    window_ms, hop_ms = 10.0, 2.5
    audio = read_wav(path).channels[0]
    share = analyse(audio, 8000, (OPEN_CALLER_HZ,), hop_ms=hop_ms)[:, 0] / NOMINAL_AMPLITUDE
    loud = np.convolve(share > 0.5, np.ones(20), "full")[: len(share)] > 0
    begins = np.flatnonzero(np.diff(np.concatenate(([False], loud)).astype(np.int8)) == 1)
    # At a share of one half the tone fills half of the window.
    return [(float(begin) * hop_ms + window_ms / 2) * 1000 for begin in begins]


async def exported(here: Rig, name: str, *options: str) -> Any:
    done = await turnrec(here, "transcript", name, "--format", "json", *options)
    assert done.status == 0, done.err
    return done.json


async def test_no_word_of_a_gap_is_anywhere_on_disk_and_the_others_lie_on_the_sound(
    asterisk: Installation, tmp_path: Path
) -> None:
    toml = {
        "server": {"agi_port": str(free_port())},
        "log": {"level": '"debug"'},
        "recordings": {"keep_parts": "true"},
    }
    bots = ("segment", "skip", "mute")
    async with (
        rig(asterisk, tmp_path, FLOW, BOT, toml=toml, start=False) as here,
        serving(here) as server,
        Phone(clock=MediaClock()) as phone,
        asking(here) as http,
        ledger_of(here) as ledger,
    ):
        write_tones(tmp_path / "sounds", {400: OPEN_S, 1000: PAUSED_S})
        talks = await asyncio.gather(*(talk(here, server, phone, http, bot) for bot in bots))
        recordings = {one.bot: one for one in await ledger.closed_recordings(len(bots))}
        await ledger.no_call_is_live()
        for bot, one in zip(bots, talks, strict=True):
            assert one.problems == []
            print(bot, words_are_right(one, tmp_path))
        measured = [
            await times_are_right(here, talks[bots.index(bot)], recordings[bot])
            for bot in ("segment", "skip")
        ]
        assert await server.end() == 0
        gap_words = [word for one in talks for word in words_of_gaps(one)]
        assert found_in(tmp_path, gap_words) == [], "nor after its end"
    print(f"{sum(measured)} bursts whose packets all went out in time were held against the sound")


def words_of_gaps(one: Talk) -> list[str]:
    """Whatever was said in a gap, if only in part."""
    return [
        said.word
        for said in one.said
        if any(said.begin_us < end and said.end_us > begin for begin, end in one.gaps())
    ]


def words_are_right(one: Talk, folder: Path) -> dict[str, int]:
    gap_words = words_of_gaps(one)
    # What comes while nothing is recorded is dropped: so the answer counts, too.
    open_words = [
        said.word
        for said in one.said
        if any(said.begin_us >= begin and said.answered_us <= end for begin, end in one.opens())
    ]
    assert len(one.gaps()) == GAPS
    assert len(gap_words) > GAPS * 3
    assert len(open_words) > GAPS * 3
    assert one.found_early == []
    assert found_in(folder, gap_words) == []
    found = {place.partition(" ")[0] for place in found_in(folder, open_words)}
    assert found == set(open_words)
    return {"in gaps": len(gap_words), "open": len(open_words)}


async def times_are_right(here: Rig, one: Talk, recording: RecordingRecord) -> int:
    """Hold the exported file times against the sound; return for how many bursts it could be."""
    in_file = await exported(here, recording.recording_id, "--time", "file")
    in_call = await exported(here, recording.recording_id)
    assert in_file["behavior"] == ("skip" if recording.bot == "skip" else "silence")
    reliable = {n: burst for n, burst in enumerate(one.bursts.said) if one.was_in_time(burst)}
    onsets = onsets_us(here.file(recording))
    off_us: list[float] = []
    sure_us: list[float] = []
    for entry, again in zip(in_file["entries"], in_call["entries"], strict=True):
        if entry["kind"] == "gap" or not entry["text"].startswith("burst"):
            continue
        burst = reliable.get(int(entry["text"].split()[1]))
        if burst is None:
            continue
        assert again["text"] == entry["text"]
        off_us.append(min(abs(onset - entry["begin_us"]) for onset in onsets))
        # Late packets, of which only Asterisk knows, shift what it writes: never by a second.
        assert off_us[-1] <= NEVER_US, entry
        if entry["uncertainty_us"] <= BESIDE_US:
            sure_us.append(off_us[-1])
    farthest_ms = max(off_us, default=0) / 1000
    print(f"{recording.bot}: {len(off_us)} bursts, at most {farthest_ms:.1f} ms off")
    print(f"{len(sure_us)} in whole segments, at most {max(sure_us, default=0) / 1000:.1f} ms off")
    if sure_us:
        assert median(sure_us) <= BESIDE_US
    gaps = [entry for entry in in_file["entries"] if entry["kind"] == "gap"]
    assert [gap["holds"] for gap in gaps] == [["turn"]] * GAPS
    audio = read_wav(here.file(recording)).channels[0]
    for gap in gaps:
        lasts_us = gap["end_us"] - gap["begin_us"]
        if recording.bot == "skip":
            assert lasts_us <= BESIDE_US
        else:
            assert lasts_us >= PAUSED_S * 1_000_000
            inside = slice(*(round(gap[edge] * 0.008) for edge in ("begin_us", "end_us")))
            quiet = audio[inside][400:-400]
            assert not quiet.any()
    vtt = await turnrec(here, "transcript", recording.recording_id, "--time", "file")
    assert vtt.out.startswith("WEBVTT\n")
    told = vtt.out.count("not recorded: turn")
    assert told == GAPS
    wrong = await turnrec(here, "transcript", "no-such-thing")
    assert (wrong.status, wrong.err.strip()[-14:]) == (1, "[unknown-name]")
    (first_cue,) = re.findall(r"^(\S+) --> \S+$", vtt.out, re.MULTILINE)[:1]
    first_us = min(entry["begin_us"] for entry in in_file["entries"] if entry["kind"] != "gap")
    minutes, seconds = first_cue.split(":")[1:]
    assert abs(int(minutes) * 60 + float(seconds) - first_us / 1_000_000) <= 0.001
    return len(off_us)


async def test_a_turnrec_that_was_killed_goes_on_with_the_transcript_and_its_halt(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    toml = {"server": {"agi_port": str(free_port())}}
    steps = dialplan("start", "open", "ask", "open")
    async with (
        rig(asterisk_22, tmp_path, FLOW, steps, toml=toml, start=False) as here,
        serving(here) as server,
        Phone(clock=MediaClock()) as phone,
        asking(here) as http,
        ledger_of(here) as ledger,
    ):
        write_tones(tmp_path / "sounds", {400: 0.5, 1000: 0.5})
        caller = Caller(here, "test-segment")
        caller.hold_at("opened", "asked")
        await connect(here, phone, caller)
        await caller.reached("opened")
        (call,) = await server.calls()

        async def post(text: str) -> dict[str, int]:
            end_us = now_us()
            one = {"speaker": "caller", "text": text, "begin": end_us - 50_000, "end": end_us}
            await asyncio.sleep(0.05)  # its time has passed: what is posted has been said
            url = f"/v1/calls/{call['id']}/utterances"
            answer = await http.post(url, json={"utterances": [one]})
            taken: dict[str, int] = answer.raise_for_status().json()
            return taken

        assert (await post("zxaq00001q"))["kept"] == 1
        caller.let_on("opened")
        await caller.reached("asked")
        assert (await post("zxaq00002q"))["dropped"] == 1
        await server.kill()
        await server.start()
        await server.wait_ami()

        async def taken_up() -> bool:
            return bool(await server.calls())

        await eventually(taken_up, "the call is taken up again")
        assert (await post("zxaq00003q"))["dropped"] == 1
        caller.hold_at("opened")
        caller.let_on("asked")
        await caller.reached("opened", 2)
        assert (await post("zxaq00004q"))["kept"] == 1
        caller.let_on("opened")
        await caller.reaches_the_end()
        (recording,) = await ledger.closed_recordings(1)
        told = await exported(here, recording.recording_id, "--time", "file")
        shown = [entry.get("text", entry.get("holds")) for entry in told["entries"]]
        assert shown == ["zxaq00001q", ["turn"], "zxaq00004q"]
        assert found_in(tmp_path, ["zxaq00002q", "zxaq00003q"]) == []
