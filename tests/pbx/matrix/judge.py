"""What a row came to: its files against what is expected, and its ledger; it plays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.pbx.matrix.cast import PROMPT_S, TONES, VOICES, Phase, Speaker, hz
from tests.pbx.matrix.expected import Heard, expected
from tests.pbx.matrix.scene import TALK_PACKETS
from tests.pbx.matrix.states import Row
from tests.pbx.matrix.way import Way
from tests.pbx.tones import NOMINAL_AMPLITUDE, Audio, Leak, analyse, leaks, read_wav
from turnrec.core.entry import EntryKind
from turnrec.ledger.entries import WrittenEntry
from turnrec.ledger.views import RecordingRecord, Segment

UNJUDGED_S = 0.4
"""The settling time after a bridge, and then some."""
LOUD_SHARE, FAINT_LASTS_S = 0.6, 0.05
"""Three parties begin and stop at nearly the same instant, so edges smear higher (0.45 was seen)
and for longer than with the two of `tests.pbx.tones`. A leak of 10 ms still has 0.81."""
PRESENT_SHARE = 0.4
PAUSE_S = 0.2
MARGIN_S = 0.25
"""A window begins where turnrec heard of the bridge, some time after it happened; and a part's
place in time is known to a packet or two."""
LONGEST_WINDOW_S = 1.5

_LEAST_S = {Phase.WAIT: 0.5, Phase.TALK: TALK_PACKETS / 50, Phase.TALK2: TALK_PACKETS / 50}
_BACKGROUND = (hz(Phase.WAIT, Speaker.RING), hz(Phase.WAIT, Speaker.MUSIC))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a row left behind."""

    row: Row
    way: Way
    files: tuple[Path, ...]
    """Its joined recordings, in their order."""
    parts: tuple[tuple[Path, Segment], ...]
    recordings: tuple[RecordingRecord, ...]
    entries: tuple[WrittenEntry, ...]


def faults(evidence: Evidence) -> list[str]:
    """Everything that is not as it must be."""
    return [*_missing(evidence), *_forbidden(evidence), *_ledger(evidence)]


# ------------------------------------------------------------------ what must be there


def _missing(evidence: Evidence) -> Iterable[str]:
    audio = [read_wav(path).channels[0] for path in evidence.files]
    for phase in evidence.way.phases:
        if expected(evidence.row, phase) is Heard.YES:
            fault = _absent(audio, phase)
            if fault:
                yield f"{phase}: {fault}"


def _absent(audio: Sequence[Audio], phase: Phase) -> str | None:
    tones = [hz(phase, speaker) for speaker in VOICES[phase]]
    longest, found = 0.0, "nothing of it is recorded"
    for samples in audio:
        shares = analyse(samples, tones_hz=tones) / NOMINAL_AMPLITUDE
        for first, last in _stretches(shares.max(axis=1) > PRESENT_SHARE):
            length_s = (last - first) / 100
            if length_s > longest:
                judged = shares[first:last][round(UNJUDGED_S * 100) :]
                longest, found = length_s, _fault_of(judged, tones)
    least_s = _LEAST_S.get(phase, PROMPT_S)
    if longest and longest - UNJUDGED_S < (least_s - UNJUDGED_S) / 2:
        return f"only {longest:.2f} s of it"
    return found or None


def _fault_of(shares: npt.NDArray[np.float64], tones: list[int]) -> str:
    """What is wrong with a stretch in which all these tones should sound."""
    typical = np.median(shares, axis=0) if len(shares) else np.zeros(len(tones))
    if typical.min() > PRESENT_SHARE:
        return ""
    shown = (f"{tone} Hz {share:.2f}" for tone, share in zip(tones, typical, strict=True))
    return f"one-sided: {', '.join(shown)}"


def _stretches(sounding: npt.NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Where something sounds, first window and the one after the last; short pauses don't count."""
    windows = np.flatnonzero(sounding)
    if not len(windows):
        return
    breaks = np.flatnonzero(np.diff(windows) > PAUSE_S * 100)
    starts = [windows[0], *windows[breaks + 1]]
    ends = [*windows[breaks], windows[-1]]
    yield from ((int(first), int(last) + 1) for first, last in zip(starts, ends, strict=True))


# ------------------------------------------------------------------ what must not


def _forbidden(evidence: Evidence) -> Iterable[str]:
    allowed = {phase: expected(evidence.row, phase) for phase in Phase}
    # Music and ringing sound in several phases: they may be there where one of these may.
    uses: dict[int, list[Phase]] = {}
    for phase, speakers in TONES.items():
        for one in speakers.values():
            if phase in evidence.way.phases or len(speakers) == len(VOICES.get(phase, ())):
                uses.setdefault(one, []).append(phase)
    # With an agent announced on his leg they also sound on between the confirmation and the bridge.
    if allowed[Phase.TALK] is not Heard.NO:
        uses = {one: phases for one, phases in uses.items() if one not in _BACKGROUND}
    never = [one for one, phases in uses.items() if {allowed[p] for p in phases} == {Heard.NO}]
    windowed = [one for one, phases in uses.items() if Heard.WINDOW in {allowed[p] for p in phases}]
    for path in (*evidence.files, *(part for part, _ in evidence.parts)):
        for leak in _leaks(path, never):
            yield f"{path.name}: {_named(leak)}"
    windows = _windows(evidence)
    if windowed and evidence.parts and not windows:
        yield "no window is in the ledger"
    for path, segment in evidence.parts:
        for leak in _leaks(path, windowed):
            began_s = segment.began_us / 1e6 + leak.start_s
            ended_s = segment.began_us / 1e6 + leak.end_s
            if not any(
                start - MARGIN_S <= began_s and ended_s <= end + MARGIN_S for start, end in windows
            ):
                yield f"{path.name}: {_named(leak)}, outside the windows {_shown(windows, segment)}"
    for start, end in windows:
        if end - start > LONGEST_WINDOW_S:
            yield f"a window of {end - start:.2f} s"


def _leaks(path: Path, tones: list[int]) -> list[Leak]:
    if not tones:
        return []
    found = leaks(read_wav(path).channels[0], tones_hz=tones)
    return [
        leak
        for leak in found
        if leak.peak_share > LOUD_SHARE or leak.end_s - leak.start_s > FAINT_LASTS_S
    ]


def _named(leak: Leak) -> str:
    who = [
        f"{speaker} ({phase})"
        for phase, speakers in TONES.items()
        for speaker, tone in speakers.items()
        if tone == leak.hz
    ]
    return (
        f"{' or '.join(who)} from {leak.start_s:.2f} to {leak.end_s:.2f} s, {leak.peak_share:.2f}"
    )


def _windows(evidence: Evidence) -> list[tuple[float, float]]:
    found = []
    for written in evidence.entries:
        if written.entry.kind is EntryKind.WINDOW_MEASURED:
            detail = written.entry.detail
            from_us, to_us = detail["from_us"], detail["to_us"]
            assert isinstance(from_us, int)
            assert isinstance(to_us, int)
            found.append((from_us / 1e6, to_us / 1e6))
    return found


def _shown(windows: list[tuple[float, float]], segment: Segment) -> str:
    zero = segment.began_us / 1e6
    return ", ".join(f"{start - zero:.2f} to {end - zero:.2f}" for start, end in windows) or "none"


# ------------------------------------------------------------------ the ledger


def _ledger(evidence: Evidence) -> Iterable[str]:
    kinds = [written.entry.kind for written in evidence.entries]
    for kind in (EntryKind.CALL_STARTED, EntryKind.CALL_ENDED):
        if kinds.count(kind) != 1:
            yield f"{kinds.count(kind)} entries {kind}"
    opened, closed = EntryKind.RECORDING_OPENED, EntryKind.RECORDING_CLOSED
    for kind in (opened, closed):
        ids = [one.entry.recording_id for one in evidence.entries if one.entry.kind is kind]
        if len(ids) != len(set(ids)):
            yield f"a recording twice {kind}"
    for recording in evidence.recordings:
        if not recording.status.closed:
            yield f"a recording is left {recording.status}"
        elif recording.status != "done":
            yield f"a recording is {recording.status}"
        if recording.status == "done" and recording.segments and recording.file is None:
            yield "a recording without its file"
        numbers = [segment.number for segment in recording.segments]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"segments {numbers}"
