"""Who sounds what, when: owns the parties, the phases of a call and their tones; plays nothing.

Each party has a tone of its own in each phase, a multiple of 100 Hz, so a file tells which phase
of the call is in it, and from whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from turnrec.pbx.configuration import MOH_TONE_HZ


class Phase(StrEnum):
    """A stretch of a call, in the order in which they can come."""

    OPEN = "open"
    """The bot talks, in a turn that is recorded: it proves that recording works at all."""
    ENTRY = "entry"
    """The bot talks, in the state at entry."""
    WAIT = "wait"
    """Ringing, a queue, music."""
    TALK = "talk"
    """The caller talks with the agent."""
    HELD = "held"
    """The caller is on hold, parked, or between two agents."""
    CONSULT = "consult"
    """The agent asks somebody else while the caller is held."""
    TALK2 = "second talk"
    """The caller talks with a second agent, or with the first one again."""
    AWAY = "without the caller"
    """Others go on talking and the recorded channel isn't there."""
    BACK = "back at the bot"


class Speaker(StrEnum):
    """Whose tone it is."""

    BOT = "bot"
    CALLER = "caller"
    AGENT = "agent"
    SECOND = "second"
    EARLY = "early media"
    ANNOUNCER = "announcer"
    RING = "ring"
    MUSIC = "music"


RING_HZ: Final = 800
"""asterisk-conf/pbx/indications.conf: all its tones are multiples of 100 Hz."""

TONES: Final[Mapping[Phase, Mapping[Speaker, int]]] = MappingProxyType(
    {
        Phase.OPEN: {Speaker.BOT: 400, Speaker.CALLER: 500},
        Phase.ENTRY: {Speaker.BOT: 600, Speaker.CALLER: 900},
        Phase.WAIT: {
            Speaker.CALLER: 1000,
            Speaker.EARLY: 1200,
            Speaker.RING: RING_HZ,
            Speaker.MUSIC: MOH_TONE_HZ,
        },
        Phase.TALK: {Speaker.CALLER: 1300, Speaker.AGENT: 1700, Speaker.ANNOUNCER: 1600},
        Phase.HELD: {Speaker.CALLER: 1400, Speaker.RING: RING_HZ, Speaker.MUSIC: MOH_TONE_HZ},
        Phase.CONSULT: {Speaker.AGENT: 1800, Speaker.SECOND: 2700},
        Phase.TALK2: {Speaker.CALLER: 1900, Speaker.SECOND: 2100},
        Phase.AWAY: {Speaker.AGENT: 3100, Speaker.SECOND: 2900},
        Phase.BACK: {Speaker.BOT: 1100, Speaker.CALLER: 2300},
    }
)

VOICES: Final[Mapping[Phase, tuple[Speaker, ...]]] = MappingProxyType(
    {
        Phase.OPEN: (Speaker.BOT, Speaker.CALLER),
        Phase.ENTRY: (Speaker.BOT, Speaker.CALLER),
        Phase.WAIT: (Speaker.CALLER,),
        Phase.TALK: (Speaker.CALLER, Speaker.AGENT),
        Phase.TALK2: (Speaker.CALLER, Speaker.SECOND),
        Phase.BACK: (Speaker.BOT, Speaker.CALLER),
    }
)
"""Who must be heard, all at the same time, where a phase is recorded."""

PROMPT_S: Final = 0.9
"""How long each of the bot's prompts is."""

PROMPTS_HZ: Final = tuple(
    one
    for tones in TONES.values()
    for speaker, one in tones.items()
    if speaker in {Speaker.BOT, Speaker.ANNOUNCER}
)


def hz(phase: Phase, speaker: Speaker) -> int:
    """A party's tone in a phase."""
    return TONES[phase][speaker]
