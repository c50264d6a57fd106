"""What the main path asks of the world, as Protocols; no implementation lives here.

`turnrec.asterisk` and `turnrec.recordings` satisfy them without knowing them; `turnrec.service`
puts the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from turnrec.core.call import Call, ClosedRecording, FinishedRecording
from turnrec.core.entry import Entry
from turnrec.core.monitor import Begun, Ended, Monitor, Start
from turnrec.core.policy import Flow, PauseMethod

if TYPE_CHECKING:
    from turnrec.notes import Job


class Driver(Protocol):
    """Carries out a recorder's effects on one channel, and looks whether they are true.

    Every method raises `UnansweredError` when the outcome isn't known, and
    `AsteriskUnreachableError` when nothing was sent.
    """

    async def begin(
        self,
        part: str,
        running: Monitor | None,
        guard_ms: int,
        *,
        sides: bool = False,
        afresh: bool = False,
    ) -> Begun:
        """Begin an audible stretch after the guard, by a new monitor or by unmuting `running`.

        With `sides` a new monitor writes each direction beside the mix, too; with `afresh` what the
        channel's own translation has kept of the past is dropped first.

        Raises:
            SegmentNotStartedError, MonitorLostError: it didn't begin.
        """

    async def end(self, monitor: Monitor) -> Ended:
        """End an audible stretch.

        Raises:
            MonitorStillRunsError, MonitorLostError: that it ended can't be confirmed.
        """

    async def finish(self, monitor: Monitor) -> Ended:
        """End the monitor itself.

        Raises:
            MonitorStillRunsError: that it ended can't be confirmed.
        """

    async def settle(self, monitor: Monitor) -> Ended:
        """End a monitor that may have ended already; never a stranger's under the same ID.

        Raises:
            MonitorStillRunsError: that it ended can't be confirmed.
        """

    async def look(self, monitor: Monitor) -> None:
        """Look that the monitor runs.

        Raises:
            MonitorLostError: it doesn't.
        """

    async def running(self) -> Monitor | None:
        """The monitor of ours that the channel's own variables name, if it runs."""

    @property
    def order(self) -> str:
        """By what Asterisk does this driver's commands one after the other."""

    async def rule_out(self, start: Start) -> bool:
        """Look that what a start began is over, or that it can't begin any more.

        Returns:
            Whether that is so; False: it is given up, and has to be looked for all the same.

        Raises:
            MonitorStillRunsError: its part is being written.
            UnansweredError: Asterisk may be stuck in it.
        """


class Path(Protocol):
    """A channel, and the way in by which it is reached now (its AGI session, or AMI)."""

    @property
    def name(self) -> str:
        """The channel's name."""

    @property
    def uniqueid(self) -> str:
        """The channel's uniqueid."""

    @property
    def is_dialplan(self) -> bool:
        """Whether the channel's own dialplan waits for the answer, and fails closed without."""

    def driver(self, method: PauseMethod) -> Driver:
        """The driver for a pause method."""

    async def read(self, *names: str) -> dict[str, str]:
        """The channel's variables; empty if unset."""

    async def publish(self, variables: Mapping[str, str]) -> None:
        """Set variables of ours on the channel."""


class Journal(Protocol):
    """The ledger, as far as the main path writes it."""

    def append(self, entry: Entry) -> None:
        """Take an entry. Never waits for a disk: a pause must not. Never raises."""

    def vouches(self) -> bool:
        """Whether entries are taken: only then may anything begin to be recorded."""

    async def make_durable(self) -> bool:
        """Wait until everything taken so far would survive a crash; False if it can't be."""


class WatchedJournal(Journal, Protocol):
    """A journal that tells of what it takes."""

    @property
    def watchers(self) -> list[Callable[[Entry], None]]:
        """Told of each entry as it is made, durable or not."""


class Room(Protocol):
    """The disks, as far as the main path cares."""

    def lack(self) -> str | None:
        """Why nothing new may be recorded, in a sentence; None while there is room. Never waits."""


class Recordings(Protocol):
    """What turns parts into files."""

    async def close(self, recording: FinishedRecording) -> ClosedRecording:
        """Join and check a recording. Never raises: a failure is an outcome."""

    async def discard(self, recording_id: str) -> None:
        """Delete the parts of a verified file. Never raises: what stays is only disk space."""


class FlowSource(Protocol):
    """Where the current flow comes from."""

    @property
    def flow(self) -> Flow:
        """The flow that new calls get."""


class Memory(Protocol):
    """What knows of calls that this process has not begun."""

    async def revive(self, path: Path) -> Call | None:
        """Rebuild the call on this channel after a restart; None if it is none of ours."""


class OtherRecorders(Protocol):
    """What knows of recorders that aren't ours."""

    async def keep(self, job: Job) -> None:
        """Bring them in line with the call. Never raises: a failure is an alarm and a notice."""

    async def release(self, job: Job) -> None:
        """The call is over. Never raises."""


class Listeners(Protocol):
    """Who else hears the call, and must not while nothing is recorded: recognisers."""

    async def keep(self, job: Job) -> None:
        """Tell them how the call stands; a halt has reached them when this returns. Never raises.

        One that can't be halted in time is an alarm and a notice.
        """

    def ended(self, call: Call) -> None:
        """The call is over. Never raises."""
