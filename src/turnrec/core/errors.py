"""Every error a caller of turnrec can meet, each with an id that never changes.

    TurnrecError
    ├── RefusedError              the recorder said no; nothing has changed
    │   ├── NotRecordingError         not-recording
    │   ├── AlreadyRecordingError     already-recording
    │   ├── RecordingStoppedError     recording-stopped
    │   ├── CallEndedError            call-ended
    │   ├── HeldByAnotherError        held-by-another
    │   ├── TurnSupersededError       turn-superseded
    │   ├── UnknownCallError          unknown-call
    │   ├── AmbiguousCallError        ambiguous-call
    │   ├── UnknownChannelError       unknown-channel
    │   ├── UnknownRecordingError     unknown-recording
    │   ├── UnknownBotError           unknown-bot
    │   ├── UnknownNodeError          unknown-node (told, not refused: the node is held)
    │   ├── CallExistsError           call-exists
    │   ├── UnknownActionError        unknown-action
    │   ├── InvalidNameError          invalid-name
    │   ├── InvalidTimeError          invalid-time
    │   └── NotAllowedError           not-allowed
    ├── FaultError                something broke; the recorder is held, nothing is recorded
    │   ├── UnansweredError           command-unanswered
    │   ├── CommandRefusedError       command-refused
    │   ├── RecorderBusyError         recorder-busy
    │   ├── MonitorStillRunsError     monitor-still-runs
    │   ├── MonitorLostError          monitor-lost
    │   ├── SegmentNotStartedError    segment-not-started
    │   ├── LedgerUnavailableError    ledger-unavailable
    │   ├── DiskLowError              disk-low
    │   └── InternalError             internal-error
    ├── AsteriskUnreachableError  asterisk-unreachable: what only AMI can do, while it is down
    └── AlarmError                what somebody must be woken for, though nobody asked
        ├── UnclassedPartyError       unclassed-party
        ├── OthersRecordError         others-record
        ├── MeddledError              monitor-meddled-with
        └── PauseTooLongError         pause-too-long

Which of the three it is decides `TURNREC_STATUS`: refused leaves things alone, a fault fails
closed. The ids appear in the dialplan, the ledger and the API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class TurnrecError(Exception):
    """Base of all of turnrec's errors. `id` is stable; `str()` is a sentence for people."""

    id: ClassVar[str] = "turnrec-error"


class RefusedError(TurnrecError):
    """A request that the rules forbid. Nothing has changed and nothing was sent to Asterisk."""

    id = "refused"


class RecorderRefusedError(RefusedError):
    """A recording action that the recorder's table refuses.

    `action` and `state` are the words of design.md; `detail` says what to do instead.
    """

    id = "recorder-refused"
    explanation: ClassVar[str] = "the recorder refuses it"

    def __init__(self, action: str, state: str, detail: str = "") -> None:
        self.action = action
        self.state = state
        self.detail = detail
        sentence = f"cannot {action}: {self.explanation}"
        super().__init__(f"{sentence} ({detail})" if detail else sentence)


class NotRecordingError(RecorderRefusedError):
    """An operator asked to pause or resume where no recording is open."""

    id = "not-recording"
    explanation = "this call has no open recording"


class AlreadyRecordingError(RecorderRefusedError):
    """A start while a recording is open and paused."""

    id = "already-recording"
    explanation = "a recording is open and paused; resume it, or start with new"


class RecordingStoppedError(RecorderRefusedError):
    """Anything but a stop after a final stop."""

    id = "recording-stopped"
    explanation = "recording was stopped for good on this call"


class CallEndedError(RecorderRefusedError):
    """Anything but a stop after the hang-up."""

    id = "call-ended"
    explanation = "the call has ended"


class HeldByAnotherError(RecorderRefusedError):
    """An operator's resume while somebody else holds the recorder."""

    id = "held-by-another"
    explanation = "recording is paused by somebody else"


class TurnSupersededError(RefusedError):
    """A turn that a newer one has overtaken."""

    id = "turn-superseded"

    def __init__(self, node: str, sequence: int, current_node: str, current: int) -> None:
        super().__init__(
            f"turn {node!r} (number {sequence}) is stale: {current_node!r} (number {current})"
            " has begun since"
        )


class UnknownCallError(RefusedError):
    """No call of ours has this name."""

    id = "unknown-call"

    def __init__(self, name: str) -> None:
        super().__init__(f"no call {name!r}; run turnrec-start on its channel first")


class AmbiguousCallError(RefusedError):
    """Several live calls have this name: a bot has given two calls the same id."""

    id = "ambiguous-call"

    def __init__(self, name: str) -> None:
        super().__init__(f"several live calls are called {name!r}: name one by turnrec's own id")


class UnknownChannelError(RefusedError):
    """Asterisk has no channel with this uniqueid."""

    id = "unknown-channel"

    def __init__(self) -> None:
        super().__init__("Asterisk has no such channel: give the uniqueid of a live one")


class UnknownRecordingError(RefusedError):
    """The ledger knows no recording with this id."""

    id = "unknown-recording"

    def __init__(self, recording_id: str) -> None:
        super().__init__(f"the ledger knows no recording {recording_id!r}")


class InvalidTimeError(RefusedError):
    """No time at all, or one that lies outside of the recording."""

    id = "invalid-time"


class UnknownBotError(RefusedError):
    """The flow file has no such bot."""

    id = "unknown-bot"

    def __init__(self, bot: str, suggestion: str | None = None) -> None:
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"the flow file has no bot {bot!r}{hint}")


class UnknownNodeError(RefusedError):
    """The bot's flow has no such node; told beside status OK, for the turn has begun."""

    id = "unknown-node"

    def __init__(self, bot: str, node: str, suggestion: str | None = None) -> None:
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"bot {bot!r} has no node {node!r}{hint}")


class CallExistsError(RefusedError):
    """A second turnrec-start on a channel that already has a recorder."""

    id = "call-exists"

    def __init__(self, uniqueid: str, bot: str) -> None:
        super().__init__(f"channel {uniqueid} already belongs to bot {bot!r}")


class UnknownActionError(RefusedError):
    """A word that is not one of start, pause, resume, stop."""

    id = "unknown-action"

    def __init__(self, word: str) -> None:
        super().__init__(f"{word!r} is no recording action: use start, pause, resume or stop")


class InvalidNameError(RefusedError):
    """A name of a bot, node, tag or id with characters outside `[A-Za-z0-9_.-]{1,64}`."""

    id = "invalid-name"

    def __init__(self, what: str) -> None:
        # The value itself stays out of the message: it may hold anything a caller could type.
        super().__init__(f"the {what} may have 1 to 64 letters, digits, '_', '.' and '-' only")


class NotAllowedError(RefusedError):
    """The actor lacks the right, or the policy (`agent: never`) lifts for nobody."""

    id = "not-allowed"


class FaultError(TurnrecError):
    """Something broke while a command ran. The recorder is held; nothing is recorded."""

    id = "fault"


class UnansweredError(FaultError):
    """Asterisk did not answer in time, or the connection broke: the outcome is unknown."""

    id = "command-unanswered"


class CommandRefusedError(FaultError):
    """Asterisk answered that it did not do what it was told."""

    id = "command-refused"


class RecorderBusyError(FaultError):
    """The recorder's lock was not free before the deadline.

    A turn that meets it fails closed: its dialplan stops the monitor itself, and the command that
    kept the lock ends in a fault.
    """

    id = "recorder-busy"

    def __init__(self, deadline_ms: int) -> None:
        super().__init__(f"another command on this call took longer than {deadline_ms} ms")


class MonitorStillRunsError(FaultError):
    """A monitor was told to stop, and the look afterwards still found it."""

    id = "monitor-still-runs"


class MonitorLostError(FaultError):
    """The monitor that should be running is gone."""

    id = "monitor-lost"


class SegmentNotStartedError(FaultError):
    """MixMonitor was started, but its file did not appear (disk, rights, folder)."""

    id = "segment-not-started"


class LedgerUnavailableError(FaultError):
    """The ledger takes no entries: a recording that it can't vouch for must not begin."""

    id = "ledger-unavailable"


class DiskLowError(FaultError):
    """There is too little room for another recording: none begins until there is."""

    id = "disk-low"

    def __init__(self, what: str) -> None:
        super().__init__(f"nothing new is recorded: {what}")


class AsteriskUnreachableError(TurnrecError):
    """AMI is down and no AGI session is at hand: the action cannot be carried out now."""

    id = "asterisk-unreachable"


class InternalError(FaultError):
    """A defect of turnrec itself. It fails closed like every other fault."""

    id = "internal-error"


class AlarmError(TurnrecError):
    """What somebody must be woken for. It refuses nobody and changes no recorder."""

    id = "alarm"


class UnclassedPartyError(AlarmError):
    """Nobody announced this bridge, and no rule of the operator's says who it is."""

    id = "unclassed-party"

    def __init__(self, channels: Sequence[str]) -> None:
        self.channels = tuple(channels)
        super().__init__(
            f"bridged without an announcement to {', '.join(channels)}: it counts as an agent for "
            "off and never, and lifts nothing for on; announce it (turnrec-agent-pre) or class it "
            "(parties: in the flow file)"
        )


class OthersRecordError(AlarmError):
    """A recorder that is not ours runs on the call, and could not be hushed."""

    id = "others-record"


class MeddledError(AlarmError):
    """Somebody else stopped, muted or unmuted our monitor."""

    id = "monitor-meddled-with"


class PauseTooLongError(AlarmError):
    """A pause has lasted longer than `max_pause_s`."""

    id = "pause-too-long"

    def __init__(self, max_pause_s: int, action: str) -> None:
        self.max_pause_s = max_pause_s
        super().__init__(f"paused for more than {max_pause_s} s; max_pause_action: {action}")
