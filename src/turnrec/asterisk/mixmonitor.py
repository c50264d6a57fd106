"""Begins and ends audible stretches with MixMonitor, and looks whether it is true.

Two methods behind one Protocol (`turnrec.calls.Driver`): `SegmentDriver` ends the monitor and
begins another, `MuteDriver` mutes one over AMI. Asterisk's answers are no proof ("Success" to a
wrong ID, to a full disk, to anything): what counts is the look that follows each command. What a
look costs when it finds a monitor gone is one warning in Asterisk's log, "Could not find
MixMonitor with ID": the expected answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Final

from turnrec.asterisk.ami_errors import AmiRefusedError
from turnrec.asterisk.channel import (
    ID_VARIABLE,
    NATIVE_FORMATS,
    AmiChannel,
    Channel,
    come_in_whole_steps,
)
from turnrec.asterisk.spool import WAV_HEADER_BYTES, Spool
from turnrec.core.errors import (
    AsteriskUnreachableError,
    MonitorLostError,
    MonitorStillRunsError,
    SegmentNotStartedError,
    UnansweredError,
)
from turnrec.core.monitor import Begun, Ended, Monitor, Start, side_parts

Clock = Callable[[], int]
"""Now, in UTC microseconds; it never goes back."""

LOOK_MS: Final = 500
"""How long a look waits for the file system to show what Asterisk did. 0.7 ms is usual."""
STUCK_S: Final = 30
"""How long a start that was sent by a way that is gone may still come true."""


@contextmanager
def _under_way() -> Iterator[None]:
    """What comes after a command was sent: Asterisk out of reach now is an unknown outcome."""
    try:
        yield
    except AsteriskUnreachableError as error:
        raise UnansweredError(f"out of reach in the middle of a command: {error}") from error


class SegmentDriver:
    """Method `segment`: a paused recorder has no monitor, so there is nothing that could leak."""

    def __init__(self, channel: Channel, spool: Spool, clock: Clock) -> None:
        self._channel = channel
        self._spool = spool
        self._clock = clock

    @property
    def origin(self) -> str:
        """The path that the commands take, for the ledger."""
        return self._channel.origin

    async def begin(
        self,
        part: str,
        running: Monitor | None,
        guard_ms: int,
        *,
        sides: bool = False,
        afresh: bool = False,
    ) -> Begun:
        """Let the guard pass, start a monitor on `part`, look that it writes there.

        `running` must be None: a segment begins where none runs.

        Raises:
            SegmentNotStartedError: no file, an empty one, or a monitor that writes elsewhere.
                What may have been started has been stopped.
        """
        if running is not None:
            raise SegmentNotStartedError(f"{running.part} still runs; {part} was not begun")
        await self._channel.pass_time(guard_ms, afresh=afresh)
        asked_us = self._clock()
        options = f"i({ID_VARIABLE}){self._sides(part) if sides else ''}"
        await self._channel.start_monitor(self._spool.asterisk_path(part), options)
        answered_us = self._clock()
        with _under_way():
            return await self._look_begun(part, asked_us, answered_us)

    def _sides(self, part: str) -> str:
        receive, transmit = (self._spool.asterisk_path(name) for name in side_parts(part))
        return f"r({receive})t({transmit})"

    async def _look_begun(self, part: str, asked_us: int, answered_us: int) -> Begun:
        monitor_id, file = await self._channel.own_monitor()
        if not self._is_part(file, part):
            # Nothing of ours by that name: there is no ID that could safely be stopped.
            raise SegmentNotStartedError(f"no monitor writes {part}")
        monitor = Monitor(monitor_id, part, answered_us)
        if not await self._spool.wait_written(part, LOOK_MS):
            await self.finish(monitor)
            size = self._spool.size_bytes(part)
            reason = "is not there" if size is None else f"has {size} bytes"
            raise SegmentNotStartedError(
                f"{part} {reason} after {LOOK_MS} ms: look at the spool folder's rights and space"
            )
        return Begun(monitor, asked_us, answered_us)

    async def end(self, monitor: Monitor) -> Ended:
        """Stop the monitor and look that it is gone.

        Raises:
            MonitorStillRunsError: the look still found it, or its file is still being written.
        """
        return await self.finish(monitor)

    async def finish(self, monitor: Monitor) -> Ended:
        """Stop the monitor and look that it is gone; `end` and `finish` are one here."""
        asked_us = self._clock()
        await self._channel.stop_monitor(monitor.id)
        answered_us = self._clock()
        with _under_way():
            proof = await self._look_gone(monitor)
        return Ended(asked_us, answered_us, proof)

    async def settle(self, monitor: Monitor) -> Ended:
        """End a monitor that may have ended already, and look that it is gone.

        IDs come again: what runs under this one may be somebody else's by now, so it is only
        stopped if it writes our part.
        """
        (file,) = await self._channel.monitor_files(monitor.id)
        if self._is_part(file, monitor.part):
            return await self.finish(monitor)
        now_us = self._clock()
        return Ended(now_us, now_us, await self._look_gone(monitor))

    async def look(self, monitor: Monitor) -> None:
        """Look that the monitor runs.

        Raises:
            MonitorLostError: the channel has none by this ID that writes this part.
        """
        (file,) = await self._channel.monitor_files(monitor.id)
        if not self._is_part(file, monitor.part):
            raise MonitorLostError(f"no monitor writes {monitor.part} any more")

    async def running(self) -> Monitor | None:
        """The monitor of ours that the channel's own variable names, if it runs.

        Whose part it writes is left to the caller: after a restart, that is the question.
        """
        monitor_id, file = await self._channel.own_monitor()
        if not self._is_ours(file):
            return None
        return Monitor(monitor_id, PurePosixPath(file).name, self._clock())

    @property
    def order(self) -> str:
        """By what Asterisk does these commands one after the other."""
        return self._channel.order

    async def rule_out(self, start: Start) -> bool:
        """Look that a start whose outcome wasn't known has no monitor, and gets none any more.

        Asked after `running`, so after an answer by this way: what was sent by it has been done.
        By another way (an AMI session that broke) nothing tells, but that it takes no longer than
        `STUCK_S`. Should it all the same, it must be found.

        Returns:
            Whether it is ruled out. False: it is given up, and has to be looked for all the same.

        Raises:
            MonitorStillRunsError: its part is being written.
            UnansweredError: Asterisk may be stuck in it.
        """
        size_bytes = self._spool.size_bytes(start.part)
        if size_bytes:
            if not await self._spool.wait_closed(start.part, LOOK_MS):
                raise MonitorStillRunsError(f"{start.part} is written by a monitor without a name")
            return True
        if self.order == start.order:
            return True
        age_us = self._clock() - start.asked_us
        if age_us < STUCK_S * 1_000_000:
            raise UnansweredError(f"what became of the start of {start.part} isn't known yet")
        return False

    async def _look_gone(self, monitor: Monitor) -> str:
        """Establish that nothing writes `monitor`'s part, by two witnesses.

        The ID alone proves nothing: asked with a stale one, Asterisk truthfully says that no such
        monitor exists, while ours runs under another. So the channel's own variable is asked too,
        and the part's header must say that Asterisk has closed it.
        """
        own_id, own_file = await self._channel.own_monitor()
        files = [own_file]
        if own_id != monitor.id:
            files += await self._channel.monitor_files(monitor.id)
        if any(self._is_part(file, monitor.part) for file in files):
            raise MonitorStillRunsError(f"{monitor.part} is still being recorded after its stop")
        if self._is_ours(own_file):
            raise MonitorStillRunsError("another monitor of turnrec's runs, which nobody knew of")
        if (self._spool.size_bytes(monitor.part) or 0) < WAV_HEADER_BYTES:
            return "monitor gone, it never had a file"
        if await self._spool.wait_closed(monitor.part, LOOK_MS):
            return "monitor gone, file closed"
        raise MonitorStillRunsError(f"{monitor.part} is still open after its stop")

    def _is_ours(self, file: str) -> bool:
        return file != "" and PurePosixPath(file).parent == self._spool.asterisk_folder

    def _is_part(self, file: str, part: str) -> bool:
        return file == self._spool.asterisk_path(part)


class MuteDriver:
    """Method `mute`: one monitor and one live file a recording, muted over AMI for a pause.

    The mute state can't be read back, so the proof of a pause is weaker: that the monitor named
    is ours, and that Asterisk acknowledged its mute.
    """

    def __init__(
        self,
        channel: Channel,
        ami: AmiChannel,
        *,
        by_id: bool,
        segments: SegmentDriver,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._ami = ami
        self._by_id = by_id
        self._segments = segments
        self._clock = clock

    @property
    def origin(self) -> str:
        """The path that the commands take, for the ledger."""
        return self._segments.origin

    async def begin(
        self,
        part: str,
        running: Monitor | None,
        guard_ms: int,
        *,
        sides: bool = False,
        afresh: bool = False,
    ) -> Begun:
        """Start the recording's monitor, or unmute it.

        An unmute uncovers what is still queued of the paused turn. So a ping is awaited first (a
        frozen Asterisk must have thawed), then the guard passes, with silence that pushes out what
        the last prompt has left over, then comes the unmute.

        Raises:
            SegmentNotStartedError: as `SegmentDriver.begin`.
            MonitorLostError: the muted monitor is gone.
        """
        if running is None:
            return await self._segments.begin(part, None, guard_ms, sides=sides, afresh=afresh)
        await self._segments.look(running)
        await self._ami.pass_time(1)
        await self._channel.push_out(guard_ms)
        asked_us = self._clock()
        await self._set(running, muted=False)
        return Begun(running, asked_us, self._clock())

    async def end(self, monitor: Monitor) -> Ended:
        """Mute the monitor. It stays on the channel.

        Where the channel's audio doesn't come in whole steps of MixMonitor's, it is ended instead:
        what is left over of a side that falls silent in the pause would be read, however late,
        with what that side says next.

        Raises:
            MonitorLostError: it was not there to be muted.
        """
        formats = (await self._channel.read(NATIVE_FORMATS))[NATIVE_FORMATS]
        if not come_in_whole_steps(formats):
            return await self._segments.end(monitor)
        asked_us = self._clock()
        await self._set(monitor, muted=True)
        answered_us = self._clock()
        # A mute by ID is refused if the ID is gone; without one Success proves nothing.
        with _under_way():
            await self._segments.look(monitor)
        return Ended(asked_us, answered_us, "mute acknowledged, monitor present", monitor)

    async def finish(self, monitor: Monitor) -> Ended:
        """Stop the monitor and look that it is gone."""
        return await self._segments.finish(monitor)

    async def settle(self, monitor: Monitor) -> Ended:
        """End a monitor that may have ended already, and look that it is gone."""
        return await self._segments.settle(monitor)

    async def look(self, monitor: Monitor) -> None:
        """Look that the monitor runs."""
        await self._segments.look(monitor)

    async def running(self) -> Monitor | None:
        """The monitor of ours that the channel's own variable names, if it runs."""
        return await self._segments.running()

    @property
    def order(self) -> str:
        """By what Asterisk does its starts one after the other."""
        return self._segments.order

    async def rule_out(self, start: Start) -> bool:
        """Look that a start whose outcome wasn't known has no monitor, and gets none any more."""
        return await self._segments.rule_out(start)

    async def _set(self, monitor: Monitor, *, muted: bool) -> None:
        try:
            await self._ami.mute(monitor.id if self._by_id else None, muted=muted)
        except AmiRefusedError as error:
            raise MonitorLostError(f"Asterisk knows no monitor for {monitor.part}") from error
