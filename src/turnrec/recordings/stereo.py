"""Makes the two-channel file beside the mix: what the caller's channel sent left, all else right.

It is laid out like the mix, sample by sample, and it is only made where the two directions, added,
are the mix: that shows that neither is early or late. So anybody can check the file against the
mix, and a pause in which both channels are silent is one in the mix too. Asterisk 22's directions
pass, Asterisk 16's don't (docs/decisions.md). The parts are only read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turnrec.core.monitor import side_parts
from turnrec.core.timeline import Span
from turnrec.recordings.join import Joined, RecordingNotVerifiedError
from turnrec.recordings.wav import Part, PartError, Samples, read_part
from turnrec.recordings.wav_writer import RecordingError, WavWriter

SUFFIX = ".stereo.wav"
_LOUDEST = np.iinfo(np.int16)


class NoStereoError(RecordingError):
    """There is no two-channel file, and why; the mix is none the worse."""

    id = "no-stereo"


@dataclass(frozen=True, slots=True)
class Stereo:
    """A two-channel file that was verified."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class _Trio:
    mix: Part
    left: Part
    right: Part


def stereo_path(mix: Path) -> Path:
    """Where the two-channel file of a mix lies."""
    return mix.with_suffix(SUFFIX)


def join_stereo(joined: Joined, spool: Path) -> Stereo:
    """Join the two directions by the mix's own layout, and read back what was written.

    Raises:
        NoStereoError: the directions aren't there, or don't add up to the mix.
        RecordingError: it could not be written.
    """
    if joined.path is None:
        raise NoStereoError("nothing audible was recorded")
    try:
        mix = read_part(joined.path)
        trios = {
            name: _read(spool, name)
            for name in dict.fromkeys(span.part for span in joined.spans if span.part_samples)
            if name is not None
        }
        target = stereo_path(joined.path)
        with WavWriter(target, joined.rate_hz, 2) as writer:
            for span in joined.spans:
                if span.part_samples and span.part is not None:
                    _write(writer, span, trios[span.part])
                writer.write_silence(span.samples - span.part_samples)
            writer.seal()
            sha256 = _verify(writer.path, mix, joined)
            writer.publish()
    except PartError as error:
        raise NoStereoError(str(error)) from error
    return Stereo(target, sha256)


def _read(spool: Path, name: str) -> _Trio:
    receive, transmit = side_parts(name)
    trio = _Trio(*(read_part(spool / one) for one in (name, receive, transmit)))
    for side in (trio.left, trio.right):
        if (side.channels, side.rate_hz) != (1, trio.mix.rate_hz):
            raise NoStereoError(f"part {side.path.name} is not of the mix's kind")
        if side.samples != trio.mix.samples:
            raise NoStereoError(
                f"the directions don't lie beside the mix: part {name} has {trio.mix.samples}"
                f" samples, {side.path.name} {side.samples} (as Asterisk 16 writes them)"
            )
    return trio


def _write(writer: WavWriter, span: Span, trio: _Trio) -> None:
    stretch = span.part_start_sample, span.part_samples
    every = (part.blocks(*stretch) for part in (trio.mix, trio.left, trio.right))
    for mix, left, right in zip(*every, strict=True):
        if (added(left, right) != mix).any():
            raise NoStereoError(
                f"the directions of part {span.part}, added, are not the mix: one of them is early"
                " or late (as Asterisk 16 writes them)"
            )
        writer.write(np.stack((left, right), axis=1))


def added(left: Samples, right: Samples) -> Samples:
    """The mix of two directions as Asterisk makes it: their sum, saturated, not wrapped."""
    total = left.astype(np.int32) + right
    mix: Samples = np.clip(total, _LOUDEST.min, _LOUDEST.max).astype(np.int16)
    return mix


def _verify(path: Path, mix: Part, joined: Joined) -> str:
    """Compare what lies on the disk with the mix and its layout; return the file's hash."""
    written = read_part(path)
    if (written.samples, written.channels, written.mended) != (mix.samples, 2, False):
        raise RecordingNotVerifiedError("the two-channel file is not as long as the mix")
    for span in joined.spans:
        audible = span.start_sample, span.part_samples
        for both, one in zip(written.blocks(*audible), mix.blocks(*audible), strict=True):
            if (added(both[:, 0], both[:, 1]) != one).any():
                raise RecordingNotVerifiedError("the two channels, added, are not the mix")
        silent_from = span.start_sample + span.part_samples
        for both in written.blocks(silent_from, span.samples - span.part_samples):
            if both.any():
                raise RecordingNotVerifiedError(
                    f"the {span.kind} at sample {silent_from} is not silent in both channels"
                )
    return written.sha256
