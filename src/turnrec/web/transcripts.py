"""The routes for bots' recognisers: utterances, halts, transcripts. It decides nothing of them.

No answer, log or error of these routes holds what was said: a body that can't be read is told
where it is wrong, never what it said there.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from pydantic import Field, StrictBool

from turnrec.core.call import Call
from turnrec.core.entry import JSON
from turnrec.core.errors import UnknownCallError
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript import (
    MAX_TEXT,
    MAX_WORD,
    MAX_WORDS,
    BadUtteranceError,
    Speaker,
    Utterance,
    Word,
    make_utterance,
)
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.recognisers import Notice
from turnrec.transcripts import Transcripts
from turnrec.web.access import Access
from turnrec.web.asking import BotKey, Reader, Watcher
from turnrec.web.bodies import Body, Whole
from turnrec.web.calls import CallName, Repeat
from turnrec.web.sse import EventStream

Export = Callable[
    [Access, str, TranscriptFormat, TranscriptTime, PauseBehavior | None],
    Awaitable[str],
]
"""Writes the transcript of a call or a recording, by name, where it is theirs to see."""

_MAX_AT_ONCE: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MEDIA_TYPES: Final = {TranscriptFormat.VTT: "text/vtt", TranscriptFormat.JSON: "application/json"}

Instant = Whole | Annotated[str, Field(max_length=40)]
RecogniserId = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@-]{1,64}$")]


class WordBody(Body):
    """One word and when it was said."""

    text: str = Field(min_length=1, max_length=MAX_WORD)
    begin: Instant
    end: Instant


class UtteranceBody(Body):
    """What somebody said. Times are UTC: microseconds since 1970, or ISO 8601 with an offset."""

    speaker: Speaker
    text: str | None = Field(default=None, max_length=MAX_TEXT)
    begin: Instant | None = None
    end: Instant | None = None
    final: StrictBool = True
    words: list[WordBody] = Field(default=[], max_length=MAX_WORDS)

    def to_utterance(self) -> Utterance:
        """Make one of it.

        Raises:
            BadUtteranceError: it can't be one.
        """
        words = [Word(one.text, _at_us(one.begin), _at_us(one.end)) for one in self.words]
        if (self.begin is None) != (self.end is None):
            raise BadUtteranceError("an utterance has begin and end, or neither")
        times = None
        if self.begin is not None and self.end is not None:
            times = _at_us(self.begin), _at_us(self.end)
        return make_utterance(self.speaker, self.text, times, words, is_final=self.final)


class UtterancesBody(Body):
    """Utterances about one call, and which recogniser they are from, if it has registered."""

    utterances: list[UtteranceBody] = Field(min_length=1, max_length=_MAX_AT_ONCE)
    recogniser: RecogniserId | None = None


class RecogniserBody(Body):
    """A recogniser that wants to be told, and maybe asked, when transcription halts."""

    name: Name
    must_acknowledge: StrictBool = False


class AcknowledgementBody(Body):
    """A recogniser no longer listens since this halt."""

    recogniser: RecogniserId
    halt: Whole


def transcript_routes(transcripts: Transcripts, export: Export) -> APIRouter:
    """The routes."""

    def find(access: Access, name: str) -> Call:
        call = transcripts.find(name)
        access.check_sees(call.bot.name, UnknownCallError(name[:64]))
        return call

    router = APIRouter(prefix="/v1", tags=["transcripts"])

    @router.post("/calls/{call}/utterances", response_model=None)
    async def post(
        access: BotKey, call: CallName, body: UtterancesBody, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Post what was said: kept, cut to what was recorded, or dropped."""
        del repeat
        find(access, call)
        utterances = [one.to_utterance() for one in body.utterances]
        taken = transcripts.post(call, utterances, body.recogniser)
        return {"kept": taken.kept, "cut": taken.cut, "dropped": taken.dropped}

    @router.get("/calls/{call}/transcription", response_model=None)
    async def now(access: Watcher, call: CallName) -> Mapping[str, JSON]:
        """What is being said now and not final yet."""
        return {
            "call": find(access, call).id,
            "partials": [
                {"speaker": one.speaker.value, "text": one.text, "begin_us": one.begin_us}
                for one in transcripts.partials(call)
            ],
        }

    @router.get("/calls/{call}/transcription/events", response_class=EventStream, status_code=200)
    async def events(
        access: BotKey,
        call: CallName,
        recogniser: Annotated[str | None, Query(max_length=64)] = None,
    ) -> EventStream:
        """Hear when transcription halts and resumes (server-sent events)."""
        found = find(access, call)
        notices = transcripts.recognisers.listen(found, recogniser)
        # A recogniser that isn't told of a halt goes on listening: its stream ends with the call.
        return EventStream(_frames(found, notices), longest_s=math.inf)

    @router.post("/calls/{call}/recognisers", response_model=None, status_code=201)
    async def register(
        access: BotKey, call: CallName, body: RecogniserBody, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Register a recogniser; one that must acknowledge is waited for before a paused turn."""
        del repeat
        found = find(access, call)
        recogniser, notice = transcripts.recognisers.register(
            found, body.name, must_acknowledge=body.must_acknowledge
        )
        return {"recogniser": recogniser, **_notice(found, notice)}

    @router.delete("/calls/{call}/recognisers/{recogniser}", response_model=None)
    async def unregister(
        access: BotKey, call: CallName, recogniser: Annotated[str, InPath(max_length=64)]
    ) -> Mapping[str, JSON]:
        """Take a recogniser away: it is waited for no more."""
        transcripts.recognisers.unregister(find(access, call), recogniser)
        return {}

    @router.post("/calls/{call}/acknowledgements", response_model=None)
    async def acknowledge(
        access: BotKey, call: CallName, body: AcknowledgementBody, repeat: Repeat = None
    ) -> Mapping[str, JSON]:
        """Acknowledge a halt: this recogniser listens no more."""
        del repeat
        transcripts.recognisers.acknowledge(find(access, call), body.recogniser, body.halt)
        return {}

    @router.get("/transcripts/{name}", response_model=None)
    async def transcript(
        access: Reader,
        name: Annotated[str, InPath(min_length=1, max_length=256)],
        form: Annotated[TranscriptFormat, Query(alias="format")] = TranscriptFormat.JSON,
        time: TranscriptTime = TranscriptTime.CALL,
        behavior: PauseBehavior | None = None,
    ) -> Response:
        """The transcript of a recording or a call, in call time or file time."""
        text = await export(access, name, form, time, behavior)
        return Response(text, media_type=_MEDIA_TYPES[form], headers={"Cache-Control": "no-store"})

    return router


async def _frames(call: Call, notices: AsyncIterator[Notice]) -> AsyncIterator[bytes]:
    async for notice in notices:
        name = "halted" if notice.halted else "resumed"
        data = json.dumps(_notice(call, notice))
        yield f"id: {notice.number}\nevent: {name}\ndata: {data}\n\n".encode()


def _notice(call: Call, notice: Notice) -> dict[str, JSON]:
    return {
        "call": call.id,
        "uniqueid": call.uniqueid,
        "event": "halted" if notice.halted else "resumed",
        "halt": notice.halt,
        "reason": notice.reason,
        "at_us": notice.at_us,
    }


def _at_us(value: int | str) -> int:
    if isinstance(value, int):
        return value
    try:
        # Without an offset the difference is a TypeError.
        at_us = (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError, OverflowError):
        raise BadUtteranceError(
            "a time is UTC: microseconds since 1970, or ISO 8601 with an offset"
        ) from None
    if at_us < 0:
        raise BadUtteranceError("a time before 1970")
    return at_us
