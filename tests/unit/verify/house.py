"""An honest recording for the tests: real parts, really joined, in a real ledger that is signed.

What the main path would have entered is entered here, entry by entry. Then tests lay hands on it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.unit.recordings.parts import closed, tone
from turnrec.core.call import FinishedRecording
from turnrec.core.entry import JSON, Entry, EntryKind, Origin
from turnrec.core.policy import Action, PauseBehavior, PauseMethod
from turnrec.core.recorder import Source, State
from turnrec.core.timeline import Gap, Segment
from turnrec.keeping import Asked, Keeper
from turnrec.ledger import Ledger
from turnrec.ledger.chain import entry_hash
from turnrec.ledger.checkpointer import Checkpointer
from turnrec.ledger.checkpoints import CheckpointFile
from turnrec.ledger.keys import PublicKey, SigningKey, make_key
from turnrec.notes import Notes
from turnrec.proof import ProvingCloser
from turnrec.recordings.closer import Closer
from turnrec.recordings.manifest import utc
from turnrec.recordings.redact import Stretch
from turnrec.service import LedgerJournal
from turnrec.verify.run import Evidence, Outcome, verify

CALL, RECORDING = "C1", "R1"
T0_US = 1_700_000_000_000_000
DAY = "2023-11-14"
SEGMENT_US, PAUSE_US = 1_000_000, 700_000
HZ = (400, 500, 600)
GUARD_US = 83_000


@dataclass
class House:
    """A data folder."""

    folder: Path
    public_key: PublicKey
    recording: str = RECORDING
    """Which of its recordings is verified."""
    url: str | None = None
    """Where the ledger is, if not in the folder."""

    @property
    def wav(self) -> Path:
        """The joined file."""
        return self.folder / "recordings" / DAY / f"{self.recording}.wav"

    @property
    def manifest(self) -> Path:
        """Its manifest."""
        return self.wav.with_suffix(".json")

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.db"

    @property
    def checkpoints(self) -> Path:
        """The signed heads."""
        return self.folder / "checkpoints.jsonl"

    def evidence(self, **changed: Any) -> Evidence:
        """All there is to hold the recording against."""
        given: dict[str, Any] = {
            "ledger": self.url or str(self.ledger),
            "checkpoints": self.checkpoints,
            "public_key": self.public_key,
        }
        return Evidence(**(given | changed))

    def verify(self, given: Path | None = None, **changed: Any) -> Outcome:
        """Verify the recording, or something else."""
        return verify(str(given or self.wav), self.evidence(**changed))

    def found(self, given: Path | None = None, **changed: Any) -> set[str]:
        """The names of what is found."""
        return {finding for one in self.verify(given, **changed).reports for finding in one.ids()}

    # -------------------------------------------------------------- laying hands on it

    def change_sample(self, sample: int, value: int = 1000, file: Path | None = None) -> None:
        """Change one sample of a mono file; in a stereo one, twice as many are counted."""
        path = file or self.wav
        data = bytearray(path.read_bytes())
        data[44 + 2 * sample : 46 + 2 * sample] = value.to_bytes(2, "little", signed=True)
        path.write_bytes(data)

    def change_manifest(self, change: Callable[[Any], None]) -> None:
        """Change the manifest, and write it as turnrec would."""
        manifest = json.loads(self.manifest.read_text("utf-8"))
        change(manifest)
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.manifest.write_text(text + "\n", "utf-8")

    def sql(self, *statements: str) -> None:
        """Change the ledger behind turnrec's back."""
        with sqlite3.connect(self.ledger) as connection:
            for trigger in ("entries_in_order", "entries_no_update", "entries_no_delete"):
                connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def rechain(self, first: int = 1) -> None:
        """Write all hashes anew from an entry on: what somebody does who holds the database."""
        connection = sqlite3.connect(self.ledger)
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM entries ORDER BY seq")]
        prev_hash = "0" * 64
        for row in rows:
            if row["seq"] >= first:
                row["prev_hash"] = prev_hash
                row["hash"] = entry_hash(row)
                connection.execute(
                    "UPDATE entries SET prev_hash = ?, hash = ? WHERE seq = ?",
                    (row["prev_hash"], row["hash"], row["seq"]),
                )
            prev_hash = row["hash"]
        connection.commit()
        connection.close()

    def seq_of(self, kind: EntryKind, nth: int = 0) -> int:
        """The number of the n-th entry of a kind."""
        connection = sqlite3.connect(self.ledger)
        query = "SELECT seq FROM entries WHERE kind = ? ORDER BY seq"
        found = [seq for (seq,) in connection.execute(query, (kind.value,))]
        connection.close()
        return int(found[nth])

    def count(self) -> int:
        """How many entries there are."""
        connection = sqlite3.connect(self.ledger)
        (found,) = connection.execute("SELECT count(*) FROM entries").fetchone()
        connection.close()
        return int(found)

    def append(self, kind: EntryKind, *, at_us: int = 0, hashed: bool = True) -> None:
        """Append an entry behind turnrec's back."""
        self.sql(
            "INSERT INTO entries SELECT seq + 1,"
            f" CASE {at_us} WHEN 0 THEN at_us ELSE {at_us} END, '{kind.value}',"
            f" '{CALL}', NULL, '{RECORDING}', source, actor, origin, action, node, turn, state,"
            " holds, result, '{}', hash, 'no hash at all'"
            " FROM entries ORDER BY seq DESC LIMIT 1"
        )
        if hashed:
            self.rechain(self.count())


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_us = T0_US

    def __call__(self) -> int:
        return self.now_us


class Story:
    """Enters what the main path would."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self.segments: list[Segment] = []
        self.gaps: list[Gap] = []
        self._running = 0

    def enter(
        self,
        kind: EntryKind,
        state: State | None = None,
        holds: tuple[Source, ...] = (),
        *,
        own: bool = True,
        source: Source | None = Source.TURN,
        action: Action | None = None,
        node: str | None = None,
        turn: int | None = None,
        after_us: int = 500,
        **detail: JSON,
    ) -> None:
        """Append an entry a little later."""
        self._clock.now_us += after_us
        on_call = kind not in (EntryKind.SERVER_STARTED, EntryKind.SERVER_STOPPED)
        self._ledger.append(
            Entry(
                kind=kind,
                at_us=self._clock(),
                call_id=CALL if on_call else None,
                uniqueid="1700000000.7" if on_call else None,
                recording_id=RECORDING if own and on_call else None,
                source=source,
                actor="bot:kyc" if on_call else None,
                origin=Origin.AGI if on_call else Origin.SERVER,
                action=action,
                node=node,
                turn=turn,
                state=state,
                holds=holds,
                detail=detail,
            )
        )

    def begin(self, action: Action, state: State, holds: tuple[Source, ...], **who: Any) -> None:
        """A segment begins, after its guard."""
        number = len(self.segments) + 1
        asked_us = self._clock() + GUARD_US
        answered_us = asked_us + 700
        part = f"{RECORDING}-{number:03d}.wav"
        self.enter(
            EntryKind.SEGMENT_BEGAN,
            state,
            holds,
            action=action,
            after_us=GUARD_US + 1500,
            number=number,
            part=part,
            asked_us=asked_us,
            answered_us=answered_us,
            offset_us=0,
            monitor_id=f"0x7f{number:04x}",
            **who,
        )
        if self.gaps and self.gaps[-1].ended_us == 0:
            gap = self.gaps.pop()
            self.gaps.append(Gap(gap.began_us, answered_us, gap.sources, gap.node))
        self.segments.append(Segment(number, part, answered_us, None))

    def end(
        self, proof: str = "monitor gone, file closed", *, gap: bool = True, **who: Any
    ) -> None:
        """The running segment ends."""
        asked_us = self._clock() + 200
        answered_us = asked_us + 600
        running = self.segments.pop()
        self.segments.append(Segment(running.number, running.part, running.began_us, answered_us))
        self.enter(
            EntryKind.SEGMENT_ENDED,
            State.RECORDING,
            after_us=1500,
            number=running.number,
            part=running.part,
            asked_us=asked_us,
            answered_us=answered_us,
            proof=proof,
            **who,
        )
        if gap:
            self.gaps.append(Gap(answered_us, 0, ("turn",), who.get("node")))


async def build(
    folder: Path,
    *,
    behavior: PauseBehavior = PauseBehavior.SILENCE,
    proof: str = "monitor gone, file closed",
    stop: bool = True,
    heard_share: float = 1.0,
    dual_channel: bool = False,
    ledger_url: str | None = None,
) -> House:
    """Record a call with three open turns and two paused ones, close it, and end the server."""
    (folder / "spool").mkdir(parents=True)
    (folder / "recordings").mkdir()
    key_file = folder / "signing.key"
    make_key(key_file)
    key = SigningKey.read(key_file)
    clock = Clock()
    ledger = Ledger.open(ledger_url or f"sqlite:///{folder / 'ledger.db'}")
    checkpointer = Checkpointer(
        ledger, key, CheckpointFile(folder / "checkpoints.jsonl"), clock, every_s=3600
    )
    story = Story(ledger, clock)
    await _tell(folder, story, clock, proof, heard_share, dual_channel=dual_channel)

    async def at_once(_part: str, _within_ms: int) -> bool:
        return True

    closer = Closer(folder / "spool", folder / "recordings", at_once, keep_parts=True)
    proving = ProvingCloser(closer, ledger, clock, lambda: "22.10.1", checkpointer)
    finished = FinishedRecording(
        id=RECORDING,
        call_id=CALL,
        bot="kyc",
        opened_us=T0_US + 2000,
        closed_us=story.segments[-1].ended_us or 0,
        segments=tuple(story.segments),
        gaps=tuple(story.gaps),
        behavior=behavior,
        method=PauseMethod.SEGMENT,
        dual_channel=dual_channel,
    )
    done = await proving.close(finished)
    assert done.ok, done.detail
    clock.now_us += 50_000
    words: dict[str, Any] = dict(done.detail)
    story.enter(EntryKind.RECORDING_CLOSED, source=None, **words)
    await ledger.flush()
    await proving.discard(RECORDING)
    await checkpointer.checkpoint()
    if stop:
        story.enter(EntryKind.SERVER_STOPPED, own=False, source=None)
        await ledger.flush()
        await checkpointer.checkpoint()
    closer.shut_down()
    await ledger.close()
    return House(folder, key.public, url=ledger_url)


async def redact(
    house: House, from_: str, to: str, *, delete_original: bool = False, why: str = "a number"
) -> House:
    """Cut a stretch out, as the server does; the house, with the new recording to verify."""
    key = SigningKey.read(house.folder / "signing.key")
    clock = Clock()
    clock.now_us += 3600 * 1_000_000 + len(list(house.wav.parent.iterdir())) * 1_000_000
    ledger = Ledger.open(house.url or f"sqlite:///{house.ledger}")
    checkpointer = Checkpointer(ledger, key, CheckpointFile(house.checkpoints), clock, every_s=3600)
    ledger.append(Entry(kind=EntryKind.SERVER_STARTED, at_us=clock(), origin=Origin.SERVER))
    journal = LedgerJournal(ledger)
    new_id = f"{house.recording}x"
    keeper = Keeper(
        ledger,
        journal,
        Notes(journal, clock),
        house.folder / "recordings",
        house.folder / "gone",
        clock,
        lambda: new_id,
    )
    asked = Asked(why, "cli:anna", Origin.CLI)
    stretch = Stretch.parse(from_, to)
    await keeper.redact(house.recording, stretch, asked, delete_original=delete_original)
    ledger.append(Entry(kind=EntryKind.SERVER_STOPPED, at_us=clock(), origin=Origin.SERVER))
    await ledger.flush()
    await checkpointer.checkpoint()
    await ledger.close()
    return replace(house, recording=new_id)


async def _tell(
    folder: Path, story: Story, clock: Clock, proof: str, heard_share: float, *, dual_channel: bool
) -> None:
    story.enter(EntryKind.SERVER_STARTED, own=False, source=None)
    story.enter(
        EntryKind.CALL_STARTED,
        State.INACTIVE,
        own=False,
        source=None,
        bot="kyc",
        external_id="ext-1",
        channel="PJSIP/caller-1",
    )
    story.enter(EntryKind.ACTION_ASKED, State.INACTIVE, own=False, action=Action.START)
    story.enter(EntryKind.RECORDING_OPENED, State.INACTIVE, action=Action.START, bot="kyc")
    story.begin(Action.START, State.INACTIVE, ())
    story.enter(EntryKind.ACTION_DONE, State.RECORDING, action=Action.START)
    turn = 0
    for hz in HZ:
        running = story.segments[-1]
        samples = round(heard_share * SEGMENT_US * 8000 / 1_000_000)
        left, right = tone(hz, samples), tone(2 * hz, samples) // 2
        both = {"": left + right, "-r": left, "-t": right}
        for side, sound in both.items() if dual_channel else (("", left),):
            part = running.part.replace(".wav", f"{side}.wav")
            (folder / "spool" / part).write_bytes(closed(sound))
        # The monitor runs as long as its part is.
        clock.now_us = running.began_us + SEGMENT_US - 2300
        turn += 1
        if hz == HZ[-1]:
            story.end("the call has ended", gap=False, node="confirm", turn=turn)
            story.enter(EntryKind.CALL_ENDED, State.ENDED, own=False, source=None)
            break
        ask: dict[str, Any] = {"node": "ask_aadhaar", "turn": turn}
        story.enter(EntryKind.TURN_BEGUN, State.RECORDING, **ask)
        story.enter(EntryKind.ACTION_ASKED, State.RECORDING, action=Action.PAUSE, **ask)
        story.end(proof, action=Action.PAUSE, **ask)
        held = (Source.TURN,)
        story.enter(EntryKind.ACTION_DONE, State.PAUSED, held, action=Action.PAUSE, **ask)
        clock.now_us += PAUSE_US
        turn += 1
        told: dict[str, Any] = {"node": "confirm", "turn": turn}
        story.enter(EntryKind.TURN_BEGUN, State.PAUSED, held, **told)
        story.enter(EntryKind.ACTION_ASKED, State.PAUSED, held, action=Action.RESUME, **told)
        story.begin(Action.RESUME, State.PAUSED, held, **told)
        story.enter(EntryKind.ACTION_DONE, State.RECORDING, action=Action.RESUME, **told)


def copy(house: House, folder: Path) -> House:
    """The same house once more, to lay hands on."""
    shutil.copytree(house.folder, folder)
    return replace(house, folder=folder)


def spans(manifest: Mapping[str, Any], kind: str) -> list[Any]:
    """The manifest's segments or gaps."""
    return [span for span in manifest["spans"] if span["kind"] == kind]


def widen(manifest: Mapping[str, Any], span: Any, samples: int) -> None:
    """Make a span longer at the next segment's cost, so that all fit each other again."""
    after = manifest["spans"][manifest["spans"].index(span) + 1]
    span["samples"] += samples
    for name, change in (
        ("start_sample", samples),
        ("samples", -samples),
        ("part_samples", -samples),
        ("part_start_sample", samples),
    ):
        after[name] += change
    moved = after["begin"]["us"] + samples * 125
    span["end"] = after["begin"] = {"us": moved, "utc": utc(moved)}


def build_now(folder: Path, **given: Any) -> House:
    """Build outside of a running loop."""
    return asyncio.run(build(folder, **given))
