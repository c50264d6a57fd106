"""Makes a manifest of a joined recording and of what the ledger says of it; it joins nothing.

It reads the joined file once more, for the hash of each segment's sound as it lies in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from turnrec.core.call import ClosedRecording, FinishedRecording
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.recorder import Source
from turnrec.recordings.manifest import (
    Audio,
    CallFacts,
    GapSpan,
    HeadFacts,
    Instant,
    LedgerFacts,
    Made,
    Manifest,
    OneSided,
    PartFacts,
    RecordingFacts,
    RedactedSpan,
    Redacts,
    SegmentSpan,
    ShortfallSpan,
    StereoFacts,
)
from turnrec.recordings.manifest_history import History, Numbered, read_history
from turnrec.recordings.wav import SAMPLE_BYTES, PartError, read_part
from turnrec.recordings.wav_writer import HEADER, wav_header

_END: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a manifest says beside the recording and its entries."""

    made_us: int
    made_by: str
    asterisk_version: str | None
    ledger_id: str
    head_seq: int
    head_hash: str


def make_manifest(
    finished: FinishedRecording,
    closed: ClosedRecording,
    file: Path | None,
    entries: Sequence[Numbered],
    around: Circumstances,
    *,
    redacts: Redacts | None = None,
    origin: str | None = None,
) -> Manifest:
    """Make a manifest. It blocks on the disk.

    Args:
        finished: the recording as its books were closed.
        closed: what came of joining it.
        file: the joined file; None without one.
        entries: the call's entries, in the order of the chain, up to the head in `around`.
        around: the rest.
        redacts: which recording it is a copy of, with stretches cut out.
        origin: the recording whose monitors it was made of, where that is another.

    Raises:
        PartError: the joined file can't be read, or isn't the one that was joined.
        ValueError: `closed.detail` is not what the joining says.
    """
    detail: Mapping[str, Any] = closed.detail
    history = read_history(entries, origin or finished.id)
    sounds = Sounds.of(file, detail.get("spans", ()), detail.get("parts", ()))
    return Manifest(
        made=Made(at=Instant.at(around.made_us), by=around.made_by),
        recording=RecordingFacts(
            id=finished.id,
            status="done" if detail.get("status") == "done" else "failed",
            opened=Instant.at(finished.opened_us),
            closed=Instant.at(finished.closed_us),
            behavior=finished.behavior,
            method=finished.method,
            asterisk_version=around.asterisk_version,
            problems=tuple(map(str, detail.get("problems", ()))),
        ),
        call=_call(finished, [one.entry for one in entries]),
        audio=None if file is None else _audio(file, detail),
        stereo=stereo_facts(detail),
        redacts=redacts,
        spans=tuple(describe_spans(detail.get("spans", ()), history, sounds.of_segments)),
        parts=tuple(
            PartFacts(
                name=part["name"],
                sha256=part["sha256"],
                bytes=part["bytes"],
                samples=part["samples"],
                mended=part["mended"],
                rebuildable=part["name"] in sounds.rebuilt,
            )
            for part in detail.get("parts", ())
        ),
        one_sided=tuple(
            OneSided(part=one["part"], silent=tuple(one["silent"]))
            for one in detail.get("one_sided", ())
        ),
        parties=history.parties,
        windows=history.windows,
        other_recorders=history.other_recorders,
        ledger=LedgerFacts(
            id=around.ledger_id, head=HeadFacts(seq=around.head_seq, hash=around.head_hash)
        ),
    )


def _call(finished: FinishedRecording, entries: Sequence[Entry]) -> CallFacts:
    started = next((one for one in entries if one.kind is EntryKind.CALL_STARTED), None)
    detail: Mapping[str, Any] = {} if started is None else started.detail
    return CallFacts(
        id=finished.call_id,
        uniqueid=next((one.uniqueid for one in entries if one.uniqueid), None),
        channel=detail.get("channel"),
        external_id=detail.get("external_id"),
        bot=finished.bot,
    )


def _audio(file: Path, detail: Mapping[str, Any]) -> Audio:
    return Audio(
        file=file.name,
        sha256=detail["sha256"],
        bytes=HEADER.size + detail["samples"] * SAMPLE_BYTES,
        rate_hz=detail["rate_hz"],
        channels=1,
        samples=detail["samples"],
    )


def stereo_facts(detail: Mapping[str, Any]) -> StereoFacts | None:
    """What RECORDING_CLOSED says of the two-channel file; None where there is none.

    Raises:
        ValueError: it is not what joining says.
    """
    stereo = detail.get("stereo")
    if not isinstance(stereo, Mapping) or stereo.get("file") is None:
        return None
    return StereoFacts(file=Path(str(stereo["file"])).name, sha256=str(stereo.get("sha256")))


# ------------------------------------------------------------------ spans


def describe_spans(
    spans: Iterable[Mapping[str, Any]], history: History, sounds: Mapping[int, str]
) -> list[SegmentSpan | ShortfallSpan | RedactedSpan | GapSpan]:
    """Say of each span, as joining has placed it, what the ledger knows of it.

    Args:
        spans: as RECORDING_CLOSED holds them.
        history: what the ledger says.
        sounds: the hash of each segment's sound in the file, by its first sample.
    """
    listed = list(spans)
    described: list[SegmentSpan | ShortfallSpan | RedactedSpan | GapSpan] = []
    before: int | None = None
    for index, span in enumerate(listed):
        placed: dict[str, Any] = {
            "start_sample": span["start_sample"],
            "samples": span["samples"],
            "begin": Instant.at(span["begin_us"]),
            "end": Instant.at(span["end_us"]),
            "uncertainty_us": span["uncertainty_us"],
        }
        if span["kind"] == "gap":
            following = next((one["segment"] for one in listed[index:] if one["segment"]), None)
            placed |= _silent_from(listed[:index], span)
            described.append(_gap(span, placed, history, before, following))
            continue
        before = span["segment"]
        life = history.life(before) if before is not None else None
        if span["kind"] == "shortfall":
            described.append(ShortfallSpan(**placed, segment=before, part=span["part"]))
            continue
        if span["kind"] == "redacted":
            described.append(RedactedSpan(**placed, segment=before, part=span["part"]))
            continue
        described.append(
            SegmentSpan(
                **placed,
                segment=before,
                part=span["part"],
                part_start_sample=span["part_start_sample"],
                part_samples=span["part_samples"],
                excess_samples=span["excess_samples"],
                audio_sha256=sounds.get(span["start_sample"]) if span["part_samples"] else None,
                start=None if life is None else life.start,
                stop=None if life is None else life.stop,
            )
        )
    return described


def _silent_from(earlier: Sequence[Mapping[str, Any]], gap: Mapping[str, Any]) -> dict[str, Any]:
    """Where the sound before a gap ends: padding or a shortfall follows it, up to the answer."""
    before = next((one for one in reversed(earlier) if one["kind"] != "shortfall"), gap)
    sample, at_us = gap["start_sample"], gap["begin_us"]
    if before["kind"] == "segment":
        lasts_us = before["end_us"] - before["begin_us"]
        sample = before["start_sample"] + before["part_samples"]
        at_us = before["begin_us"] + lasts_us * before["part_samples"] // max(1, before["samples"])
    return {"silent_from": Instant.at(at_us), "silent_from_sample": sample}


def _gap(
    span: Mapping[str, Any],
    placed: Mapping[str, Any],
    history: History,
    before: int | None,
    following: int | None,
) -> GapSpan:
    earlier = None if before is None else history.life(before)
    later = None if following is None else history.life(following)
    stop = None if earlier is None else earlier.stop
    start = None if later is None else later.start
    after_seq, before_seq = stop.seq if stop else 0, start.seq if start else _END
    begun_by = stop.by if stop else history.opened
    return GapSpan(
        **placed,
        sources=tuple(Source(word) for word in span["sources"]),
        node=span["node"],
        turn=None if begun_by is None else begun_by.turn,
        after_segment=before,
        before_segment=following,
        stop=stop,
        done=None if stop is None else history.done(stop, before_seq),
        start=start,
        actions=history.actions_between(after_seq, before_seq) if span["sources"] else (),
    )


# ------------------------------------------------------------------ sound


@dataclass(frozen=True, slots=True)
class Sounds:
    """What the joined file's samples come to."""

    of_segments: Mapping[int, str]
    """The hash of each segment's sound, by its first sample in the file."""
    rebuilt: frozenset[str]
    """The parts whose file can be made again, to the byte, from their samples in the joined one."""

    @classmethod
    def of(
        cls,
        file: Path | None,
        spans: Iterable[Mapping[str, Any]],
        parts: Iterable[Mapping[str, Any]],
    ) -> Sounds:
        """Read the joined file.

        Raises:
            PartError: it can't be read.
        """
        if file is None:
            return cls({}, frozenset())
        wav = read_part(file)
        by_name = {part["name"]: part for part in parts}
        hashes: dict[int, str] = {}
        rebuilt: set[str] = set()
        for span in spans:
            if span["kind"] != "segment" or not span["part_samples"]:
                continue
            part = by_name.get(span["part"])
            sound = hashlib.sha256()
            whole = hashlib.sha256(part_header(wav.rate_hz, span["part_samples"]))
            for block in wav.blocks(span["start_sample"], span["part_samples"]):
                data = block.astype("<i2", copy=False).tobytes()
                sound.update(data)
                whole.update(data)
            hashes[span["start_sample"]] = sound.hexdigest()
            if part is not None and whole.hexdigest() == part["sha256"]:
                rebuilt.add(span["part"])
        return cls(hashes, frozenset(rebuilt))


def part_header(rate_hz: int, samples: int) -> bytes:
    """The 44 bytes that Asterisk writes before so many mono samples."""
    return wav_header(rate_hz, 1, samples)


__all__ = ["Circumstances", "PartError", "Sounds", "describe_spans", "make_manifest", "part_header"]
