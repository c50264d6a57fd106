"""What a webhook is: where events go, which, and how they are signed. No I/O.

Signatures are those of the Standard Webhooks convention (https://www.standardwebhooks.com): over
`{webhook-id}.{webhook-timestamp}.{body}` by HMAC-SHA256 with the key in `whsec_...`.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from turnrec.core.errors import RefusedError
from turnrec.core.event import Event, EventType

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
_SECRET_BYTES: Final = 32
_MAX_URL: Final = 2000
_PORTS: Final = 1 << 16
MAX_ENDPOINTS: Final = 50


class InvalidWebhookError(RefusedError):
    """A webhook's address that can't be one; the message says why and repeats nothing of it."""

    id = "invalid-webhook"


class UnknownWebhookError(RefusedError):
    """There is no webhook with this id."""

    id = "unknown-webhook"

    def __init__(self) -> None:
        super().__init__("there is no such webhook")


class UnknownDeliveryError(RefusedError):
    """This webhook has no dead letter with this id."""

    id = "unknown-delivery"

    def __init__(self) -> None:
        super().__init__("this webhook has no such dead letter")


class WebhookDisabledError(RefusedError):
    """The receiver said that it is gone: nothing is sent there any more."""

    id = "webhook-disabled"

    def __init__(self) -> None:
        super().__init__("this webhook is disabled: its receiver said that it is gone")


class TooManyWebhooksError(RefusedError):
    """More webhooks than there may be."""

    id = "too-many-webhooks"

    def __init__(self) -> None:
        super().__init__(f"there are at most {MAX_ENDPOINTS} webhooks")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One webhook."""

    id: str
    url: str
    secret: str = field(repr=False)
    types: frozenset[EventType] | None
    """What it hears; None: everything."""
    bots: frozenset[str] | None
    """The bots whose events it hears, and no alarm of no bot's; None: all."""
    created_us: int
    cursor: int
    """The ledger's entry up to which its events have been taken over."""
    disabled: str | None = None
    """Why nothing is sent to it any more."""

    def wants(self, event: Event) -> bool:
        """Whether it hears this event."""
        is_type = self.types is None or event.type in self.types
        return is_type and (self.bots is None or event.bot in self.bots)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook."""

    id: int
    endpoint_id: str
    seq: int
    type: str
    message_id: str
    """The `webhook-id`: the same with each attempt."""
    body: str
    attempts: int
    """How often it was tried in vain."""
    next_us: int
    """When it is tried next, while it is no dead letter."""
    last_status: int | None = None
    """The last answer's HTTP status."""
    last_error: str | None = None
    """Why there was no answer, in one word."""
    dead_us: int | None = None
    """When it was given up."""


class Verdict(enum.Enum):
    """What an attempt came to."""

    TAKEN = enum.auto()
    FAILED = enum.auto()
    GONE = enum.auto()
    """The receiver wants no more of any event: 410."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one try."""

    verdict: Verdict
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a receiver is tried."""

    retry_after_s: tuple[float, ...] = (5, 30, 120, 600, 1800, 7200, 21600, 86400)
    """The pause after each failed attempt; after as many retries an event is a dead letter."""
    jitter: float = 0.2
    """By up to which part of itself a pause is longer: receivers are not met by all at once."""
    timeout_s: float = 15.0
    """For one attempt, from connecting to the answer's headers."""
    at_once: int = 8
    """How many attempts at one receiver run side by side; one, after it has failed."""
    window: int = 1000
    """How many of one webhook's events wait here; further ones stay in the ledger till then."""
    dead_letters: int = 10_000
    """How many are kept of one webhook; the oldest go first."""
    alarm_every_s: float = 3600.0
    """The least time between two alarms about one webhook."""

    def pause_s(self, attempts: int, chance: float) -> float | None:
        """The pause after so many attempts in vain; None: there is no next one.

        Args:
            attempts: at least one.
            chance: between 0 and 1.
        """
        if attempts > len(self.retry_after_s):
            return None
        return self.retry_after_s[attempts - 1] * (1 + self.jitter * chance)


def check_url(text: str) -> str:
    """Return the address as it is stored.

    Raises:
        InvalidWebhookError: it is no HTTP address, or holds a name and password.
    """
    import httpx  # for whoever makes a webhook; a start has no need of it

    if len(text) > _MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidWebhookError("a webhook's address is a URL in ASCII, without blanks")
    try:
        url = httpx.URL(text)
        port = url.port
    except (httpx.InvalidURL, ValueError):
        raise InvalidWebhookError("a webhook's address is a URL") from None
    is_port = port is None or 0 < port < _PORTS
    if url.scheme not in ("http", "https") or not url.host or not is_port:
        raise InvalidWebhookError("a webhook's address begins with http:// or https:// and a host")
    if url.userinfo:
        raise InvalidWebhookError("no name or password in a webhook's address: its secret signs")
    if url.fragment:
        raise InvalidWebhookError("no #fragment in a webhook's address: it would never be sent")
    return str(url)


def new_secret() -> str:
    """Make a secret."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def signed(secret: str, message_id: str, at_s: int, body: bytes) -> Mapping[str, str]:
    """Return the headers that sign a message."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    content = f"{message_id}.{at_s}.".encode("ascii") + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": "v1," + base64.b64encode(digest).decode("ascii"),
    }


def message_id(endpoint_id: str, key: str) -> str:
    """Name an event to one webhook: the same however often it is sent, and like no other."""
    return f"msg_{endpoint_id}_{key[:16]}"
