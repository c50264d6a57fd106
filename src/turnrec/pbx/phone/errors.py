"""The test phone's errors: owns their tree; never logs or decides anything.

PhoneError
+-- MalformedError           a datagram is no SIP, SDP or RTP
+-- MediaNotAgreedError      the two ends share no codec, or no digits
+-- CallRejectedError        the far end answered with a final status of 300 or more
+-- RegistrationFailedError  so did the registrar
+-- CallTimeoutError         what was waited for did not happen in time
+-- CallEndedError           the call was over before it could
"""

from __future__ import annotations


class PhoneError(Exception):
    """Anything that goes wrong with the test phone."""


class MalformedError(PhoneError):
    """A datagram, or a part of it, can't be read."""

    def __init__(self, what: str, data: bytes | str = b"") -> None:
        super().__init__(f"{what}: {data[:80]!r}" if data else what)


class MediaNotAgreedError(PhoneError):
    """Both ends speak, but not the same."""


class CallRejectedError(PhoneError):
    """The far end refused the call."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"call rejected: {status} {reason}")
        self.status = status
        self.reason = reason


class RegistrationFailedError(PhoneError):
    """The registrar refused the phone."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"registration failed: {status} {reason}")
        self.status = status
        self.reason = reason


class CallTimeoutError(PhoneError):
    """Nothing came within the time allowed."""

    def __init__(self, awaited: str, timeout_s: float) -> None:
        super().__init__(f"no {awaited} within {timeout_s:g} s")
        self.awaited = awaited
        self.timeout_s = timeout_s


class CallEndedError(PhoneError):
    """The call ended while, or before, something was awaited of it."""

    def __init__(self, awaited: str) -> None:
        super().__init__(f"the call ended: no {awaited} will come")
        self.awaited = awaited
