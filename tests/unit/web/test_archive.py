"""What the control socket answers about past recordings: who asked, for what, and how it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from turnrec.core.entry import JSON
from turnrec.core.errors import (
    InvalidTimeError,
    LedgerUnavailableError,
    NotAllowedError,
    TurnrecError,
    UnknownRecordingError,
)
from turnrec.recordings.sound import SoundChangedError
from turnrec.web.access import Access
from turnrec.web.app import create_app, guarded
from turnrec.web.archive import archive_routes
from turnrec.web.gate import Gate, LocalAdmission


class Asked:
    """An archive that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.error: TurnrecError | None = None

    async def hold_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> Mapping[str, JSON]:
        return self._answer("hold", recording_id, reason, access.actor(person))

    async def release_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> Mapping[str, JSON]:
        return self._answer("release", recording_id, reason, access.actor(person))

    async def delete_recording(
        self, access: Access, recording_id: str, reason: str, person: str | None
    ) -> Mapping[str, JSON]:
        return self._answer("delete", recording_id, reason, access.actor(person))

    async def redact_recording(
        self,
        access: Access,
        recording_id: str,
        from_: str,
        to: str,
        reason: str,
        person: str | None,
        *,
        delete_original: bool,
    ) -> Mapping[str, JSON]:
        actor = access.actor(person)
        return self._answer("redact", recording_id, from_, to, reason, actor, delete_original)

    def _answer(self, *asked: object) -> Mapping[str, JSON]:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return {"id": "R1"}


async def post(app: Gate, url: str, body: dict[str, object]) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://turnrec") as client:
        return await client.post(f"/v1/recordings/{url}", json=body)


WHY = {"reason": "asked for", "actor": "anna"}


@pytest.mark.parametrize("what", ["hold", "release", "delete"])
async def test_each_wish_names_who_has_it_and_why(what: str) -> None:
    archive = Asked()
    answer = await post(
        guarded(create_app([archive_routes(archive)]), LocalAdmission()), f"R1/{what}", dict(WHY)
    )
    assert answer.status_code == 200
    assert archive.asked == [(what, "R1", "asked for", "cli:local:anna")]


async def test_a_redaction_keeps_the_original_unless_told_otherwise() -> None:
    archive = Asked()
    app = guarded(create_app([archive_routes(archive)]), LocalAdmission())
    stretch = {**WHY, "from": "1", "to": "2"}
    await post(app, "R1/redact", {**stretch})
    await post(app, "R1/redact", {**stretch, "delete_original": True})
    assert [asked[-1] for asked in archive.asked] == [False, True]
    assert archive.asked[0][:6] == ("redact", "R1", "1", "2", "asked for", "cli:local:anna")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownRecordingError("R1"), 404),
        (NotAllowedError("held"), 403),
        (InvalidTimeError("no time"), 422),
        (SoundChangedError(Path("R1.wav"), "the ledger"), 409),
        (LedgerUnavailableError("behind"), 503),
    ],
)
async def test_each_refusal_has_its_status_and_its_id(error: TurnrecError, status: int) -> None:
    archive = Asked()
    archive.error = error
    answer = await post(
        guarded(create_app([archive_routes(archive)]), LocalAdmission()), "R1/delete", dict(WHY)
    )
    assert answer.status_code == status
    assert answer.json()["id"] == error.id
    assert answer.json()["detail"] == str(error)


@pytest.mark.parametrize(
    "body", [{}, {"reason": "x", "actor": "an na"}, {"reason": 1, "actor": "anna"}]
)
async def test_a_wish_without_its_words_reaches_nobody(body: dict[str, object]) -> None:
    archive = Asked()
    app = guarded(create_app([archive_routes(archive)]), LocalAdmission())
    assert (await asyncio.gather(post(app, "R1/delete", body)))[0].status_code == 422
    assert archive.asked == []
