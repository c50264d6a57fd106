"""A SIP dialog: owns tags, sequence numbers and the fields of its requests; never sends."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from turnrec.pbx.phone.sip import (
    Fields,
    Request,
    Response,
    new_branch,
    new_tag,
    parameter,
    uri_of,
)
from turnrec.pbx.phone.udp import Address

ALLOWED = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER"


@dataclass(slots=True)
class Dialog:
    """One end of a call. Record-Route is ignored: a test phone talks to its PBX directly."""

    local_uri: str
    remote_uri: str
    target_uri: str
    """Where requests to the other end are addressed: its Contact, once known."""
    peer: Address
    """Where they are sent."""
    own: Address
    """The phone's own address, for Via and Contact."""
    call_id: str = field(default_factory=lambda: secrets.token_hex(10))
    local_tag: str = field(default_factory=new_tag)
    remote_tag: str = ""
    local_name: str = ""
    cseq: int = 0

    @classmethod
    def from_invite(cls, invite: Request, peer: Address, own: Address) -> Dialog:
        """The called end's dialog."""
        contacts = invite.all("Contact")
        caller = uri_of(invite.get("From"))
        return cls(
            local_uri=uri_of(invite.get("To")),
            remote_uri=caller,
            target_uri=uri_of(contacts[0]) if contacts else caller,
            peer=peer,
            own=own,
            call_id=invite.call_id,
            remote_tag=parameter(invite.get("From"), "tag"),
        )

    @property
    def contact(self) -> Fields:
        """This end's Contact and what it can do."""
        user = self.local_uri.removeprefix("sip:").partition("@")[0]
        return (
            ("Contact", f"<sip:{user}@{self.own[0]}:{self.own[1]}>"),
            ("Allow", ALLOWED),
        )

    def learn(self, response: Response) -> None:
        """Take the other end's tag and contact from its answer."""
        self.remote_tag = parameter(response.get("To"), "tag") or self.remote_tag
        for contact in response.all("Contact")[:1]:
            self.target_uri = uri_of(contact)

    def request(self, method: str, fields: Fields = (), body: bytes = b"") -> Request:
        """The next request of this end."""
        self.cseq += 1
        return self._build(method, self.cseq, fields, body)

    def ack(self, invite: Request) -> Request:
        """The ACK of a 2xx: a transaction of its own, with the INVITE's number."""
        return self._build("ACK", invite.cseq[0], (), b"")

    def _build(self, method: str, number: int, fields: Fields, body: bytes) -> Request:
        host, port = self.own
        name = f'"{self.local_name}" ' if self.local_name else ""
        to_tag = f";tag={self.remote_tag}" if self.remote_tag else ""
        common = (
            ("Via", f"SIP/2.0/UDP {host}:{port};rport;branch={new_branch()}"),
            ("Max-Forwards", "70"),
            ("From", f"{name}<{self.local_uri}>;tag={self.local_tag}"),
            ("To", f"<{self.remote_uri}>{to_tag}"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            ("User-Agent", "turnrec-test-phone"),
        )
        if body:
            fields = (*fields, ("Content-Type", "application/sdp"))
        return Request((*common, *fields), body, method, self.target_uri)
