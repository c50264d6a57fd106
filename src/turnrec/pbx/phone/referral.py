"""A transfer by REFER: owns its target's spelling and what is said of it; never sends anything."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote

from turnrec.pbx.phone.dialog import Dialog
from turnrec.pbx.phone.sip import Request

_SIPFRAG = re.compile(rb"SIP/2\.0 ([1-6]\d\d)")


@dataclass(slots=True)
class Referral:
    """What the other side has said of one transfer, NOTIFY by NOTIFY (RFC 3515 2.4.5)."""

    statuses: list[int] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether a final status came."""
        return bool(self.statuses) and self.statuses[-1] >= 200

    @property
    def has_succeeded(self) -> bool:
        """Whether that was a good one."""
        return bool(self.statuses) and 200 <= self.statuses[-1] < 300

    def receive(self, notify: Request) -> None:
        """Take in a NOTIFY; one that tells of something else is passed over."""
        found = _SIPFRAG.match(notify.body)
        if found:
            self.statuses.append(int(found[1]))


def refer_to_call(dialog: Dialog) -> str:
    """A Refer-To that names a call by its dialog, with the tags as its other end sees them."""
    replaces = f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"
    return f"<{dialog.target_uri}?Replaces={quote(replaces, safe='')}>"
