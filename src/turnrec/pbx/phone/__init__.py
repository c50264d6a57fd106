"""The test phone: owns SIP and RTP for tests and the demo; never runs in production.

It exists because no packaged softphone can change what it says between two 20 ms packets:

    async with Phone() as phone:
        call = await phone.dial("sip:1000@127.0.0.1:5060", MediaOptions(source=Tone(500)))
        await call.wait_heard(1000)     # the bot's question began
        call.source = Tone(1300)        # and this is the answer, from the next packet on
        await call.hang_up()
"""

from turnrec.pbx.g711 import Codec
from turnrec.pbx.phone.auth import Credentials
from turnrec.pbx.phone.call import Call, CallEnd, CallState
from turnrec.pbx.phone.clock import MediaClock
from turnrec.pbx.phone.ear import Chunk, Ear
from turnrec.pbx.phone.endpoint import SipTimers
from turnrec.pbx.phone.errors import (
    CallEndedError,
    CallRejectedError,
    CallTimeoutError,
    MalformedError,
    MediaNotAgreedError,
    PhoneError,
    RegistrationFailedError,
)
from turnrec.pbx.phone.incoming import IncomingCall
from turnrec.pbx.phone.media import MediaOptions, Network
from turnrec.pbx.phone.outgoing import OutgoingCall
from turnrec.pbx.phone.phone import Phone
from turnrec.pbx.phone.sdp import Direction
from turnrec.pbx.phone.sources import (
    TONE_AMPLITUDE,
    Chord,
    Clip,
    Silence,
    Source,
    Stopped,
    Tone,
)

__all__ = [
    "TONE_AMPLITUDE",
    "Call",
    "CallEnd",
    "CallEndedError",
    "CallRejectedError",
    "CallState",
    "CallTimeoutError",
    "Chord",
    "Chunk",
    "Clip",
    "Codec",
    "Credentials",
    "Direction",
    "Ear",
    "IncomingCall",
    "MalformedError",
    "MediaClock",
    "MediaNotAgreedError",
    "MediaOptions",
    "Network",
    "OutgoingCall",
    "Phone",
    "PhoneError",
    "RegistrationFailedError",
    "Silence",
    "SipTimers",
    "Source",
    "Stopped",
    "Tone",
]
