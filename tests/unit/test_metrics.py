"""Metrics as Prometheus reads them: its own parser, entries of the test's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from prometheus_client.parser import text_string_to_metric_families

from turnrec.calls import Calls
from turnrec.core.call import Call
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.policy import Action, Bot
from turnrec.core.recorder import Recorder, Source, State
from turnrec.metrics import Metrics


class Live:
    """Live calls in these states."""

    def __init__(self, *states: State) -> None:
        self._states = states

    def live(self) -> Sequence[Call]:
        bot = Bot(name="kyc")
        return [
            Call(str(n), str(n), "SIP/x", bot, 1, recorder=Recorder(state))
            for n, state in enumerate(self._states)
        ]


def read(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def made(folder: Path, *states: State) -> Metrics:
    calls = cast("Calls", Live(*states))
    return Metrics(calls, lambda: {"ami_up": True}, {"recordings": folder, "gone": folder / "no"})


def action(kind: EntryKind, at_us: int, result: str = "ok") -> Entry:
    return Entry(
        kind=kind,
        at_us=at_us,
        call_id="C1",
        action=Action.PAUSE,
        source=Source.TURN,
        result=result,
    )


def test_actions_are_counted_and_timed_from_their_asking(tmp_path: Path) -> None:
    metrics = made(tmp_path)
    metrics.entered(action(EntryKind.ACTION_ASKED, 1_000_000))
    metrics.entered(action(EntryKind.ACTION_DONE, 1_004_000))
    metrics.entered(action(EntryKind.ACTION_ASKED, 2_000_000))
    metrics.entered(action(EntryKind.ACTION_FAILED, 4_000_000, "command-unanswered"))
    found = read(metrics)
    assert found["turnrec_actions_total", ("pause", "done", "ok", "turn")] == 1
    assert found["turnrec_actions_total", ("pause", "failed", "command-unanswered", "turn")] == 1
    assert found["turnrec_action_seconds_count", ("pause",)] == 2
    assert found["turnrec_action_seconds_sum", ("pause",)] == 2.004
    assert found["turnrec_action_seconds_bucket", ("pause", "0.005")] == 1


def test_alarms_turns_and_recordings_are_counted_by_words_of_ours(tmp_path: Path) -> None:
    metrics = made(tmp_path)
    metrics.entered(Entry(kind=EntryKind.ALARM, at_us=1, result="disk-low"))
    metrics.entered(Entry(kind=EntryKind.TURN_BEGUN, at_us=1, node="4111111111111111"))
    metrics.entered(Entry(kind=EntryKind.RECORDING_CLOSED, at_us=1, result="recording-failed"))
    found = read(metrics)
    assert found["turnrec_alarms_total", ("disk-low",)] == 1
    assert found["turnrec_turns_total", ()] == 1
    assert found["turnrec_recordings_closed_total", ("recording-failed",)] == 1
    assert b"4111" not in metrics.text()


def test_live_calls_parts_and_disks_are_measured_when_asked(tmp_path: Path) -> None:
    found = read(made(tmp_path, State.PAUSED, State.PAUSED, State.RECORDING))
    states = {labels[0]: n for (name, labels), n in found.items() if name == "turnrec_live_calls"}
    assert states == dict.fromkeys(State, 0) | {"paused": 2, "recording": 1}
    assert found["turnrec_ami_up", ()] == 1
    assert found["turnrec_free_bytes", ("recordings",)] > 0
    assert ("turnrec_free_bytes", ("gone",)) not in found
    assert found["process_resident_memory_bytes", ()] > 0
