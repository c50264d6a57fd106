"""Where the manifest, and the map beside an export, place an instant, the sound of it lies.

The clock held against them is the phone's: it notes when each packet went out, and says another
tone every 120 ms. What was said at an instant must lie in the file where turnrec says, to 20 ms:
half of all switches at least, and each one to the uncertainty that the manifest states beside it.
Nothing else is allowed for, but what packets that came late show of the machine itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from tests.pbx.callers import CALL_S, dialplan
from tests.pbx.process import turnrec
from tests.pbx.rig import WAIT_S, Rig, rig, until, write_tones
from tests.pbx.switching import TONE_PACKETS, Late, Sound, Switch, Switching, late_arrivals
from turnrec.core.timeline import TOLERANCE_US
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone
from turnrec.pbx.phone.sources import PACKET_MS
from turnrec.recordings.manifest import GapSpan, Manifest, SegmentSpan, ShortfallSpan
from turnrec.recordings.manifest_file import read_manifest

pytestmark = pytest.mark.pbx

EDGE_US = 20_000
PACKET_US = PACKET_MS * 1000
STILL_UNDER_WAY_US = 200_000
NEAR_EDGE_US = EDGE_US + 10_000
"""A switch so near to a stretch's end may have lost one of its two tones, each looked for in
10 ms."""
QUIET = 200
SAMPLE_US = 125
ENOUGH = 8
"""So many switches that nothing delayed are enough to judge by."""
GAPS = 4
STILL_PACKETS = 150

FLOW = """
version: 1
defaults: {guard_ms: 80}
bots:
  segment: {nodes: {open: resume, ask: pause}}
  skip: {pause_behavior: skip, nodes: {open: resume, ask: pause}}
  mute: {pause_method: mute, nodes: {open: resume, ask: pause}}
"""
BOTS = ("segment", "skip", "mute")
PAUSES = dialplan("start", *(("open", "ask") * GAPS), "open")
MARK = "AGI(${MARK}/mark?%s&${WHO})"
STANDSTILLS = dialplan(
    *("start", "open", MARK % "still", "ask", "open"),
    *("ask", "open", MARK % "quiet", "Wait(4)", MARK % "loud", "ask", "open"),
    *("Gosub(turnrec-action,s,1(start,new))", MARK % "anew", "open", "ask", "open"),
)


# ------------------------------------------------------------------ a call, and what is known of it


@dataclass
class Talk:
    """One caller, and what happened to his packets."""

    bot: str
    source: Switching = field(default_factory=Switching)
    late: list[Late] = field(default_factory=list)
    silences_us: list[tuple[int, int]] = field(default_factory=list)
    """From the last packet's end to the next packet."""

    async def on_mark(self, _extension: str, word: str) -> None:
        if word in {"still", "quiet"}:
            self.source.quiet, self.source.not_sent = True, 0
        if word in {"still", "loud"}:
            await until(lambda: self.source.not_sent >= STILL_PACKETS, "the line was silent")
            last_us = self.source.sent[-1][0]
            count = len(self.source.sent)
            self.source.quiet = False
            # What comes after it in the same segment is looked at, too.
            await until(lambda: len(self.source.sent) > count + 5 * TONE_PACKETS, "he talks again")
            self.silences_us.append((last_us + PACKET_US, self.source.sent[count][0]))

    def lateness_us(self, begin_us: int, end_us: int) -> int:
        """How late packets came, all in all, that may have touched this stretch."""
        near = (begin_us - 200_000, end_us + 100_000)
        return sum(one.late_us for one in self.late if near[0] <= one.at_us <= near[1])


async def call(here: Rig, phone: Phone, bot: str) -> Talk:
    talk = Talk(bot)
    here.marks[f"test-{bot}"] = talk.on_mark
    media = MediaOptions(source=talk.source)
    one = await phone.dial(f"sip:test-{bot}@{here.sip}", media, timeout_s=WAIT_S)
    await one.wait_ended(timeout_s=CALL_S)
    talk.late = [*talk.source.late, *late_arrivals(list(one.ear.chunks))]
    return talk


async def calls(here: Rig) -> list[Talk]:
    write_tones(here.folder / "sounds", {400: 1.2, 1000: 0.8})
    async with Phone(clock=MediaClock()) as phone:
        return list(await asyncio.gather(*(call(here, phone, bot) for bot in BOTS)))


# ------------------------------------------------------------------ where things should be


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of a manifest or a map, as a reader of the JSON takes it."""

    kind: str
    start_us: float
    """In the file."""
    lasts_us: float
    """In the file."""
    begin_us: int
    end_us: int
    uncertainty_us: int

    @classmethod
    def of(cls, span: Mapping[str, Any]) -> Stretch:
        begin_us, end_us = (
            span[edge]["us"] if edge in span else span[f"{edge}_us"] for edge in ("begin", "end")
        )
        start_us, lasts_us = span["start_sample"] * SAMPLE_US, span["samples"] * SAMPLE_US
        uncertainty_us = span["uncertainty_us"]
        return cls(span["kind"], start_us, lasts_us, begin_us, end_us, uncertainty_us)


@dataclass
class Judge:
    """Holds the phone's instants against places in a file."""

    talk: Talk
    sound: Sound
    stretches: list[Stretch]
    is_anchored: bool = True
    """Not where a muted part's mutes could not be told apart, on a machine that was short of time:
    then whatever goes wrong in it may have moved all that follows."""
    off_us: list[float] = field(default_factory=list)
    """Of switches that nothing delayed, and that no silence came before in their part."""
    moved: int = 0
    """Switches after a silence in their part, found to their uncertainty."""
    absent: int = 0
    """Switches of gaps, that are nowhere."""

    @classmethod
    def of(cls, talk: Talk, file: Path, spans: Iterable[Mapping[str, Any]]) -> Judge:
        return cls(talk, Sound(file), [Stretch.of(span) for span in spans])

    def judge(self) -> Judge:
        for stretch in self.stretches:
            for switch in self.talk.source.switches():
                edge_us = 0 if stretch.kind == "gap" else NEAR_EDGE_US
                if stretch.begin_us + edge_us <= switch.sent_us < stretch.end_us - edge_us:
                    self._look(switch, stretch)
        return self

    def _look(self, switch: Switch, stretch: Stretch) -> None:
        # In `skip` a shortfall takes no time in the file.
        place_us = stretch.start_us + min(switch.sent_us - stretch.begin_us, stretch.lasts_us)
        found = self.sound.places_us(switch)
        if stretch.kind == "gap":
            if stretch.end_us - switch.sent_us < STILL_UNDER_WAY_US:
                return  # a packet may come late, and then be recorded after the gap
            # Where `skip` has joined two stretches, or a part stood still, two tones may meet that
            # nobody said so.
            joints = [one.start_us for one in self.stretches] + self._standstills_us()
            found = [one for one in found if min(abs(one - at) for at in joints) > 2 * EDGE_US]
            lasts_us = stretch.end_us - stretch.begin_us
            assert not [one for one in found if abs(one - place_us) <= lasts_us], (switch, found)
            self.absent += 1
            return
        # What is missing up to 100 ms moves all that follows in a muted part.
        since = self.stretches[0] if self.talk.bot == "mute" else stretch
        late_us = self.talk.lateness_us(since.begin_us, stretch.end_us)
        off_us = min((one - place_us for one in found), key=abs, default=None)
        may_be_us = stretch.uncertainty_us + late_us
        if off_us is None:
            # The end of a part: what Asterisk had not written yet. Or it dropped what came late.
            assert late_us or stretch.end_us - switch.sent_us <= may_be_us, switch
        else:
            assert abs(off_us) <= may_be_us + 1000, (switch, place_us, found, stretch)
            if self._is_after_a_silence(switch, stretch):
                self.moved += 1
            elif not late_us:
                self.off_us.append(off_us)

    def _is_after_a_silence(self, switch: Switch, stretch: Stretch) -> bool:
        """Whether the part that holds it had stood still before it."""
        if stretch.kind == "shortfall":
            return True
        since = stretch if self.is_anchored else self.stretches[0]
        return any(
            since.begin_us <= begin_us < switch.sent_us for begin_us, _ in self.talk.silences_us
        )

    def _standstills_us(self) -> list[float]:
        """Where in the file a part that stood still goes on."""
        return [
            stretch.start_us + begin_us - stretch.begin_us
            for stretch in self.stretches
            for begin_us, _ in self.talk.silences_us
            if stretch.kind == "segment" and stretch.begin_us <= begin_us < stretch.end_us
        ]

    def agrees(self, what: str) -> None:
        """To 20 ms, by the median of the switches that nothing delayed."""
        if len(self.off_us) < ENOUGH:
            print(f"{what}: {len(self.off_us)} switches went undelayed, too few to judge by")
            return
        middle_us, most_us = median(map(abs, self.off_us)), max(map(abs, self.off_us))
        print(
            f"{what}: {len(self.off_us)} switches, median {middle_us / 1000:.1f} ms off, at most"
            f" {most_us / 1000:.1f}; {self.moved} after a silence in their part;"
            f" {self.absent} of gaps, nowhere"
        )
        assert middle_us <= EDGE_US


def manifest_of(file: Path) -> tuple[Manifest, list[dict[str, Any]]]:
    manifest, _ = read_manifest(file.with_suffix(".json"))
    return manifest, json.loads(file.with_suffix(".json").read_text("utf-8"))["spans"]


async def exported(here: Rig, source: Path, behavior: str, name: str) -> Path:
    """Turn a file into another behavior, as people do."""
    target = here.folder / name
    done = await turnrec(here, "export", str(source), "--behavior", behavior, "-o", str(target))
    assert (done.status, done.err) == (0, "")
    return target


def map_of(file: Path) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = json.loads(Path(f"{file}.map.json").read_text("utf-8"))["spans"]
    return spans


async def exports_agree(here: Rig, talk: Talk, recording: RecordingRecord, what: str) -> None:
    """To the other behavior and back, each by the map that lies beside it."""
    file = here.file(recording)
    ways = ("silence", "skip") if talk.bot == "skip" else ("skip", "silence")
    for number, behavior in enumerate(ways):
        name = f"{recording.recording_id}-{number}.wav"
        file = await exported(here, file, behavior, name)
        judge = Judge.of(talk, file, map_of(file))
        judge.is_anchored = is_anchored(manifest_of(here.file(recording))[0])
        judge.judge()
        judge.agrees(f"{what}, exported to {behavior}")
        has_gaps = any(one.kind == "gap" and one.lasts_us for one in judge.stretches)
        assert has_gaps == (behavior == "silence")


# ------------------------------------------------------------------ pauses


@dataclass(frozen=True, slots=True)
class Edges:
    """How much later than a gap's stated edges the sound itself ends and begins, by the phone."""

    ends_us: float
    begins_us: float


def edges(manifest: Manifest, talk: Talk, sound: Sound) -> Iterable[Edges]:
    """Hold each gap's edges against when what is heard there was said."""
    loud = np.flatnonzero(np.abs(sound.samples.astype(np.int32)) > QUIET)
    before: SegmentSpan | None = None
    for gap, after in pairwise(manifest.spans):
        if isinstance(gap, SegmentSpan):
            before = gap
        if not (isinstance(gap, GapSpan) and gap.sources):
            continue
        assert before is not None
        if not isinstance(after, SegmentSpan):
            assert talk.late, "a segment without any sound"
            continue
        gap_ends = gap.start_sample + gap.samples
        assert gap.silent_from_sample == before.start_sample + before.part_samples
        assert not sound.samples[gap.silent_from_sample : gap_ends].any()
        last = int(loud[np.searchsorted(loud, gap_ends) - 1]) + 1
        first = int(loud[np.searchsorted(loud, gap.silent_from_sample)])
        since = manifest.spans[0] if talk.bot == "mute" else before
        late_us = talk.lateness_us(since.begin.us, after.end.us)
        ended_us, began_us = said_at(talk, sound, last, before), said_at(talk, sound, first, after)
        if ended_us is None or began_us is None:
            assert late_us, "a segment without a single switch"
            continue
        found = Edges(ended_us - gap.silent_from.us, began_us - gap.end.us)
        assert abs(found.ends_us) <= before.uncertainty_us + late_us + 1000
        assert abs(found.begins_us) <= after.uncertainty_us + late_us + 1000
        # What went out before Asterisk's answer may be in it, to that packet's end.
        assert gap.stop is not None
        assert ended_us <= gap.stop.acknowledged.us + PACKET_US + late_us + 1000
        assert gap.silent_from.us <= gap.begin.us
        if not late_us:
            yield found


def said_at(talk: Talk, sound: Sound, sample: int, segment: SegmentSpan) -> float | None:
    """When it was said that lies at a sample, told from the nearest switch of its segment."""
    begin_us = segment.start_sample * SAMPLE_US
    end_us = begin_us + segment.samples * SAMPLE_US
    at_us = sample * SAMPLE_US
    known = [
        (abs(place_us - at_us), switch.sent_us + at_us - place_us)
        for switch in talk.source.switches()
        if segment.begin.us <= switch.sent_us < segment.end.us
        for place_us in sound.places_us(switch)
        if begin_us <= place_us < end_us
    ]
    return min(known)[1] if known else None


async def test_a_gaps_edges_and_all_that_was_said_around_it_lie_where_the_manifest_says(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk, tmp_path, FLOW, PAUSES) as here:
        talks = await calls(here)
        recordings = {one.bot: one for one in await here.recordings(len(BOTS))}
        for talk in talks:
            what = f"{talk.bot} on {asterisk.version}"
            file = here.file(recordings[talk.bot])
            manifest, spans = manifest_of(file)
            judge = Judge.of(talk, file, spans).judge()
            judge.agrees(what)
            assert judge.absent > GAPS
            found = list(edges(manifest, talk, judge.sound))
            if found:
                ends_us = median(abs(one.ends_us) for one in found)
                begins_us = median(abs(one.begins_us) for one in found)
                print(
                    f"{what}: the sound ends {ends_us / 1000:.1f} and begins"
                    f" {begins_us / 1000:.1f} ms beside {len(found)} gaps' edges"
                )
                assert max(ends_us, begins_us) <= EDGE_US
            await exports_agree(here, talk, recordings[talk.bot], what)


# ------------------------------------------------------------------ standstills


async def test_where_nobodys_rtp_flows_the_shortfall_is_stated_and_moves_nothing_after_its_segment(
    asterisk: Installation, tmp_path: Path
) -> None:
    async with rig(asterisk, tmp_path, FLOW, STANDSTILLS) as here:
        talks = await calls(here)
        recordings = await here.recordings(2 * len(BOTS))
        for talk in talks:
            what = f"{talk.bot} on {asterisk.version}"
            first, second = (one for one in recordings if one.bot == talk.bot)
            file = here.file(first)
            manifest, spans = manifest_of(file)
            assert len(talk.silences_us) == 2
            judge = Judge.of(talk, file, spans)
            judge.is_anchored = is_anchored(manifest)
            assert judge.judge().moved > 0
            judge.agrees(what)
            if judge.is_anchored:
                shortfalls_are_stated(manifest, talk)
            else:
                all_is_uncertain(manifest, talk)
            await exports_agree(here, talk, first, what)
            _, spans = manifest_of(here.file(second))
            Judge.of(talk, here.file(second), spans).judge().agrees(f"{what}, the next recording")


def is_anchored(manifest: Manifest) -> bool:
    """Whether each segment has a place of its own; what is said where a muted one has none."""
    return not any("nothing tells where" in one for one in manifest.recording.problems)


def all_is_uncertain(manifest: Manifest, talk: Talk) -> None:
    """How much the one part lacks is known, but not where."""
    assert talk.bot == "mute"
    assert talk.late, "no packet was late, and yet the mutes were not found"
    stood_us = sum(end_us - begin_us for begin_us, end_us in talk.silences_us)
    segments = [one for one in manifest.spans if isinstance(one, SegmentSpan)]
    assert min(one.uncertainty_us for one in segments) >= stood_us - TOLERANCE_US


def shortfalls_are_stated(manifest: Manifest, talk: Talk) -> None:
    found = [
        (segment, shortfall)
        for segment, shortfall in pairwise(manifest.spans)
        if isinstance(segment, SegmentSpan) and isinstance(shortfall, ShortfallSpan)
    ]
    assert len(found) == len(manifest.recording.problems)
    lacking = 0
    for segment, shortfall in found:
        within = (segment.begin.us, shortfall.end.us)
        silent_us = sum(
            end_us - begin_us
            for begin_us, end_us in talk.silences_us
            if within[0] < begin_us < end_us < within[1]
        )
        lacks_us = shortfall.end.us - shortfall.begin.us
        assert segment.start is not None
        assert segment.stop is not None
        took_us = sum(
            one.acknowledged.us - one.asked.us for one in (segment.start, segment.stop) if one.asked
        )
        print(f"{silent_us / 1e6:.3f} s without RTP, {lacks_us / 1e6:.3f} stated as lacking")
        may_be_us = EDGE_US + TOLERANCE_US + took_us + talk.lateness_us(*within)
        assert abs(lacks_us - silent_us) <= may_be_us
        assert segment.uncertainty_us == shortfall.uncertainty_us >= lacks_us
        lacking += silent_us > 0
    assert lacking == len(talk.silences_us)
