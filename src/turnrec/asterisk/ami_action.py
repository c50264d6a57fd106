"""One AMI request, from fields to bytes to its whole answer; it never sends itself.

panoramisk writes whatever it is given, takes any message with its ActionID as its answer and
guesses whether a list will follow (traps 1, 9 and 10; see ami_session.py).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

from panoramisk.actions import Action

from turnrec.asterisk.ami_errors import AmiInvalidFieldError
from turnrec.asterisk.ami_message import AmiEvent, AmiResponse

FieldValue = str | Sequence[str]

_FIELD_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
_OURS = frozenset({"action", "actionid"})
# Asterisk reads lines into `char inbuf[1025]` and throws a longer one away (manager.c,
# get_input); the action would then run without that field.
_MAX_LINE_BYTES = 1024


class AmiAction(Action):  # type: ignore[misc]  # panoramisk has no types
    """One request and, once it has come, its answer."""

    future: asyncio.Future[AmiResponse]

    def __init__(
        self, name: str, fields: Mapping[str, FieldValue], *, complete_event: str | None = None
    ) -> None:
        self.name = name
        self.complete_event = complete_event
        self.events: list[AmiEvent] = []
        self._response: AmiResponse | None = None
        self._list_ended = False
        super().__init__({"Action": name}, as_list=complete_event is not None)
        lines = [_line(name, "Action", name), _line(name, "ActionID", self.id)]
        for field, values in fields.items():
            if field.lower() in _OURS:
                raise AmiInvalidFieldError(f"{field} is set by turnrec itself", action=name)
            several = (values,) if isinstance(values, str) else values
            lines += [_line(name, field, value) for value in several]
        self.wire = b"".join([*lines, b"\r\n"])

    def add_message(self, message: AmiResponse | AmiEvent) -> bool:
        """Takes a message with our ActionID; True when the answer is complete.

        Only a response answers. An event with our ActionID (UserEvent and Originate give theirs
        to one) counts for a list alone, up to the event that ends that list.
        """
        if isinstance(message, AmiResponse):
            self._response = message
        elif self.complete_event is None:
            return False
        elif message.name == self.complete_event:
            self._list_ended = True
        else:
            self.events.append(message)
        response = self._response
        if response is None or (self.complete_event and response.success and not self._list_ended):
            return False
        if not self.future.done():
            self.future.set_result(response)
        return True

    @property
    def is_listing(self) -> bool:
        """Whether its list has begun and not ended: Asterisk sends nothing else in between."""
        response = self._response
        return self.complete_event is not None and response is not None and response.success

    def distrust_last(self) -> None:
        """Keep of the last row what no caller can have written: something was forged in it."""
        if self.events:
            self.events[-1] = self.events[-1].head

    def __repr__(self) -> str:
        return f"<{self.name} {self.id}>"  # panoramisk prints every field, the secret too

    __str__ = __repr__


def _line(action: str, field: str, value: str) -> bytes:
    """One line of an action, or AmiInvalidFieldError; the value is in no message."""
    if not _FIELD_NAME.fullmatch(field):
        raise AmiInvalidFieldError(f"{action[:40]!r} has an invalid field name", action=action)
    if any(sign in value for sign in "\r\n\0"):
        # Asterisk ends a line at LF even without CR, and a value at NUL (manager.c, get_input).
        raise AmiInvalidFieldError(f"{field} contains a line end or NUL", action=action)
    try:
        line = f"{field}: {value}\r\n".encode()
    except UnicodeEncodeError:
        raise AmiInvalidFieldError(f"{field} is not valid text", action=action) from None
    if len(line) > _MAX_LINE_BYTES:
        raise AmiInvalidFieldError(
            f"{field} is too long: Asterisk reads {_MAX_LINE_BYTES} bytes a line", action=action
        )
    return line
