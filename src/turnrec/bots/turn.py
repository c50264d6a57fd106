"""What a bot is told when its request is done: how the recorder stands, and the turn that began."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Standing:
    """How the call's recorder stands, confirmed."""

    state: str
    """`inactive`, `recording`, `paused`, `stopped` or `ended`."""
    notice: str = ""
    """The id of what the bot should know although all went well: `unknown-node` (the flow has no
    such node, so it is held), `others-record` (somebody else's recorder goes on)."""

    @property
    def is_recording(self) -> bool:
        """Whether turnrec records now."""
        return self.state == "recording"


@dataclass(frozen=True, slots=True)
class Turn(Standing):
    """A turn that has begun: the bot may speak it.

    Leaving the block does not end the turn: what the caller says after the bot's last word belongs
    to it, and so does the processing. The next turn ends it.
    """

    node: str = ""
    """The flow's node."""

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: the next turn ends this one."""
