"""The made-up calls and recordings that the page is tested with; the sound is the sample bot's."""

from __future__ import annotations

import hashlib
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np

from tests.page.mock_api import GOOD_KEY
from tests.page.mock_state import JSON, MockState, instant, now_us
from turnrec.pbx.beside import SOUNDS_DIR

RATE_HZ = 8000
SECOND = 1_000_000
ALL = ["read", "control", "audit", "admin"]
TALK = "01K0RECTALKKKKKKKKKKKKKKKK"
CALL = "01K0CALLPASTPASTPASTPASTPA"


def key(
    state: MockState, name: str = "desk", rights: list[str] | None = None, secret: str = GOOD_KEY
) -> str:
    """Make a key known."""
    state.keys[secret] = {"name": name, "rights": rights or ALL, "bots": None}
    return secret


def few_calls(state: MockState) -> None:
    """One call in each state that the page shows otherwise."""
    at = now_us()

    def call(name: str, bot: str, ago_s: float, since_s: float, **given: Any) -> None:
        state.add_call(
            f"01K0CALL{name:0>18}",
            bot,
            at_us=at - round(ago_s * SECOND),
            since=instant(at - round(since_s * SECOND)),
            **given,
        )

    call("REC", "kyc", 84, 31, node="confirm_address", turn=4, recording="01K0REC1")
    call("TURN", "kyc", 47, 12, state="paused", holds=["turn"], node="ask_aadhaar", turn=3)
    call(
        "AGENT",
        "support",
        312,
        118,
        state="paused",
        holds=["agent"],
        node="handover",
        turn=7,
        company=[{"channel": "PJSIP/agent-31-0000a4", "party": "agent"}],
    )
    call(
        "OPER",
        "payments",
        190,
        64,
        state="paused",
        holds=["operator"],
        node="choose_plan",
        turn=5,
        external_id="ord-58213",
    )
    call(
        "FAULT",
        "kyc",
        66,
        9,
        state="paused",
        holds=["fault", "turn"],
        node="ask_otp",
        turn=2,
        unconfirmed_monitors=1,
    )
    call(
        "TALK",
        "support",
        702,
        655,
        node="handover",
        turn=6,
        company=[{"channel": "PJSIP/agent-12-0000b1", "party": "agent"}],
    )
    call("OFF", "survey", 22, 22, state="inactive", node="welcome", turn=1)
    call("STOP", "payments", 143, 17, state="stopped", node="card_number", turn=9)


def a_story(state: MockState, call_id: str, began_us: int, recording: str | None) -> None:
    """The events of a call that has a paused turn, an operator's pause, a fault and an agent."""

    def at(second: float, kind: str, **data: Any) -> None:
        state.event(kind, call_id, began_us + round(second * SECOND), recording=recording, **data)

    on = {"state": "recording", "holds": []}
    turn = {"state": "paused", "holds": ["turn"]}
    at(0.0, "call.started", state="inactive", holds=[])
    at(0.1, "recording.started", **on, source="turn", actor="bot:kyc")
    at(0.2, "turn.begun", node="welcome", turn=1, **on)
    at(10.0, "turn.begun", node="ask_aadhaar", turn=2, **turn)
    at(10.0, "recording.paused", node="ask_aadhaar", source="turn", **turn)
    at(10.1, "transcription.halted", **turn)
    at(
        15.2,
        "action.refused",
        node="ask_aadhaar",
        source="operator",
        actor="key:desk:anna",
        action="resume",
        result="held-by-another",
        **turn,
    )
    at(21.8, "turn.begun", node="confirm", turn=3, **on)
    at(21.9, "recording.resumed", node="confirm", source="turn", **on)
    at(21.9, "transcription.resumed", **on)


def a_talk(state: MockState) -> None:
    """A finished recording of the sample bot's voices, with one gap, and its call."""
    began = now_us() - 3600 * SECOND
    state.calls[CALL] = {
        **state.add_call(
            CALL,
            "kyc",
            at_us=began,
            node="goodbye",
            turn=4,
            state="ended",
            external_id="visit-20418",
        ),
        "ended": instant(began + 29 * SECOND),
        "allowed": [],
        "refused": {},
    }
    silence = np.zeros(round(0.5 * RATE_HZ), np.int16)
    before = [_voice("welcome"), silence, _voice("caller_hello"), silence]
    gap = np.zeros(sum(map(len, (_voice("ask_aadhaar"), _voice("caller_aadhaar")))), np.int16)
    after = [
        silence,
        _voice("confirmed"),
        silence,
        _voice("caller_thanks"),
        silence,
        _voice("goodbye"),
        silence,
    ]
    first, rest = np.concatenate(before), np.concatenate(after)
    edges = np.cumsum([0, len(first), len(gap), len(rest)])
    sound = _wav(np.concatenate([first, gap, rest]))
    times = [began + round(one / RATE_HZ * SECOND) for one in edges]
    a_story(state, CALL, began, TALK)
    last = began + round(edges[-1] / RATE_HZ * SECOND)
    for at, node, number in ((edges[2] + 24_000, "goodbye", 4),):
        state.event(
            "turn.begun",
            CALL,
            began + round(at / RATE_HZ * SECOND),
            node=node,
            turn=number,
            state="recording",
            holds=[],
        )
    for kind in ("recording.stopped", "recording.done", "call.ended"):
        state.event(kind, CALL, last, recording=TALK, state="ended", holds=[])
    kinds: tuple[tuple[str, list[str]], ...] = (("segment", []), ("gap", ["turn"]), ("segment", []))
    recording(
        state,
        TALK,
        "kyc",
        opened_us=began,
        call=CALL,
        sound=sound,
        gaps=[(times[1], times[2], ["turn"], "ask_aadhaar")],
        spans=[
            {
                "kind": kind,
                "begin_us": times[n],
                "end_us": times[n + 1],
                "start_sample": int(edges[n]),
                "samples": int(edges[n + 1] - edges[n]),
                "sources": sources,
                "node": "ask_aadhaar" if sources else None,
            }
            for n, (kind, sources) in enumerate(kinds)
        ],
    )
    state.transcripts[TALK] = _transcript(began, [round(one / RATE_HZ * SECOND) for one in edges])


def recording(
    state: MockState,
    name: str,
    bot: str,
    *,
    opened_us: int,
    call: str = CALL,
    status: str = "done",
    sound: bytes | None = None,
    gaps: list[tuple[int, int, list[str], str]],
    spans: list[JSON] | None = None,
    **given: Any,
) -> JSON:
    """One recording."""
    samples = None if sound is None else (len(sound) - 44) // 2
    closed_us = opened_us + (round(samples / RATE_HZ * SECOND) if samples else 30 * SECOND)
    one: JSON = {
        "id": name,
        "call": call,
        "bot": bot,
        "opened": instant(opened_us),
        "closed": None if status in ("recording", "paused") else instant(closed_us),
        "status": status,
        "file": f"2026-11-21/{name}.wav" if sound else None,
        "duration_s": None if samples is None else samples / RATE_HZ,
        "rate_hz": RATE_HZ,
        "samples": samples,
        "legal_hold": None,
        "pause_behavior": "silence",
        "segments": [],
        "sha256": None if sound is None else hashlib.sha256(sound).hexdigest(),
        "gaps": [
            {
                "began_us": a,
                "ended_us": b,
                "began": instant(a),
                "ended": instant(b),
                "holds": holds,
                "node": node,
                "turn": 2,
            }
            for a, b, holds, node in gaps
        ],
        "spans": spans or [],
        "one_sided": [],
        "stereo": False,
        "problems": [],
        **given,
    }
    state.recordings[name] = one
    if sound is not None:
        state.sounds[name] = sound
    state.verifications[name] = PROVEN
    return one


PROVEN: JSON = {
    "status": "proven",
    "exit_status": 0,
    "ledger": {
        "subject": "ledger",
        "status": "proven",
        "findings": [],
        "proven": [
            "the chain of 4 812 entries is whole",
            "37 checkpoints are signed by key 7f3a9c21",
        ],
        "not_proven": [],
    },
    "recordings": [
        {
            "subject": "recording",
            "status": "proven",
            "findings": [],
            "proven": [
                "the file is the one that was hashed when it was closed",
                "its one gap holds digital silence, sample by sample",
                "before the gap began, Asterisk’s monitor had ended and its part was closed",
                "a segment began only after the bot had asked for it",
            ],
            "not_proven": ["what was said on the line while nothing was recorded"],
        }
    ],
    "sentences": [
        "nothing of the paused turn is in this recording: while it lasted no monitor ran"
    ],
}


def _voice(name: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    with wave.open(str(Path(SOUNDS_DIR) / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def _wav(samples: np.ndarray[Any, np.dtype[np.int16]]) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return written.getvalue()


def _transcript(began_us: int, edges_us: list[int]) -> list[JSON]:
    def said(from_s: float, to_s: float, speaker: str, text: str) -> JSON:
        return {
            "kind": "utterance",
            "recording": TALK,
            "begin_us": round(from_s * SECOND),
            "end_us": round(to_s * SECOND),
            "began": instant(began_us),
            "cut": False,
            "ended": instant(began_us),
            "speaker": speaker,
            "text": text,
            "words": [],
        }

    _, gap_us, back_us, _ = edges_us
    back = back_us / SECOND
    return [
        said(
            0.3,
            6.0,
            "bot",
            "Welcome to Kaveri Bank. This call is recorded for your safety. Let us verify your"
            " identity.",
        ),
        said(6.8, 9.6, "caller", "Hello, I would like to activate my card."),
        {
            "kind": "gap",
            "recording": TALK,
            "begin_us": gap_us,
            "end_us": back_us,
            "began": instant(began_us + gap_us),
            "ended": instant(began_us + back_us),
            "holds": ["turn"],
            "node": "ask_aadhaar",
        },
        said(back + 0.5, back + 2.9, "bot", "Thank you. Your number has been verified."),
        said(back + 3.5, back + 5.3, "caller", "Great, thank you very much."),
        said(back + 5.9, back + 8.6, "bot", "You are all set. Thank you for calling, goodbye."),
    ]


def every_outcome(state: MockState) -> dict[str, str]:
    """A recording that failed, one without sound, one deleted, one being made: by what it is."""
    now = now_us()
    made = {
        "failed": "01K0RECFAILEDDDDDDDDDDDDDD",
        "silent": "01K0RECSILENTTTTTTTTTTTTTT",
        "deleted": "01K0RECDELETEDDDDDDDDDDDDD",
        "recording": "01K0RECOPENNNNNNNNNNNNNNNN",
    }
    recording(
        state,
        made["failed"],
        "kyc",
        opened_us=now - 900 * SECOND,
        status="failed",
        gaps=[],
        problems=["part 002 is missing: the disk was full when its segment began"],
    )
    state.verifications[made["failed"]] = {
        "status": "unproven",
        "exit_status": 3,
        "ledger": None,
        "sentences": [],
        "recordings": [
            {
                "subject": "r",
                "status": "unproven",
                "proven": [],
                "not_proven": [],
                "findings": [
                    {
                        "id": "audio-missing",
                        "weight": "unproven",
                        "sentence": "the recording's file is not there",
                    }
                ],
            }
        ],
    }
    recording(
        state,
        made["silent"],
        "payments",
        opened_us=now - 5000 * SECOND,
        gaps=[(now - 5000 * SECOND, now - 4970 * SECOND, ["agent"], "handover")],
    )
    recording(
        state, made["deleted"], "kyc", opened_us=now - 90_000 * SECOND, status="deleted", gaps=[]
    )
    state.event(
        "recording.deleted",
        CALL,
        now - 50 * SECOND,
        recording=made["deleted"],
        reason="caller asked for erasure, case 1188",
        actor="key:desk:anna",
    )
    recording(
        state, made["recording"], "kyc", opened_us=now - 20 * SECOND, status="recording", gaps=[]
    )
    return made


def many_recordings(state: MockState, number: int) -> None:
    """A page or two of recordings."""
    now = now_us()
    bots = ("kyc", "payments", "support", "survey")
    for n in range(number):
        opened = now - (number - n) * 431 * SECOND
        gaps = [
            (
                opened + (6 + 9 * g) * SECOND,
                opened + (10 + 9 * g + n % 3) * SECOND,
                ["fault"] if (n + g) % 11 == 5 else ["turn"],
                "ask_otp",
            )
            for g in range(n % 4)
        ]
        one = recording(
            state,
            f"01K0LIST{n:0>18}",
            bots[n % 4],
            opened_us=opened,
            gaps=gaps,
            call=f"01K0CALLLIST{n:0>14}",
        )
        one |= {
            "closed": instant(opened + (40 + 7 * (n % 9)) * SECOND),
            "duration_s": 40.0 + 7 * (n % 9),
            "file": f"2026-11-21/{one['id']}.wav",
            "legal_hold": "case 77/26" if n % 13 == 4 else None,
            "status": "failed" if n % 17 == 9 else "done",
        }
