"""The books of a recording: parts, segments and gaps, and that a timeline can be made of them."""

from __future__ import annotations

from turnrec.core.call import Call, OpenRecording
from turnrec.core.monitor import Begun, Monitor
from turnrec.core.policy import Bot, PauseBehavior, PauseMethod
from turnrec.core.recorder import Recorder, Source
from turnrec.core.timeline import Gap, Segment
from turnrec.core.timeline_input import check

TURN = frozenset({Source.TURN})


def begun(part: str, at_us: int, *, started_us: int | None = None) -> Begun:
    monitor = Monitor("0x1", part, at_us if started_us is None else started_us)
    return Begun(monitor, at_us - 1, at_us)


def test_a_new_call_has_an_idle_recorder_and_nothing_open() -> None:
    call = Call("C1", "1.1", "PJSIP/a-1", Bot("kyc"), started_us=5)
    assert call.recorder == Recorder()
    assert (call.recording, call.monitor, call.turn, call.suspects) == (None, None, None, [])


def test_parts_are_named_by_recording_and_number_and_no_name_comes_twice() -> None:
    recording = OpenRecording("R1", 0)
    assert [recording.next_part() for _ in range(3)] == ["R1-001.wav", "R1-002.wav", "R1-003.wav"]


def test_a_failed_start_leaves_its_number_unused() -> None:
    recording = OpenRecording("R1", 0)
    recording.next_part()
    segment = recording.begin_segment(begun(recording.next_part(), 10))
    assert (segment.number, segment.part) == (1, "R1-002.wav")


def test_more_than_999_parts_keep_distinct_names() -> None:
    recording = OpenRecording("R1", 0)
    assert len({recording.next_part() for _ in range(1200)}) == 1200


def test_a_segment_runs_from_its_begin_to_its_end() -> None:
    recording = OpenRecording("R1", 0)
    assert recording.running_part is None
    recording.begin_segment(begun("p", 10))
    assert recording.running_part == "p"
    assert recording.end_segment(20) == Segment(1, "p", 10, 20, took_us=1)
    assert recording.running_part is None


def test_what_nobody_watched_are_the_parts_that_there_were() -> None:
    recording = OpenRecording("R1", 0)
    recording.begin_segment(begun("p", 10))
    recording.end_segment(20)
    recording.begin_segment(begun("q", 30))
    recording.lose_sight()
    recording.end_segment(40)
    recording.begin_segment(begun("r", 50))
    assert recording.finish("C1", Bot("kyc"), 60).unwatched_parts == {"p", "q"}


def test_an_end_without_a_segment_enters_nothing() -> None:
    recording = OpenRecording("R1", 0)
    assert recording.end_segment(20) is None
    assert recording.segments == []


def test_an_end_that_nobody_saw_is_entered_as_unknown() -> None:
    recording = OpenRecording("R1", 0)
    recording.begin_segment(begun("p", 10))
    assert recording.end_segment(None) == Segment(1, "p", 10, None, took_us=1)


def test_no_segment_ends_before_it_began() -> None:
    recording = OpenRecording("R1", 0)
    recording.begin_segment(begun("p", 10))
    assert recording.end_segment(3) == Segment(1, "p", 10, 10, took_us=1)


def test_a_gap_lasts_from_its_opening_to_the_next_segment() -> None:
    recording = OpenRecording("R1", 0)
    recording.open_gap(20, TURN, "ask_otp")
    recording.begin_segment(begun("p", 30))
    assert recording.gaps == [Gap(20, 30, ("turn",), "ask_otp")]


def test_a_further_hold_joins_the_open_gap_and_keeps_its_begin_and_node() -> None:
    recording = OpenRecording("R1", 0)
    recording.open_gap(20, TURN, "ask_otp")
    recording.open_gap(25, frozenset({Source.OPERATOR}), "other")
    recording.close_gap(30)
    assert recording.gaps == [Gap(20, 30, ("operator", "turn"), "ask_otp")]


def test_closing_what_is_not_open_enters_no_gap() -> None:
    recording = OpenRecording("R1", 0)
    recording.close_gap(30)
    assert recording.gaps == []


def test_a_stretch_of_a_monitor_that_ran_before_begins_within_its_part() -> None:
    recording = OpenRecording("R1", 0)
    assert recording.since == "0"
    assert recording.begin_segment(begun("p", 50, started_us=10)).offset_us == 40
    assert recording.since == "0:50:40"


def test_a_stretch_with_a_monitor_of_its_own_begins_with_its_part() -> None:
    assert OpenRecording("R1", 0).begin_segment(begun("p", 50)).offset_us == 0


def test_finishing_ends_the_running_segment() -> None:
    recording = OpenRecording("R1", 0)
    recording.begin_segment(begun("p", 10))
    finished = recording.finish("C1", Bot("kyc"), 90)
    assert finished.segments == (Segment(1, "p", 10, 90, took_us=1),)
    assert finished.gaps == ()


def test_finishing_closes_the_open_gap() -> None:
    recording = OpenRecording("R1", 0)
    recording.open_gap(20, TURN, None)
    assert recording.finish("C1", Bot("kyc"), 90).gaps == (Gap(20, 90, ("turn",), None),)


def test_a_finished_recording_carries_its_bots_policies() -> None:
    bot = Bot("kyc", pause_behavior=PauseBehavior.SKIP, pause_method=PauseMethod.MUTE)
    finished = OpenRecording("R1", 5).finish("C1", bot, 9)
    assert (finished.id, finished.call_id, finished.bot) == ("R1", "C1", "kyc")
    assert (finished.opened_us, finished.closed_us) == (5, 9)
    assert (finished.behavior, finished.method) == (PauseBehavior.SKIP, PauseMethod.MUTE)


def test_no_recording_closes_before_it_was_opened() -> None:
    assert OpenRecording("R1", 5).finish("C1", Bot("kyc"), 3).closed_us == 5


def test_books_of_pauses_and_resumes_make_a_timeline() -> None:
    recording = OpenRecording("R1", 0)
    for start_us in (0, 100, 200):
        recording.begin_segment(begun(recording.next_part(), start_us + 10))
        recording.end_segment(start_us + 60)
        recording.open_gap(start_us + 60, TURN, "ask_otp")
    finished = recording.finish("C1", Bot("kyc"), 300)
    bounds = check(
        finished.opened_us,
        finished.closed_us,
        finished.segments,
        finished.gaps,
        {segment.part: 400 for segment in finished.segments},
        finished.method,
    )
    assert [len(gaps) for gaps in bounds.gaps_by_hole] == [0, 1, 1, 1]


def test_an_offset_is_never_negative() -> None:
    assert Begun(Monitor("0x1", "p", started_us=50), 10, 20).offset_us == 0
