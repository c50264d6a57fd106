"""What an asker is told: a status, an error with its id, and how the recorder stands now."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from turnrec.core.call import Call
from turnrec.core.errors import RefusedError, TurnrecError


class Status(enum.StrEnum):
    """TURNREC_STATUS. Anything but the first two makes the dialplan stop our monitor."""

    OK = "OK"
    REFUSED = "REFUSED"
    FAILCLOSED = "FAILCLOSED"

    @classmethod
    def of(cls, error: TurnrecError | None) -> Status:
        """A refusal leaves things alone; every other error fails closed."""
        if error is None:
            return cls.OK
        return cls.REFUSED if isinstance(error, RefusedError) else cls.FAILCLOSED


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    status: Status
    error: TurnrecError | None = None
    """Why it was refused or failed; with status OK, what the asker should know all the same."""
    call: Call | None = None

    def variables(self) -> dict[str, str]:
        """The channel variables that say so; the status is a dialplan's only proof of an answer."""
        return {
            "TURNREC_ERROR": "" if self.error is None else self.error.id,
            "TURNREC_STATUS": self.status.value,
        }


def call_variables(call: Call) -> dict[str, str]:
    """What the caller's channel must say of its recorder: all that a restart needs."""
    recorder, recording = call.recorder, call.recording
    variables = {
        "TURNREC_CALL_ID": call.id,
        "TURNREC_RECORDING_ID": "" if recording is None else recording.id,
        "TURNREC_SINCE": "" if recording is None else recording.since,
        "TURNREC_PART": "" if call.monitor is None else call.monitor.part,
        "TURNREC_HOLDS": ":".join(sorted(recorder.holds)),
        "TURNREC_BOT": call.bot.name,
        "TURNREC_NODE": "" if call.turn is None else call.turn.node.name,
        "TURNREC_AGENT": "" if call.agent_override is None else call.agent_override.value,
        "TURNREC_TALK": call.talk,
        "TURNREC_STATE": recorder.state.value,
    }
    if call.monitor is not None or not call.may_run_unseen:
        # While one may still run, its ID stays: the dialplan stops it by that, and turnrec finds
        # it by that where its start was never answered.
        variables["TURNREC_MIXMON_ID"] = "" if call.monitor is None else call.monitor.id
    return variables
