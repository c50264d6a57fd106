"""A bot's dialplan with marks, and callers who talk without a pause and follow its turns.

A caller says 1300 Hz from the instant that the bot has begun a paused turn (whatever turnrec said
to it) until the bot is about to ask for the next one, and 500 Hz the rest of the time. The bot's
prompts are 400 Hz in open turns and 1000 Hz in paused ones. So 1000 or 1300 Hz in any file is a
leak, and too little of 400 Hz is a loss.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.pbx.mouth import Mouth
from tests.pbx.rig import OPEN_PROMPT, PAUSED_PROMPT, WAIT_S, Rig, until, write_tones
from tests.pbx.tones import OPEN_HZ, Leak, leaks, presence
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.phone import MediaOptions, OutgoingCall, Phone

OPEN_S, PAUSED_S = 0.7, 0.4
CALL_S = 180.0
"""How long a call may take before the test fails."""
PRESENT_SHARE = 0.95
"""How much of the bot's short prompts must be in a file. MixMonitor misses 20 ms of each."""

_HEADER_BYTES = 44

FLOW = """
version: 1
defaults: {guard_ms: 80}
bots:
  segment: {nodes: {open: resume, ask: pause}}
  mute: {pause_method: mute, nodes: {open: resume, ask: pause}}
"""

SAY = "${TURNREC_STATUS}:${TURNREC_ERROR}:${TURNREC_STATE}"

BOT = f"""
; What a bot does in one turn, as subroutines: Gosub(bot,open,1).
[bot]
exten => start,1,AGI(${{MARK}}/mark?starting&${{WHO}})
 same => n,Gosub(turnrec-start,s,1(${{ARG1}}))
 same => n,AGI(${{MARK}}/mark?start:{SAY}&${{WHO}})
 same => n,Return()
exten => open,1,AGI(${{MARK}}/mark?opening&${{WHO}})
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,AGI(${{MARK}}/mark?open:{SAY}&${{WHO}})
 same => n,Playback(${{SOUNDS}}/{OPEN_PROMPT})
 same => n,AGI(${{MARK}}/mark?opened&${{WHO}})
 same => n,Return()
exten => ask,1,Gosub(turnrec-turn,s,1(ask))
 same => n,Goto(asking,1)
exten => asking,1,AGI(${{MARK}}/mark?ask:{SAY}&${{WHO}})
 same => n,Playback(${{SOUNDS}}/{PAUSED_PROMPT})
 same => n,AGI(${{MARK}}/mark?asked&${{WHO}})
 same => n,Return()
exten => end,1,AGI(${{MARK}}/mark?end&${{WHO}})
 same => n,Hangup()
"""


def dialplan(*steps: str, pattern: str = "_test-.") -> str:
    """The bot's subroutines, and one extension that goes through these steps."""
    return BOT + extension(pattern, *steps)


def extension(pattern: str, *steps: str) -> str:
    """An extension that answers, goes through these steps, and ends.

    A step without a parenthesis is one of the bot's. The dialled words after each dash are W1, W2
    and W3; W1 is the bot's name: test-segment-7.
    """
    lines = [
        "Answer()",
        "Set(__WHO=${EXTEN})",
        *(f"Set(W{n}=${{CUT(EXTEN,-,{n + 1})}})" for n in (1, 2, 3)),
        *(step if "(" in step else f"Gosub(bot,{step},1(${{W1}}))" for step in steps),
        "Goto(bot,end,1)",
    ]
    first, *others = lines
    own = [f"exten => {pattern},1,{first}", *(f" same => n,{line}" for line in others)]
    return "\n".join(["[turnrec-tests](+)", *own, ""])


def write_prompts(here: Rig) -> None:
    """Give the bot its voice."""
    write_tones(here.folder / "sounds", {400: OPEN_S, 1000: PAUSED_S})


@dataclass(frozen=True, slots=True)
class Mark:
    """What the bot told the test, and what turnrec had told the bot."""

    name: str
    status: str = ""
    error: str = ""
    state: str = ""


class Caller:
    """One call to the bot."""

    def __init__(self, here: Rig, extension: str) -> None:
        self.extension = extension
        self.marks: list[Mark] = []
        self.mouth = Mouth()
        self._gates: dict[str, asyncio.Event] = {}
        self._dialled = asyncio.Event()
        self._call: OutgoingCall | None = None
        here.marks[extension] = self._on_mark

    @property
    def call(self) -> OutgoingCall:
        """The call itself."""
        assert self._call is not None
        return self._call

    def hold_at(self, *names: str) -> None:
        """Have the bot wait at its next marks of these names."""
        for name in names:
            self._gates[name] = asyncio.Event()

    def let_on(self, *names: str) -> None:
        """Let the bot go on; without a name, from wherever it waits."""
        for name in names or tuple(self._gates):
            self._gates.pop(name).set()

    def waits(self) -> bool:
        """Whether the bot waits at a mark."""
        return bool(self.marks) and self.marks[-1].name in self._gates

    async def reached(self, name: str, count: int = 1) -> Mark:
        """Wait until the bot has come to a mark for the n-th time."""
        await until(lambda: len(self.all(name)) >= count, f"{self.extension}: {count}. {name}")
        return self.all(name)[count - 1]

    def all(self, *names: str) -> list[Mark]:
        """The marks of these names so far."""
        return [mark for mark in self.marks if mark.name in names]

    def statuses(self, *names: str) -> list[str]:
        """What turnrec answered to these, in order."""
        return [mark.status for mark in self.all(*names)]

    async def leaves(self) -> None:
        """Hang up; the bot, wherever it waits, is let go."""
        await self.call.hang_up(WAIT_S)
        self.let_on()

    async def reaches_the_end(self) -> None:
        """Wait until the bot has said its last word and hung up."""
        end = await self.call.wait_ended(timeout_s=CALL_S)
        assert [mark.name for mark in self.marks][-1:] == ["end"], self.marks
        assert not end.by_us

    async def _on_mark(self, _extension: str, word: str) -> None:
        await self._dialled.wait()
        mark = Mark(*word.split(":"))
        if mark.name == "ask":
            self.call.source = self.mouth.tone(1300)
        elif mark.name in {"opening", "end"}:
            self.call.source = self.mouth.tone(500)
        self.marks.append(mark)
        gate = self._gates.get(mark.name)
        if gate is not None:
            await gate.wait()


async def dial(here: Rig, phone: Phone, extension: str) -> Caller:
    """Call the bot."""
    caller = Caller(here, extension)
    await connect(here, phone, caller)
    return caller


async def connect(here: Rig, phone: Phone, caller: Caller, *, caller_name: str = "") -> None:
    """Call the bot as a caller who has been told before where to wait."""
    media = MediaOptions(source=caller.mouth.tone(500), keep_chunks=10)
    uri = f"sip:{caller.extension}@{here.sip}"
    caller._call = await phone.dial(uri, media, caller_name=caller_name, timeout_s=WAIT_S)
    caller._dialled.set()


async def dial_all(here: Rig, phone: Phone, extensions: Iterable[str]) -> list[Caller]:
    """Call the bot many times at once."""
    return list(await asyncio.gather(*(dial(here, phone, one) for one in extensions)))


async def monitored_files(here: Rig) -> list[Path]:
    """The files that MixMonitors write now, on any channel."""
    channels = await here.rx("core show channels concise")
    names = [line.partition("!")[0] for line in channels.splitlines() if "!" in line]
    lists = [await here.rx(f"mixmonitor list {name}") for name in names]
    return sorted(Path(found) for found in re.findall(r"0x[0-9a-f]+\t([^\t]+)", "".join(lists)))


# ------------------------------------------------------------------ what is in the files


def samples_of(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """All samples of a file, whatever its header says: a writer that died left it at 0."""
    data = path.read_bytes()[_HEADER_BYTES:]
    return np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.int16)


def audio_files(here: Rig) -> list[Path]:
    """Every file with audio that turnrec or its monitors have made."""
    recordings = here.settings.recordings
    return sorted([*recordings.spool_dir.rglob("*"), *recordings.dir.rglob("*.wav")])


def leaks_of(here: Rig) -> list[tuple[str, Leak]]:
    """Every paused tone in any file, whether a ledger knows of it or not."""
    files = [path for path in audio_files(here) if path.is_file()]
    return [(path.name, leak) for path in files for leak in leaks(samples_of(path))]


def heard(paths: Sequence[Path]) -> dict[int, float]:
    """How many seconds of each open tone these files hold together."""
    total = dict.fromkeys(OPEN_HZ, 0.0)
    for path in paths:
        for hz, seconds in presence(samples_of(path)).items():
            total[hz] += seconds
    return total


def least_s(said_s: float, recording: RecordingRecord, callers: Sequence[Caller]) -> float:
    """How many seconds of what the bot said must be in the joined file.

    Where this process got no CPU, its phones sent nothing and its turnrec read Asterisk's answers
    late. Then a segment is placed late, and its end left out. A muted part isn't re-anchored: while
    no RTP came its clock stood, and each later turn is looked for that much too late in it
    (docs/decisions.md).
    """
    stalled_s = max(caller.mouth.stalled_s for caller in callers)
    turns = len(recording.segments) if recording.bot == "mute" else 1
    return PRESENT_SHARE * said_s - turns * stalled_s
