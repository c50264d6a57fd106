"""Holds an exported copy's sound against its recording's, block by block; it reads no map.

WAV and FLAC hold the very samples: such a copy is turned back, and its hash is then the
recording's. Opus doesn't: there the silence of the gaps is checked, to what the codec itself
leaves in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from turnrec.core.policy import PauseBehavior
from turnrec.core.timeline import Layout, Span, SpanKind
from turnrec.recordings.manifest_make import part_header
from turnrec.recordings.sound import SoundReader
from turnrec.recordings.stereo import added
from turnrec.recordings.wav import Samples
from turnrec.recordings.wav_writer import wav_header
from turnrec.verify.findings import Report


class Hash(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes, /) -> None:
        """Take more."""


OPUS_UNHEARD_MS: Final = (30, 10)
"""How far into a gap, after its begin and before its end, what Opus smears from beside it may be
as loud as anything; nothing is held against it there."""
OPUS_DECAY: Final = (4_000.0, 50.0)
"""How loud a decoded gap may be t ms after its begin: 4000 e^(-t/50 ms) of 32768, and
`OPUS_FLOOR` more. Measured over noise, a square wave, tones and speech at full scale, libopus
through soundfile at 8 kHz: at most 1226 at 30 ms, 608 at 60, 195 at 100, 43 at 200 and 5 from 300
on (tests/unit/verify/test_exports.py with 60 seeds)."""
OPUS_FLOOR: Final = 16


@dataclass(frozen=True, slots=True)
class Known:
    """What manifest or ledger know of the recording."""

    id: str
    layout: Layout
    sha256: str | None
    stereo_sha256: str | None
    sounds: Mapping[int, str | None]
    """The hash of each segment's sound, by its first sample; empty: only a manifest has them."""
    parts: Mapping[str, str]
    """The hash of each part."""
    by: str


def name_of_span(span: Span) -> str:
    if span.kind is SpanKind.GAP:
        return f"the gap of {span.node or '+'.join(span.sources) or 'a seam'}"
    return f"{span.kind} {span.segment}"


# ------------------------------------------------------------------ lossless


def turn_back(report: Report, layout: Layout, reader: SoundReader, recording: Known) -> None:
    """Make the recording's own file again, in memory block by block, and hash it."""
    channels = reader.channels
    expected = recording.sha256 if channels == 1 else recording.stereo_sha256
    whole = hashlib.sha256(wav_header(layout.rate_hz, channels, recording.layout.samples))
    known = len(report.findings)
    parts = 0
    for old, new in zip(recording.layout.spans, layout.spans, strict=True):
        if old.kind is SpanKind.SEGMENT:
            sound, part = _segment(report, new, reader, whole)
            said = recording.sounds.get(old.start_sample)
            if said is not None and new.part_samples and said != sound:
                report.wrong(
                    "export-segment", f"{name_of_span(new)} is not the sound that was recorded"
                )
            parts += channels == 1 and recording.parts.get(old.part or "") == part
            continue
        _silence(report, new, reader)
        _add_silence(whole, old.samples * channels)
    if whole.hexdigest() == expected:
        report.proven.append(
            f"turned back, it is to the byte the file of recording {recording.id} that"
            f" {recording.by} names (SHA-256 {expected})"
        )
        if parts:
            report.proven.append(
                f"{parts} of its segments are, to the byte, the part that Asterisk wrote"
            )
    elif len(report.findings) == known:
        report.wrong(
            "export-not-rebuilt",
            f"turned back, it has SHA-256 {whole.hexdigest()}, {recording.by} says {expected}",
        )


def _segment(report: Report, span: Span, reader: SoundReader, whole: Hash) -> tuple[str, str]:
    """The hashes of a segment's sound, and of a part that would hold it."""
    sound = hashlib.sha256()
    part = hashlib.sha256(part_header(reader.rate_hz, span.part_samples))
    for block in reader.blocks(span.part_samples):
        whole.update(block.astype("<i2", copy=False).tobytes())
        mono = block if reader.channels == 1 else added(block[:, 0], block[:, 1])
        data = mono.astype("<i2", copy=False).tobytes()
        sound.update(data)
        part.update(data)
    padding = replace(span, start_sample=span.start_sample + span.part_samples)
    padding = replace(padding, samples=span.samples - span.part_samples)
    _silence(report, padding, reader, "the padding of ")
    _add_silence(whole, padding.samples * reader.channels)
    return sound.hexdigest(), part.hexdigest()


def _silence(report: Report, span: Span, reader: SoundReader, of: str = "") -> None:
    position, is_told = span.start_sample, False
    for block in reader.blocks(span.samples):
        if block.any() and not is_told:
            is_told = True
            loud = position + int(np.flatnonzero(block.reshape(len(block), -1).any(axis=1))[0])
            report.wrong("export-not-silent", f"{of}{name_of_span(span)}: sample {loud} sounds")
        position += len(block)


def _add_silence(whole: Hash, samples: int) -> None:
    zeros = bytes(2 * min(samples, 1 << 16))
    while samples > 0:
        whole.update(zeros[: 2 * samples])
        samples -= 1 << 16


# ------------------------------------------------------------------ Opus


def check_opus(report: Report, layout: Layout, reader: SoundReader) -> None:
    """The gaps hold no more than the codec leaves in them; silent spans in a row are one gap."""
    known, silent_us = len(report.findings), 0
    index = 0
    spans = layout.spans
    while index < len(spans):
        if spans[index].kind is SpanKind.SEGMENT:
            reader.skip(spans[index].samples)
            index += 1
            continue
        run = index
        while run < len(spans) and (spans[run].kind is not SpanKind.SEGMENT):
            run += 1
        samples = sum(span.samples for span in spans[index:run])
        loud = _first_above(reader, samples)
        if loud is not None:
            at = spans[index].start_sample + loud
            inside = next(one for one in spans[index:run] if at < one.start_sample + one.samples)
            report.wrong(
                "export-not-silent",
                f"{name_of_span(inside)}: sample {at} is louder than what Opus leaves of the sound"
                " beside it",
            )
        silent_us += samples * 1_000_000 // layout.rate_hz
        index = run
    if len(report.findings) == known:
        head_ms, tail_ms = OPUS_UNHEARD_MS
        if layout.behavior is PauseBehavior.SILENCE:
            report.proven.append(
                f"its {silent_us / 1e6:.3f} s of gaps are silent but for what Opus leaves of the"
                f" sound beside them: at most {OPUS_FLOOR} of 32768 from 0.5 s after their begin on"
            )
        else:
            report.proven.append("it is as long as its segments alone, to the sample")
        report.not_proven.append(
            "Opus does not keep the very samples: that its segments are the recorded sound is not"
            f" checked, nor are the first {head_ms} ms and the last {tail_ms} ms of its gaps"
        )


def _first_above(reader: SoundReader, samples: int) -> int | None:
    """The first sample of a gap that is louder than the codec explains; all of it is read."""
    found: int | None = None
    position = 0
    head_ms, tail_ms = OPUS_UNHEARD_MS
    first, last = head_ms * reader.rate_hz // 1000, samples - tail_ms * reader.rate_hz // 1000
    for block in reader.blocks(samples):
        if found is None:
            found = _above(block, position, first, last, reader.rate_hz)
        position += len(block)
    return found


def _above(block: Samples, position: int, first: int, last: int, rate_hz: int) -> int | None:
    places = np.arange(position, position + len(block))
    peak, tau_ms = OPUS_DECAY
    allowed = OPUS_FLOOR + peak * np.exp(-places * (1000 / rate_hz / tau_ms))
    level = np.abs(block.reshape(len(block), -1).astype(np.int32)).max(axis=1)
    above = np.flatnonzero((level > allowed) & (places >= first) & (places < last))
    return None if len(above) == 0 else position + int(above[0])
