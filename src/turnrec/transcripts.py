"""What was said, as far as it was recorded: the door for utterances, and each recording's book.

While nothing is recorded an utterance is dropped at the door: not stored, not logged, not kept for
later. While something is, the words that lie in audible stretches (`turnrec.core.transcript`) wait
in memory until turnrec has looked that the monitor ran when they were said; only then are they
written. Nothing here goes into the ledger, and no log or error holds a word.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from turnrec.calls import Calls
from turnrec.core.call import Call, ClosedRecording, FinishedRecording
from turnrec.core.errors import CallEndedError, RefusedError, UnknownCallError
from turnrec.core.recorder import State
from turnrec.core.transcript import (
    BadUtteranceError,
    GapMark,
    Speaker,
    Stretch,
    Utterance,
    gate,
    stretches_so_far,
)
from turnrec.notes import Job
from turnrec.ports import Recordings
from turnrec.recognisers import Recognisers

logger = logging.getLogger(__name__)

_BESIDE_US: Final = 60_000_000
"""Times so far before the call's start or ahead of now are no clock that is a little off, but the
wrong unit or the wrong day. What lies nearer is not audible, and that is all."""
_MAX_OF_A_RECORDING: Final = 100_000
_MAX_CHARACTERS: Final = 10_000_000
"""What a recording takes in all: four times what a person can say in a day."""
_ENDED_REMEMBERED: Final = 4_096


class TooManyUtterancesError(RefusedError):
    """More utterances than a recording may have."""

    id = "too-many-utterances"

    def __init__(self) -> None:
        super().__init__(
            f"a recording takes {_MAX_OF_A_RECORDING} utterances, {_MAX_CHARACTERS} characters"
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the utterances that were posted together."""

    kept: int = 0
    cut: int = 0
    dropped: int = 0


class TranscriptStore(Protocol):
    """Where transcripts lie."""

    def append_later(
        self, recording_id: str, call_id: str, opened_us: int, utterances: Sequence[Utterance]
    ) -> None:
        """Have utterances written, without waiting for the disk. Never raises."""

    async def close(
        self,
        finished: FinishedRecording,
        closed: ClosedRecording,
        pending: Sequence[Utterance],
        gaps: Sequence[GapMark],
        dropped: int,
    ) -> None:
        """Hold what was written and what is pending to the final stretches; write it anew.

        Never raises.
        """


@dataclass(slots=True)
class _Book:
    """One recording's utterances that aren't written yet, and its counts."""

    pending: list[Utterance] = field(default_factory=list)
    taken: int = 0
    characters: int = 0
    dropped: int = 0


class Books:
    """The recordings' books, and what closes them: a `Recordings` around another one."""

    def __init__(self, store: TranscriptStore, recordings: Recordings) -> None:
        self._store = store
        self._recordings = recordings
        self._books: dict[str, _Book] = {}

    async def close(self, recording: FinishedRecording) -> ClosedRecording:
        """Close a recording, and its transcript by what is known now of its stretches."""
        closed = await self._recordings.close(recording)
        book = self._books.pop(recording.id, None) or _Book()
        gaps = [
            GapMark(one.began_us, one.ended_us, one.sources, one.node) for one in recording.gaps
        ]
        await self._store.close(recording, closed, book.pending, gaps, book.dropped)
        return closed

    async def discard(self, recording_id: str) -> None:
        """Delete the parts of a verified file."""
        await self._recordings.discard(recording_id)

    def drop(self, recording_id: str, count: int) -> None:
        """Count finals that were dropped while a recording was open."""
        self._books.setdefault(recording_id, _Book()).dropped += count

    def take(self, recording_id: str, utterance: Utterance, pieces: Sequence[Utterance]) -> None:
        """Keep what the gate left of a final utterance.

        Raises:
            TooManyUtterancesError: the book is full.
        """
        book = self._books.setdefault(recording_id, _Book())
        characters = book.characters + len(utterance.text)
        if book.taken >= _MAX_OF_A_RECORDING or characters > _MAX_CHARACTERS:
            raise TooManyUtterancesError
        book.taken += 1
        book.characters = characters
        book.dropped += pieces != (utterance,)
        book.pending.extend(pieces)

    def write(self, call: Call, stretches: Iterable[Stretch]) -> None:
        """Have written what was said while the monitor is known to have run."""
        recording = call.recording
        book = None if recording is None else self._books.get(recording.id)
        if recording is None or book is None or not book.pending:
            return
        sure = [Stretch(one.begin_us, one.sure_us, one.sure_us) for one in stretches]
        waiting: list[Utterance] = []
        ready: list[Utterance] = []
        for one in book.pending:
            is_sure = any(stretch.holds(one.begin_us, one.end_us) for stretch in sure)
            (ready if is_sure else waiting).append(one)
        if ready:
            self._store.append_later(recording.id, call.id, recording.opened_us, ready)
        book.pending = waiting


class Transcripts:
    """The door, and the main path's `Listeners`."""

    def __init__(
        self,
        calls: Calls,
        books: Books,
        recognisers: Recognisers,
        clock: Callable[[], int],
        *,
        keep_late: bool = False,
    ) -> None:
        """Make it.

        Args:
            calls: where the live calls are found.
            books: the recordings' books.
            recognisers: who is told of halts.
            clock: now, in UTC microseconds.
            keep_late: whether what was said in an audible stretch is also taken when it comes
                while nothing is recorded.
        """
        self.recognisers = recognisers
        self._calls = calls
        self._books = books
        self._clock = clock
        self._keep_late = keep_late
        self._partials: dict[str, dict[Speaker, Utterance]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    # -------------------------------------------------------------- the main path's side

    async def keep(self, job: Job) -> None:
        """Bring transcription in line with the call; a halt has reached who must acknowledge it.

        Never raises: by now the recorder is as it should be, and nothing may undo that.
        """
        call = job.call
        try:
            if not call.recorder.is_recording:
                self._partials.pop(call.id, None)
            if call.recording is not None:
                self._books.write(call, stretches_so_far(call.recording, self._clock()))
            await self.recognisers.keep(job)
        except Exception as defect:  # noqa: BLE001 - it must not undo a pause
            # No traceback: it might show what was said.
            logger.error("transcription of call %s: %s", call.id, type(defect).__name__)  # noqa: TRY400

    def ended(self, call: Call) -> None:
        """The call is over: nothing more is taken for it."""
        self._partials.pop(call.id, None)
        for name in {call.id, call.uniqueid, call.external_id} - {None}:
            self._ended[str(name)] = None
        while len(self._ended) > _ENDED_REMEMBERED:
            self._ended.popitem(last=False)
        self.recognisers.ended(call)

    # -------------------------------------------------------------- the door

    def find(self, name: str) -> Call:
        """The live call with this id, uniqueid or external id.

        Raises:
            CallEndedError, UnknownCallError: there is none.
        """
        call = self._calls.search(name)
        if call is not None:
            return call
        if name in self._ended:
            raise CallEndedError("transcribe", State.ENDED)
        raise UnknownCallError(name[:64])

    def post(
        self, name: str, utterances: Sequence[Utterance], recogniser_id: str | None = None
    ) -> Taken:
        """Take utterances about a live call, as far as what they say was recorded.

        All are looked at before any is taken. Nothing waits here, so nothing can come between the
        look at the recorder and the taking.

        Raises:
            CallEndedError, UnknownCallError: there is no such live call.
            UnknownRecogniserError, RecogniserDroppedError: nothing is taken from this one.
            BadUtteranceError: times outside the call.
            TooManyUtterancesError: the recording has enough of them.
        """
        call = self.find(name)
        if recogniser_id is not None:
            self.recognisers.check(call, recogniser_id)
        self.recognisers.heard(call)
        now_us = self._clock()
        for one in utterances:
            if not call.started_us - _BESIDE_US <= one.begin_us < one.end_us <= now_us + _BESIDE_US:
                raise BadUtteranceError(
                    "times outside the call: they are UTC, microseconds since 1970 or ISO 8601"
                )
        recording = call.recording
        if recording is None:
            return Taken(dropped=len(utterances))
        if not (call.recorder.is_recording or self._keep_late):
            self._books.drop(recording.id, sum(one.is_final for one in utterances))
            return Taken(dropped=len(utterances))
        stretches = stretches_so_far(recording, now_us)
        kept = cut = 0
        for one in utterances:
            pieces = gate(one, stretches)
            if not one.is_final:
                self._take_partial(call, one, pieces)
            else:
                self._books.take(recording.id, one, pieces)
                self._partials.get(call.id, {}).pop(one.speaker, None)
            kept += pieces == (one,)
            cut += bool(pieces) and pieces != (one,)
        return Taken(kept, cut, len(utterances) - kept - cut)

    def partials(self, name: str) -> list[Utterance]:
        """What is being said now, as far as it is recorded: each speaker's latest partial."""
        return list(self._partials.get(self.find(name).id, {}).values())

    def _take_partial(self, call: Call, partial: Utterance, pieces: Sequence[Utterance]) -> None:
        """Remember the newest of a speaker, in memory alone, until the next halt."""
        said = self._partials.setdefault(call.id, {})
        said.pop(partial.speaker, None)
        if pieces and call.recorder.is_recording:
            said[partial.speaker] = pieces[-1]
