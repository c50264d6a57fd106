"""Digest authentication (RFC 7616): owns the answer to a challenge; never stores a password."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from turnrec.pbx.phone.errors import PhoneError
from turnrec.pbx.phone.sip import Fields, Response

_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the phone is to its PBX."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


def authorisation(challenge: Response, credentials: Credentials, method: str, uri: str) -> Fields:
    """The header field that answers a 401 or 407."""
    asked, answered = ("WWW-Authenticate", "Authorization")
    if challenge.status == 407:
        asked, answered = ("Proxy-Authenticate", "Proxy-Authorization")
    for value in challenge.all(asked):
        asks = dict(_parameters(value))
        algorithm = asks.get("algorithm", "MD5").upper()
        if value.lower().startswith("digest ") and algorithm in _ALGORITHMS:
            return ((answered, _digest(asks, algorithm, credentials, method, uri)),)
    raise PhoneError("the PBX offers no digest that this phone knows")


def _digest(
    asks: dict[str, str], algorithm: str, credentials: Credentials, method: str, uri: str
) -> str:
    def hashed(*parts: str) -> str:
        # SIP's MD5 proves nothing to us; it is what the test PBX asks for.
        joined = ":".join(parts).encode()
        return hashlib.new(_ALGORITHMS[algorithm], joined, usedforsecurity=False).hexdigest()

    realm, nonce = asks.get("realm", ""), asks.get("nonce", "")
    secret = hashed(credentials.username, realm, credentials.password)
    request = hashed(method, uri)
    fields = [
        f'username="{credentials.username}"',
        f'realm="{realm}"',
        f'nonce="{nonce}"',
        f'uri="{uri}"',
        f"algorithm={algorithm}",
    ]
    if "auth" in asks.get("qop", "").replace(" ", "").split(","):
        count, own_nonce = "00000001", secrets.token_hex(8)
        answer = hashed(secret, nonce, count, own_nonce, "auth", request)
        fields += ["qop=auth", f"nc={count}", f'cnonce="{own_nonce}"']
    else:
        answer = hashed(secret, nonce, request)
    fields.append(f'response="{answer}"')
    if "opaque" in asks:
        fields.append(f'opaque="{asks["opaque"]}"')
    return f"Digest {', '.join(fields)}"


def _parameters(value: str) -> list[tuple[str, str]]:
    pairs = re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', value)
    return [(name.lower(), quoted or bare) for name, quoted, bare in pairs]
