"""Every way in which AMI can fail a caller; it never carries a secret, a digit or a field's value.

    AmiError                      ami-error             a TurnrecError
    ├── AmiInvalidFieldError      ami-invalid-field     nothing was sent: a field could not travel
    ├── AmiNotConnectedError      ami-not-connected     nothing was sent: there is no session
    │   └── AmiLoginError         ami-login-refused     wrong user or secret, or an ACL
    ├── AmiRefusedError           ami-refused           Asterisk said no; `.response` has it all
    ├── AmiTimeoutError           ami-timeout           sent, no answer in time: OUTCOME UNKNOWN
    └── AmiConnectionLostError    ami-connection-lost   sent, then cut off: OUTCOME UNKNOWN

`outcome_unknown` is the question a recorder has to ask: when it is true Asterisk may have done
what was asked, may still do it, or may never have read it. Such an action is never sent again by
this client (a MixMonitor replayed minutes later records a stranger); its caller looks at the
channel, or stops what may run there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from turnrec.core.errors import TurnrecError

if TYPE_CHECKING:
    from turnrec.asterisk.ami_message import AmiResponse


class AmiError(TurnrecError):
    """Base of the tree above. `action` is the name of the AMI action, where there was one."""

    id: ClassVar[str] = "ami-error"
    outcome_unknown: ClassVar[bool] = False

    def __init__(self, message: str, *, action: str | None = None) -> None:
        super().__init__(message)
        self.action = action


class AmiInvalidFieldError(AmiError):
    """A name or a value that would break AMI's lines; refused before a byte is sent."""

    id = "ami-invalid-field"


class AmiNotConnectedError(AmiError):
    """No session is ready. The action was not sent and is not kept for later."""

    id = "ami-not-connected"


class AmiLoginError(AmiNotConnectedError):
    """Asterisk refused the login. Somebody has to mend manager.conf or the settings."""

    id = "ami-login-refused"


class AmiRefusedError(AmiError):
    """Asterisk read the action and answered `Response: Error`."""

    id = "ami-refused"

    def __init__(self, message: str, *, action: str, response: AmiResponse) -> None:
        super().__init__(message, action=action)
        self.response = response


class AmiTimeoutError(AmiError):
    """No (complete) answer within the time allowed. Whether Asterisk acted is not known."""

    id = "ami-timeout"
    outcome_unknown = True


class AmiConnectionLostError(AmiError):
    """The session broke. For an action in flight, whether Asterisk acted is not known."""

    id = "ami-connection-lost"
    outcome_unknown = True
