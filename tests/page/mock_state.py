"""What the mock API tells of: made-up calls, recordings and events, and how actions change them.

It follows the recorder's table only as far as the page can see it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

JSON = dict[str, Any]
EPOCH_US = int(datetime.now(UTC).timestamp() * 1_000_000)


def instant(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")


def now_us() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)


class RefusalError(Exception):
    """An action that is refused."""

    def __init__(self, status: int, refusal_id: str, sentence: str) -> None:
        self.status, self.id, self.sentence = status, refusal_id, sentence
        super().__init__(sentence)


@dataclass
class MockState:
    """All that the mock knows. Tests change it and read it."""

    calls: dict[str, JSON] = field(default_factory=dict)
    recordings: dict[str, JSON] = field(default_factory=dict)
    events: list[JSON] = field(default_factory=list)
    keys: dict[str, JSON] = field(default_factory=dict)
    sounds: dict[str, bytes] = field(default_factory=dict)
    transcripts: dict[str, list[JSON]] = field(default_factory=dict)
    verifications: dict[str, JSON] = field(default_factory=dict)
    asked: list[JSON] = field(default_factory=list)
    """The bodies of all POSTs, with `path` and `key` added."""
    confirm: asyncio.Event = field(default_factory=asyncio.Event)
    """Actions wait for it, as for Asterisk."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.confirm.set()

    def add_call(self, call_id: str, bot: str, **given: Any) -> JSON:
        """A live call."""
        at = given.pop("at_us", now_us())
        call: JSON = {
            "id": call_id,
            "uniqueid": given.pop("uniqueid", f"{at // 1_000_000}.{len(self.calls) + 17}"),
            "external_id": None,
            "channel": f"PJSIP/trunk-{len(self.calls) + 0x1A0:08x}",
            "bot": bot,
            "started": instant(at),
            "ended": None,
            "state": "recording",
            "holds": [],
            "node": None,
            "turn": None,
            "recording": None,
            "since": instant(at),
            "company": [],
            "unconfirmed_monitors": 0,
            **given,
        }
        self.calls[call_id] = _with_buttons(call)
        self.tell()
        return call

    def change(self, call_id: str, **given: Any) -> JSON:
        """Something about a call is otherwise."""
        call = self.calls[call_id]
        if {"state", "holds"} & given.keys():
            given.setdefault("since", instant(now_us()))
        call.update(given)
        _with_buttons(call)
        self.tell()
        return call

    def end(self, call_id: str) -> None:
        """The caller hangs up."""
        self.change(call_id, state="ended", holds=[], ended=instant(now_us()))
        self.event("call.ended", call_id, state="ended", holds=[])

    def event(
        self,
        kind: str,
        call_id: str,
        at_us: int | None = None,
        *,
        recording: str | None = None,
        **data: Any,
    ) -> JSON:
        """Enter an event and tell whoever listens."""
        call = self.calls.get(call_id, {})
        event = {
            "type": kind,
            "seq": len(self.events) + 1,
            "timestamp": instant(now_us() if at_us is None else at_us),
            "call": call_id,
            "recording": recording or call.get("recording"),
            "bot": call.get("bot"),
            "data": {"uniqueid": call.get("uniqueid"), **data},
        }
        self.events.append(event)
        self.tell()
        return event

    def tell(self) -> None:
        """Wake the streams."""
        self.changed.set()
        self.changed = asyncio.Event()

    def act(self, call_id: str, action: str, *, new: bool) -> JSON | None:
        """An operator's action; returns a notice.

        Raises:
            RefusalError: it is refused.
        """
        call = self.calls.get(call_id)
        if call is None:
            raise RefusalError(404, "unknown-call", "no such call")
        refused = call["refused"].get(action)
        if refused and not new:
            raise RefusalError(409, refused["id"], refused["sentence"])
        holds = set(call["holds"])
        notice = None
        if action == "pause":
            holds.add("operator")
            self.change(call_id, state="paused", holds=sorted(holds))
            kind = "recording.paused"
        elif action == "resume":
            holds.discard("operator")
            if holds:
                notice = {"id": "held-by-another", "sentence": "cannot resume: paused by another"}
            self.change(call_id, state="paused" if holds else "recording", holds=sorted(holds))
            kind = "recording.paused" if holds else "recording.resumed"
        elif action == "start":
            self.change(call_id, state="recording", holds=[])
            kind = "recording.started"
        else:
            self.change(call_id, state="stopped")
            kind = "recording.stopped"
        self.event(
            kind,
            call_id,
            state=call["state"],
            holds=call["holds"],
            node=call["node"],
            source="operator",
            actor="key:desk",
            action=action,
        )
        return notice

    def live(self) -> list[JSON]:
        """The calls that live."""
        return [call for call in self.calls.values() if call["ended"] is None]


def _refusal(error_id: str, sentence: str) -> JSON:
    return {"id": error_id, "sentence": sentence}


def _with_buttons(call: JSON) -> JSON:
    """`allowed` and `refused`, as turnrec's table has them."""
    others = [hold for hold in call["holds"] if hold != "operator"]
    own = "operator" in call["holds"]
    state = call["state"]
    allowed: list[str] = []
    refused: JSON = {}
    if state == "recording":
        allowed = ["pause", "stop"]
    elif state == "paused":
        allowed = [*([] if own else ["pause"]), *(["resume"] if own else []), "stop"]
        refused["start"] = _refusal("already-recording", "cannot start: a recording is open")
        if not own and others:
            refused["resume"] = _refusal(
                "held-by-another", f"cannot resume: paused by somebody else ({', '.join(others)})"
            )
    elif state == "inactive":
        allowed = ["start"]
        refused = {
            one: _refusal("not-recording", "no open recording") for one in ("pause", "resume")
        }
    elif state == "stopped":
        refused = {
            one: _refusal("recording-stopped", "stopped for good")
            for one in ("start", "pause", "resume")
        }
    call["allowed"], call["refused"] = allowed, refused
    return call
