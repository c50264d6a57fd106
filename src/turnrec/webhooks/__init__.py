"""Webhooks: events sent to whoever wants to be called, signed, and kept until they are taken."""

from turnrec.webhooks.endpoint import (
    Delivery,
    Endpoint,
    InvalidWebhookError,
    Patience,
    TooManyWebhooksError,
    UnknownDeliveryError,
    UnknownWebhookError,
    WebhookDisabledError,
)
from turnrec.webhooks.office import Webhooks
from turnrec.webhooks.store import Store

__all__ = [
    "Delivery",
    "Endpoint",
    "InvalidWebhookError",
    "Patience",
    "Store",
    "TooManyWebhooksError",
    "UnknownDeliveryError",
    "UnknownWebhookError",
    "WebhookDisabledError",
    "Webhooks",
]
