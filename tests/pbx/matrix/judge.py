"""What a row came to: its files against what is expected, and its ledger; it plays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.pbx.matrix.cast import TONES, VOICES, Phase, Speaker, hz
from tests.pbx.matrix.expected import Heard, expected
from tests.pbx.matrix.states import Row
from tests.pbx.matrix.way import Way
from tests.pbx.tones import NOMINAL_AMPLITUDE, Audio, Leak, analyse, leaks, presence, read_wav
from turnrec.core.entry import EntryKind
from turnrec.ledger.entries import WrittenEntry
from turnrec.ledger.views import RecordingRecord, Segment

UNJUDGED_S = 0.4
"""The settling time after a bridge, and then some."""
LOUD_SHARE, FAINT_LASTS_S = 0.6, 0.05
"""Three parties begin and stop at nearly the same instant, so edges smear higher (0.45 was seen)
and for longer than with the two of `tests.pbx.tones`. A leak of 10 ms still has 0.81."""
PRESENT_SHARE, PRESENT_PART = 0.4, 0.6
"""Of what the caller's phone has really sent (a slow machine sends less), so much must be there,
with everybody else's voice at the same time."""
_EMPTY_WAV = 44
MARGIN_S = 0.25
"""A window begins where turnrec heard of the bridge, some time after it happened; and a part's
place in time is known to a packet or two."""
LONGEST_WINDOW_S = 1.5
_BACKGROUND = tuple(hz(Phase.WAIT, one) for one in (Speaker.RING, Speaker.MUSIC))


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
    said_s: Mapping[Phase, float]
    """For how long the caller's phone sent each phase's tone."""


def faults(evidence: Evidence) -> list[str]:
    """Everything that is not as it must be."""
    return [*_missing(evidence), *_forbidden(evidence), *_ledger(evidence)]


# ------------------------------------------------------------------ what must be there


def _missing(evidence: Evidence) -> Iterable[str]:
    audio = [read_wav(path).channels[0] for path in evidence.files]
    for phase in evidence.way.phases:
        if phase in VOICES and _expected(evidence, phase) is Heard.YES:
            said_s = evidence.said_s.get(phase, 0.0)
            if 0 < said_s <= UNJUDGED_S:
                continue  # the machine gave the phase no time: there is nothing to judge
            least_s = max(PRESENT_PART * (said_s - UNJUDGED_S), 0.1)
            heard_s = [_together_s(samples, phase) for samples in audio]
            if max(heard_s, default=0.0) < least_s:
                yield f"{phase}: said for {said_s:.2f} s, recorded {_shown_by_voice(audio, phase)}"


def _together_s(samples: Audio, phase: Phase) -> float:
    """For how long all the voices of a phase sound at the same time."""
    shares = analyse(samples, tones_hz=[hz(phase, one) for one in VOICES[phase]])
    return float((shares > PRESENT_SHARE * NOMINAL_AMPLITUDE).all(axis=1).sum()) / 100


def _shown_by_voice(audio: Sequence[Audio], phase: Phase) -> str:
    tones = [hz(phase, one) for one in VOICES[phase]]
    found = [presence(samples, tones_hz=tones) for samples in audio]
    return ", ".join(
        f"{voice} {sum(one[tone] for one in found):.2f} s"
        for voice, tone in zip(VOICES[phase], tones, strict=True)
    )


def _expected(evidence: Evidence, phase: Phase) -> Heard:
    heard = expected(evidence.row, phase)
    return Heard.EITHER if heard is Heard.YES and phase in evidence.way.unsure else heard


# ------------------------------------------------------------------ what must not


def _forbidden(evidence: Evidence) -> Iterable[str]:
    allowed = {phase: _expected(evidence, phase) for phase in Phase}
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
        zero_s = _zero_s(path, segment)
        for leak in _leaks(path, windowed):
            began_s, ended_s = zero_s + leak.start_s, zero_s + leak.end_s
            if not any(
                start - MARGIN_S <= began_s and ended_s <= end + MARGIN_S for start, end in windows
            ):
                shown = ", ".join(
                    f"{one - zero_s:.2f} to {end - zero_s:.2f}" for one, end in windows
                )
                yield f"{path.name}: {_named(leak)}, outside the windows {shown or '(none)'}"
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
            assert isinstance(to_us, int)
            end_s = to_us / 1e6
            # Where no event told of the bridge, its beginning isn't known.
            found.append(
                (from_us / 1e6 if isinstance(from_us, int) else end_s - LONGEST_WINDOW_S, end_s)
            )
    return found


def _zero_s(path: Path, segment: Segment) -> float:
    """When a part's first sample was, told from its end: without RTP a file doesn't grow."""
    ended_us = segment.began_us if segment.ended_us is None else segment.ended_us
    return ended_us / 1e6 - read_wav(path).duration_s


# ------------------------------------------------------------------ the ledger


def _has_sound(evidence: Evidence, recording: RecordingRecord) -> bool:
    ours = {path.name for path, segment in evidence.parts if segment in recording.segments}
    return any(path.stat().st_size > _EMPTY_WAV for path, _ in evidence.parts if path.name in ours)


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
        if (
            recording.status == "done"
            and recording.file is None
            and _has_sound(evidence, recording)
        ):
            yield "a recording without its file"
        numbers = [segment.number for segment in recording.segments]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"segments {numbers}"
