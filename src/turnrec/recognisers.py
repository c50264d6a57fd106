"""Tells recognisers when transcription is halted and resumed, and waits for those that must agree.

A recogniser that registers with `must_acknowledge` has stopped listening before a paused turn may
begin, or it is dropped: it gets no more events, and what it posts is refused. Recording has ended
by then in any case; what is waited for is the recogniser's own hearing. It never touches a
recorder, and knows nothing of what was said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from turnrec.core.call import Call
from turnrec.core.entry import JSON, EntryKind, Origin
from turnrec.core.errors import AlarmError, RefusedError
from turnrec.core.recorder import State
from turnrec.notes import Job, Notes

logger = logging.getLogger(__name__)

_MAX_OF_A_CALL: Final = 32
_MAX_BEHIND: Final = 256
"""How many events a listener may be behind before it is let go."""


class RecogniserNotHaltedError(AlarmError):
    """A recogniser did not acknowledge a halt in time; it was dropped."""

    id = "recogniser-not-halted"

    def __init__(self, names: list[str], timeout_ms: int) -> None:
        super().__init__(
            f"not acknowledged within {timeout_ms} ms by {', '.join(names)}: dropped, it may have"
            " heard what was said in the pause"
        )


class UnknownRecogniserError(RefusedError):
    """No recogniser of this call has this id."""

    id = "unknown-recogniser"

    def __init__(self) -> None:
        super().__init__("this call has no such recogniser; register it first")


class RecogniserDroppedError(RefusedError):
    """A recogniser that did not acknowledge a halt: nothing is taken from it any more."""

    id = "recogniser-dropped"

    def __init__(self) -> None:
        super().__init__("this recogniser did not acknowledge a halt in time, and was dropped")


class StaleAcknowledgementError(RefusedError):
    """An acknowledgement of a halt that is not the last one."""

    id = "stale-acknowledgement"

    def __init__(self, halt: int, last: int) -> None:
        super().__init__(f"halt {halt} is not the last one, which is {last}")


class TooManyRecognisersError(RefusedError):
    """More recognisers than a call may have."""

    id = "too-many-recognisers"

    def __init__(self) -> None:
        super().__init__(f"a call has at most {_MAX_OF_A_CALL} recognisers")


@dataclass(frozen=True, slots=True)
class Notice:
    """What a recogniser is told: that transcription is halted, or resumed, and from when on."""

    number: int
    """Of this call's notices, from 0: how it stood when the first recogniser came."""
    halted: bool
    halt: int
    """How many halts there have been: what is acknowledged."""
    reason: str
    """Who holds the recorder (`turn`, `agent+turn`), or the recorder's state."""
    at_us: int


@dataclass(slots=True)
class _Recogniser:
    id: str
    name: str
    must_acknowledge: bool
    acknowledged: int
    dropped: bool = False


@dataclass(slots=True)
class _Desk:
    """One call's recognisers and listeners."""

    call_id: str
    last: Notice
    recognisers: dict[str, _Recogniser] = field(default_factory=dict)
    listeners: dict[asyncio.Queue[Notice | None], str | None] = field(default_factory=dict)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    is_used: bool = False
    """Whether anybody transcribes this call: only then are halts worth an entry."""

    def publish(self, notice: Notice) -> None:
        self.last = notice
        for queue in tuple(self.listeners):
            if queue.qsize() >= _MAX_BEHIND:
                self.let_go(queue)
            else:
                queue.put_nowait(notice)

    def let_go(self, queue: asyncio.Queue[Notice | None]) -> None:
        self.listeners.pop(queue, None)
        queue.put_nowait(None)

    def unacknowledged(self) -> list[_Recogniser]:
        return [
            one
            for one in self.recognisers.values()
            if one.must_acknowledge and not one.dropped and one.acknowledged < self.last.halt
        ]


class Recognisers:
    """The recognisers of the live calls."""

    def __init__(
        self,
        notes: Notes,
        clock: Callable[[], int],
        new_id: Callable[[], str],
        *,
        halt_timeout_ms: int,
    ) -> None:
        self._notes = notes
        self._clock = clock
        self._new_id = new_id
        self._halt_timeout_ms = halt_timeout_ms
        self._desks: dict[str, _Desk] = {}
        self._is_closed = False

    # -------------------------------------------------------------- the call's side

    async def keep(self, job: Job) -> None:
        """Tell them where the call stands now; wait for those that must acknowledge a halt.

        One that doesn't within the time is dropped, with an alarm and a notice to the asker.
        """
        call = job.call
        desk = self._desks.get(call.id)
        if desk is None or desk.last.halted is not call.recorder.is_recording:
            return
        desk.publish(self._notice(call, desk.last))
        self._enter(job, desk)
        if not desk.last.halted:
            return
        try:
            async with asyncio.timeout(self._halt_timeout_ms / 1000):
                while desk.unacknowledged():
                    desk.acknowledged.clear()
                    await desk.acknowledged.wait()
        except TimeoutError:
            late = desk.unacknowledged()
            for one in late:
                self._drop(desk, one)
            error = RecogniserNotHaltedError([one.name for one in late], self._halt_timeout_ms)
            self._notes.alarm(call, error.id, str(error))
            job.notice = job.notice or error

    def ended(self, call: Call) -> None:
        """The call is over: tell them, and let them go."""
        desk = self._desks.pop(call.id, None)
        if desk is None:
            return
        if not desk.last.halted:
            desk.publish(self._notice(call, desk.last))
            self._enter(Job(call, None, Origin.SERVER), desk)
        for queue in tuple(desk.listeners):
            desk.let_go(queue)
        desk.acknowledged.set()

    def close(self) -> None:
        """Let every listener go: the server ends."""
        self._is_closed = True
        for desk in self._desks.values():
            for queue in tuple(desk.listeners):
                desk.let_go(queue)

    # -------------------------------------------------------------- the recognisers' side

    def register(self, call: Call, name: str, *, must_acknowledge: bool) -> tuple[str, Notice]:
        """Take a recogniser on; return its id and how the call stands now, which it so knows.

        Raises:
            TooManyRecognisersError: the call has no room for one more.
        """
        desk = self._desk(call)
        if len(desk.recognisers) >= _MAX_OF_A_CALL:
            raise TooManyRecognisersError
        one = _Recogniser(self._new_id(), name, must_acknowledge, desk.last.halt)
        desk.recognisers[one.id] = one
        desk.is_used = True
        return one.id, desk.last

    def acknowledge(self, call: Call, recogniser_id: str, halt: int) -> None:
        """Note that a recogniser no longer listens.

        Raises:
            UnknownRecogniserError, RecogniserDroppedError, StaleAcknowledgementError: refused.
        """
        one = self.check(call, recogniser_id)
        last = self._desks[call.id].last.halt
        if halt != last:
            raise StaleAcknowledgementError(halt, last)
        one.acknowledged = halt
        self._desks[call.id].acknowledged.set()

    def check(self, call: Call, recogniser_id: str) -> _Recogniser:
        """Find a recogniser that was not dropped.

        Raises:
            UnknownRecogniserError, RecogniserDroppedError: there is none.
        """
        desk = self._desks.get(call.id)
        one = None if desk is None else desk.recognisers.get(recogniser_id)
        if one is None:
            raise UnknownRecogniserError
        if one.dropped:
            raise RecogniserDroppedError
        return one

    def unregister(self, call: Call, recogniser_id: str) -> None:
        """Let a recogniser go that has stopped by itself: nobody waits for it any more.

        Raises:
            UnknownRecogniserError, RecogniserDroppedError: there is none of this id.
        """
        one = self.check(call, recogniser_id)
        desk = self._desks[call.id]
        self._drop(desk, one)
        del desk.recognisers[one.id]
        desk.acknowledged.set()

    def listen(self, call: Call, recogniser_id: str | None) -> AsyncIterator[Notice]:
        """How the call stands, then every halt and resume, until it ends.

        A recogniser that is dropped hears no more of it.

        Raises:
            UnknownRecogniserError, RecogniserDroppedError: there is none of this id.
        """
        if recogniser_id is not None:
            self.check(call, recogniser_id)
        desk = self._desk(call)
        queue: asyncio.Queue[Notice | None] = asyncio.Queue()
        queue.put_nowait(desk.last)
        desk.listeners[queue] = recogniser_id
        if self._is_closed:
            desk.let_go(queue)

        async def notices() -> AsyncIterator[Notice]:
            try:
                while (notice := await queue.get()) is not None:
                    yield notice
            finally:
                desk.listeners.pop(queue, None)

        return notices()

    def heard(self, call: Call) -> None:
        """Somebody has posted what was said in this call: its halts are entered from now on."""
        self._desk(call).is_used = True

    def _enter(self, job: Job, desk: _Desk) -> None:
        if not desk.is_used:
            return
        notice = desk.last
        kind = EntryKind.TRANSCRIPTION_RESUMED
        if notice.halted:
            kind = EntryKind.TRANSCRIPTION_HALTED
        detail: dict[str, JSON] = {
            "halt": notice.halt,
            "reason": notice.reason,
            "from_us": notice.at_us,
        }
        self._notes.note(job, kind, detail=detail)

    def _desk(self, call: Call) -> _Desk:
        desk = self._desks.get(call.id)
        if desk is None:
            desk = self._desks[call.id] = _Desk(call.id, self._notice(call, None))
        return desk

    def _notice(self, call: Call, last: Notice | None) -> Notice:
        recorder, recording = call.recorder, call.recording
        halted = not recorder.is_recording
        reason = "+".join(sorted(recorder.holds)) or recorder.state.value
        if recorder.state is State.ENDED:
            reason = recorder.state.value
        running = None if recording is None else recording.running
        at_us = None
        if running is not None:
            at_us = running.began_us
        elif recording is not None and recording.segments:
            at_us = recording.segments[-1].ended_us
        halts = 0 if last is None else last.halt
        return Notice(
            number=0 if last is None else last.number + 1,
            halted=halted,
            halt=halts + 1 if halted else halts,
            reason=reason,
            at_us=self._clock() if at_us is None else at_us,
        )

    @staticmethod
    def _drop(desk: _Desk, one: _Recogniser) -> None:
        one.dropped = True
        for queue, owner in tuple(desk.listeners.items()):
            if owner == one.id:
                desk.let_go(queue)
