"""How to reach the Asterisk manager and how long to wait for it; it never shows the secret."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from turnrec.asterisk.ami_errors import AmiError, AmiLoginError


@dataclass(frozen=True, kw_only=True)
class AmiSettings:
    """The settings of one AmiClient. All times are in milliseconds.

    host, port, username, secret
        As in manager.conf. `write = system,call` is needed, `read = system,call,agent,user`
        serves the events that turnrec looks at.
    action_timeout_ms
        How long an action may stay unanswered before AmiTimeoutError.
    connect_timeout_ms
        For TCP, greeting and login together. Asterisk answers a wrong password only after a
        second (manager.c), so not less than 1500.
    fully_booted_timeout_ms
        How long a new session waits for FullyBooted, which never comes without
        `read = system`; then it is ready all the same.
    ping_interval_ms, ping_timeout_ms
        A ping goes out after each interval; unanswered for its time, the connection is dropped.
    reconnect_min_ms, reconnect_max_ms
        The back-off between attempts: doubled each time, with jitter. After however long an
        outage, turnrec is whole again within 5 s of its end.
    login_retry_ms
        The wait after a refused login, in place of the back-off.
    event_classes
        What Asterisk is asked to send (Login's `Events`). Classes `dtmf` and `dialplan` carry
        the digits that callers key and are best left out.
    max_message_bytes
        A message that grows beyond it without an end drops the connection.
    max_queued_events
        Per subscription; when its handler is that far behind, new events are dropped, loudly.
    """

    host: str = "127.0.0.1"
    port: int = 5038
    username: str
    secret: str = field(repr=False)
    action_timeout_ms: int = 500
    connect_timeout_ms: int = 5_000
    fully_booted_timeout_ms: int = 1_000
    ping_interval_ms: int = 5_000
    ping_timeout_ms: int = 2_000
    reconnect_min_ms: int = 250
    reconnect_max_ms: int = 4_000
    login_retry_ms: int = 60_000
    event_classes: tuple[str, ...] = ("system", "call", "agent", "user")
    max_message_bytes: int = 4 * 1024 * 1024
    max_queued_events: int = 10_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int) and value <= 0:
                raise ValueError(f"{name} must be greater than 0, not {value}")
        for name in ("username", "secret"):
            if any(sign in getattr(self, name) for sign in "\r\n\0"):
                raise ValueError(f"{name} must not contain a line end or NUL")
        if self.reconnect_min_ms > self.reconnect_max_ms:
            raise ValueError("reconnect_min_ms must not be greater than reconnect_max_ms")


def retry_delay_ms(
    settings: AmiSettings, error: AmiError, failures: int, rng: random.Random
) -> int:
    """How long to wait before the next attempt, after `failures` attempts in a row have failed.

    Doubling spares an Asterisk that is starting, jitter keeps several clients from coming back
    in step. A refused login gets no better by asking again, and each try is a line in Asterisk's
    security log and perhaps in fail2ban's: it waits long from the first time on.
    """
    if isinstance(error, AmiLoginError):
        ceiling_ms = settings.login_retry_ms
    else:
        doublings = min(max(failures - 1, 0), 30)
        ceiling_ms = min(settings.reconnect_max_ms, settings.reconnect_min_ms * 2**doublings)
    return round(ceiling_ms * rng.uniform(0.5, 1.0))
