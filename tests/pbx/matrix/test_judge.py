"""The judge itself, on files made here: what is missing, what leaks, what a window covers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.pbx.matrix.cast import VOICES, Phase, Speaker, hz
from tests.pbx.matrix.expected import Heard, expected
from tests.pbx.matrix.judge import Evidence, faults
from tests.pbx.matrix.states import Entry, Known, Policy, Row
from tests.pbx.matrix.ways import WAYS
from tests.pbx.tones import Audio
from turnrec.core.entry import Entry as LedgerEntry
from turnrec.core.entry import EntryKind
from turnrec.ledger.entries import WrittenEntry
from turnrec.ledger.views import RecordingRecord, RecordingStatus, Segment
from turnrec.recordings.wav_writer import WavWriter

PHASE_S = 1.5
BEGAN_US = 1_000_000_000
RECORDED = Row("dial", Known.LEG, Policy.ON, Entry.RECORDING)
KEPT_OUT = Row("dial", Known.LEG, Policy.OFF, Entry.RECORDING)
WINDOWED = Row("dial", Known.NOT, Policy.OFF, Entry.RECORDING)


def sound(tones: Iterable[int], length_s: float = PHASE_S) -> Audio:
    """Some tones at once."""
    n = np.arange(round(8000 * length_s))
    waves = [8000 * np.sin(2 * np.pi * one * n / 8000) for one in tones]
    return np.rint(sum(waves, np.zeros(len(n)))).astype(np.int16)


def voices(phase: Phase) -> list[int]:
    return [hz(phase, one) for one in VOICES[phase]]


def as_it_must_be(row: Row) -> dict[Phase, Audio]:
    """What each phase of a row sounds like in its file."""
    return {
        phase: sound(voices(phase) if expected(row, phase) is Heard.YES else ())
        for phase in WAYS[row.way].phases
    }


def evidence(
    folder: Path,
    row: Row,
    phases: dict[Phase, Audio],
    *further: EntryKind,
    window_s: tuple[float, float] = (0.0, 0.0),
) -> Evidence:
    path = folder / "part-001.wav"
    path.unlink(missing_ok=True)
    with WavWriter(path, 8000) as writer:
        writer.write(np.concatenate(list(phases.values())))
        writer.seal()
        writer.publish()
    length_us = sum(len(one) for one in phases.values()) * 125
    segment = Segment(1, path.name, BEGAN_US, BEGAN_US + length_us, 0)
    from_us, to_us = (BEGAN_US + round(one * 1e6) for one in window_s)
    kinds = (EntryKind.CALL_STARTED, *further, EntryKind.CALL_ENDED)
    entries = tuple(
        WrittenEntry(
            number,
            LedgerEntry(kind=kind, at_us=1, detail={"from_us": from_us, "to_us": to_us}),
            "",
            "",
        )
        for number, kind in enumerate(kinds, 1)
    )
    recording = RecordingRecord(
        "r", 1, 1, status=RecordingStatus.DONE, file="joined", segments=(segment,)
    )
    said_s = dict.fromkeys(phases, PHASE_S)
    return Evidence(row, WAYS[row.way], (path,), ((path, segment),), (recording,), entries, said_s)


@pytest.mark.parametrize("row", [RECORDED, KEPT_OUT])
def test_a_row_that_is_as_it_must_be_has_no_fault(tmp_path: Path, row: Row) -> None:
    assert faults(evidence(tmp_path, row, as_it_must_be(row))) == []


@pytest.mark.parametrize("voice", [Speaker.CALLER, Speaker.AGENT])
def test_a_talk_with_one_side_only_is_a_fault(tmp_path: Path, voice: Speaker) -> None:
    phases = as_it_must_be(RECORDED) | {Phase.TALK: sound([hz(Phase.TALK, voice)])}
    (fault,) = faults(evidence(tmp_path, RECORDED, phases))
    assert fault.startswith("talk: said for 1.50 s, recorded")


def test_ten_milliseconds_of_an_agent_are_a_fault(tmp_path: Path) -> None:
    leak = np.concatenate([sound([]), sound([hz(Phase.TALK, Speaker.AGENT)], 0.01), sound([])])
    found = faults(evidence(tmp_path, KEPT_OUT, as_it_must_be(KEPT_OUT) | {Phase.TALK: leak}))
    assert found
    assert all("agent (talk)" in fault for fault in found)


def test_a_talk_within_its_window_is_none_and_without_or_beyond_it_is_one(tmp_path: Path) -> None:
    phases = as_it_must_be(WINDOWED)
    begins_s = PHASE_S * list(phases).index(Phase.TALK)
    phases[Phase.TALK] = np.concatenate([sound(voices(Phase.TALK), 0.3), sound([])])
    covered = (begins_s, begins_s + 0.3)

    def found(window_s: tuple[float, float], *kinds: EntryKind) -> list[str]:
        return faults(evidence(tmp_path, WINDOWED, phases, *kinds, window_s=window_s))

    assert found(covered, EntryKind.WINDOW_MEASURED) == []
    assert "no window is in the ledger" in found(covered)
    assert found((begins_s + 2, begins_s + 3), EntryKind.WINDOW_MEASURED)
    assert found((begins_s, begins_s + 9), EntryKind.WINDOW_MEASURED) == ["a window of 9.00 s"]


def test_a_recording_that_is_left_open_is_a_fault(tmp_path: Path) -> None:
    whole = evidence(tmp_path, RECORDED, as_it_must_be(RECORDED))
    recording = RecordingRecord("r", 1, 1, status=RecordingStatus.RECORDING)
    left = Evidence(
        whole.row, whole.way, whole.files, whole.parts, (recording,), whole.entries, whole.said_s
    )
    assert faults(left) == ["a recording is left recording"]
