"""Holds a two-channel file against its manifest and against the mix beside it, to the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from turnrec.recordings.manifest import Manifest, SegmentSpan
from turnrec.recordings.stereo import SUFFIX, added
from turnrec.recordings.wav import Part, PartError, PartMissingError, PartUnreadableError, read_part
from turnrec.verify.audio import Heard, Stretch, name_of
from turnrec.verify.findings import Report

_SIDES = ("left", "right")


def check_stereo(report: Report, manifest: Manifest, heard: Heard, folder: Path) -> None:
    """Check the two-channel file that the manifest names, or that there is none.

    A changed sample shows in the file's hash; where it is shows wherever the two channels, added,
    are no longer the mix.
    """
    said = manifest.stereo
    if said is None:
        stray = folder / f"{manifest.recording.id}{SUFFIX}"
        if stray.exists():
            report.wrong("stereo-unknown", f"{stray.name} is there, and the manifest says of none")
        return
    try:
        file = read_part(folder / Path(said.file).name)
    except PartMissingError as error:
        report.wrong("stereo-missing", f"{said.file}: {error.reason}")
        return
    except PartError as error:
        say = report.unproven if isinstance(error, PartUnreadableError) else report.wrong
        say("stereo-unreadable", f"{said.file}: {error.reason}")
        return
    known = len(report.findings)
    if file.sha256 != said.sha256:
        report.wrong(
            "stereo-hash", f"{said.file} has SHA-256 {file.sha256}, the manifest {said.sha256}"
        )
    mix = heard.file
    if mix is None:
        return
    if (file.samples, file.rate_hz, file.channels) != (mix.samples, mix.rate_hz, 2):
        report.wrong(
            "stereo-length",
            f"{said.file} has {file.samples} samples at {file.rate_hz} Hz in {file.channels}"
            f" channel(s); the mix has {mix.samples} at {mix.rate_hz} Hz",
        )
        return
    for span in manifest.spans:
        if span.start_sample + span.samples <= file.samples:
            _check_span(report, manifest, span, file, mix)
    if len(report.findings) == known:
        report.proven.append(
            f"{said.file} is the two-channel file that was made (SHA-256 {said.sha256}): silent in"
            " both channels wherever the mix is to be, and at every other sample the two, added,"
            " are the mix"
        )


def _check_span(report: Report, manifest: Manifest, span: Stretch, file: Part, mix: Part) -> None:
    audible = min(span.part_samples, span.samples) if isinstance(span, SegmentSpan) else 0
    name, position = name_of(span, manifest), span.start_sample
    stretch = position, audible
    for both, one in zip(file.blocks(*stretch), mix.blocks(*stretch), strict=True):
        differs = added(both[:, 0], both[:, 1]) != one
        if differs.any():
            report.wrong(
                "stereo-differs",
                f"{name}: at sample {position + int(differs.argmax())} the two channels, added, are"
                " not the mix",
            )
            break
        position += len(one)
    position = span.start_sample + audible
    for both in file.blocks(position, span.samples - audible):
        if both.any():
            sample = int(np.flatnonzero(both.any(axis=1))[0])
            side = _SIDES[int(np.flatnonzero(both[sample])[0])]
            report.wrong(
                "stereo-not-silent",
                f"{name}: sample {position + sample} sounds in the {side} channel, where nothing"
                " is to be",
            )
            break
        position += len(both)
