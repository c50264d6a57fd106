"""The routes of webhooks: made, listed, deleted, and their dead letters. For admins alone.

A secret is answered once, to whoever made the webhook, and never again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol

from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from turnrec.core.event import EventType
from turnrec.web.access import Access
from turnrec.web.asking import Admin
from turnrec.web.calls import Limit, Repeat
from turnrec.web.events import TYPE_WORDS, read_types

WebhookId = Annotated[str, InPath(pattern=r"^[A-Za-z0-9]{1,64}$")]
DeliveryId = Annotated[int, InPath(ge=1, le=2**53)]
_Place = Annotated[
    str | None, Query(pattern=r"^[0-9]{1,15}$", description="`next` of the page before")
]
_Type = Annotated[str, Field(pattern=f"^({TYPE_WORDS})$")]
_Bot = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
_MOST: Final = 64


class WebhookBody(BaseModel):
    """A webhook that is wanted."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: str = Field(min_length=1, max_length=2000, description="http(s), without a password")
    types: list[_Type] | None = Field(
        default=None,
        min_length=1,
        max_length=_MOST,
        description="only these types; `recording.*` is all of recordings; null: all",
    )
    bots: list[_Bot] | None = Field(
        default=None, min_length=1, max_length=_MOST, description="only these bots; null: all"
    )


class WebhookModel(BaseModel):
    """A webhook."""

    id: str
    url: str = Field(description="without what follows a `?`, which may be a secret")
    types: list[str] | None
    bots: list[str] | None
    created: str
    disabled: str | None = Field(description="why nothing is sent any more: `gone`")
    waiting: int = Field(description="how many events wait to be sent")
    dead_letters: int = Field(description="how many events were given up")


class NewWebhookModel(WebhookModel):
    """A webhook that was made."""

    secret: str = Field(description="what its receiver verifies signatures with; not shown again")


class WebhooksPage(BaseModel):
    """The webhooks, the oldest first."""

    items: list[WebhookModel]
    next: str | None


class DeliveryModel(BaseModel):
    """One event on its way to one webhook."""

    id: int
    message: str = Field(description="the `webhook-id`, the same with every attempt")
    type: str
    seq: int
    attempts: int = Field(description="how often it was tried in vain")
    status: int | None = Field(description="the last answer's HTTP status")
    error: str | None = Field(description="why there was no answer, in one word")
    given_up: str | None = Field(description="when; null: it waits")


class DeliveriesPage(BaseModel):
    """Dead letters, the newest first."""

    items: list[DeliveryModel]
    next: str | None


class Hook(Protocol):
    """A webhook, as its routes see it."""

    @property
    def id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def types(self) -> frozenset[EventType] | None: ...
    @property
    def bots(self) -> frozenset[str] | None: ...
    @property
    def created_us(self) -> int: ...
    @property
    def disabled(self) -> str | None: ...


class Letter(Protocol):
    """A delivery, as its routes see it."""

    @property
    def id(self) -> int: ...
    @property
    def message_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def attempts(self) -> int: ...
    @property
    def last_status(self) -> int | None: ...
    @property
    def last_error(self) -> str | None: ...
    @property
    def dead_us(self) -> int | None: ...


class WebhookBackend(Protocol):
    """What the routes ask. Every method may raise `TurnrecError`."""

    async def webhooks(self, access: Access) -> Sequence[tuple[Hook, int, int]]:
        """The webhooks that are theirs to see, each with how many events wait and are dead."""

    async def webhook(self, access: Access, webhook_id: str) -> tuple[Hook, int, int]:
        """One of them."""

    async def create_webhook(
        self,
        access: Access,
        url: str,
        types: Collection[EventType] | None,
        bots: Collection[str] | None,
    ) -> Hook:
        """Make one."""

    async def delete_webhook(self, access: Access, webhook_id: str) -> None:
        """Delete one."""

    async def dead_letters(
        self, access: Access, webhook_id: str, before: int | None, limit: int
    ) -> Sequence[Letter]:
        """One's dead letters, the newest first."""

    async def retry(self, access: Access, webhook_id: str, delivery_id: int) -> Letter:
        """Send a dead letter anew."""


def webhook_routes(backend: WebhookBackend) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

    @router.get("")
    async def webhooks(access: Admin) -> WebhooksPage:
        """All webhooks."""
        found = await backend.webhooks(access)
        return WebhooksPage(items=[_shown(*one) for one in found], next=None)

    @router.post("", status_code=201)
    async def create(access: Admin, body: WebhookBody, _repeat: Repeat = None) -> NewWebhookModel:
        """Make a webhook. Its answer holds the secret, which is not shown again."""
        types = None if body.types is None else read_types(",".join(body.types))
        made = await backend.create_webhook(access, body.url, types, body.bots)
        return NewWebhookModel(**_shown(made, 0, 0).model_dump(), secret=made.secret)

    @router.get("/{webhook}")
    async def webhook(access: Admin, webhook: WebhookId) -> WebhookModel:
        """One webhook."""
        return _shown(*await backend.webhook(access, webhook))

    @router.delete("/{webhook}", status_code=204, response_class=Response)
    async def delete(access: Admin, webhook: WebhookId) -> None:
        """Delete a webhook, with everything that waits for it."""
        await backend.delete_webhook(access, webhook)

    @router.get("/{webhook}/dead-letters")
    async def dead_letters(
        access: Admin, webhook: WebhookId, limit: Limit = 50, cursor: _Place = None
    ) -> DeliveriesPage:
        """What could not be delivered."""
        before = None if cursor is None else int(cursor)
        found = await backend.dead_letters(access, webhook, before, limit + 1)
        following = str(found[limit - 1].id) if len(found) > limit else None
        return DeliveriesPage(items=[_letter(one) for one in found[:limit]], next=following)

    @router.post("/{webhook}/dead-letters/{delivery}/retry")
    async def retry(
        access: Admin, webhook: WebhookId, delivery: DeliveryId, _repeat: Repeat = None
    ) -> DeliveryModel:
        """Send a dead letter anew, with as many tries as at first."""
        return _letter(await backend.retry(access, webhook, delivery))

    return router


def _shown(hook: Hook, waiting: int, dead: int) -> WebhookModel:
    return WebhookModel(
        id=hook.id,
        url=hook.url.partition("?")[0] + ("?..." if "?" in hook.url else ""),
        types=None if hook.types is None else sorted(hook.types),
        bots=None if hook.bots is None else sorted(hook.bots),
        created=_instant(hook.created_us),
        disabled=hook.disabled,
        waiting=waiting,
        dead_letters=dead,
    )


def _letter(one: Letter) -> DeliveryModel:
    return DeliveryModel(
        id=one.id,
        message=one.message_id,
        type=one.type,
        seq=one.seq,
        attempts=one.attempts,
        status=one.last_status,
        error=one.last_error,
        given_up=None if one.dead_us is None else _instant(one.dead_us),
    )


def _instant(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
