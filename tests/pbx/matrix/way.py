"""What a way to a human agent is; it knows none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.pbx.matrix.cast import Phase
from tests.pbx.matrix.scene import Scene
from tests.pbx.matrix.states import Known

Script = Callable[[Scene], Awaitable[None]]

SAID_OR_NOT = (Known.LEG, Known.NOT)
"""Where it makes no difference who else knows."""

TO_TALK = (Phase.OPEN, Phase.ENTRY, Phase.WAIT, Phase.TALK)
THERE_AND_BACK = (*TO_TALK, Phase.BACK)


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a caller comes to an agent, and what follows."""

    name: str
    """Part of extensions: letters, digits and underscores."""
    says: str
    """For operators, in one sentence."""
    known: tuple[Known, ...]
    dialplan: tuple[str, ...]
    """The steps on the caller's channel; the bot's survey comes after the last one."""
    script: Script
    """What the people do, from the bot's hand-over on."""
    phases: tuple[Phase, ...] = THERE_AND_BACK
    begin: Script = Scene.dial
    """How the caller and the bot come together: as a rule he calls."""
    unsure: Mapping[Phase, str] = field(default_factory=dict)
    """What Asterisk itself doesn't promise to record although it may be, and why."""
    first_sequence: int | None = None
    """The phones' first RTP sequence number; random, as on any phone, where it doesn't matter."""
    core: bool = False
    """Played on Asterisk 16, too."""
    beside: tuple[str, ...] = ()
    """Further contexts and extensions that it needs."""
