"""The bot of the matrix and the extensions around it, in the dialplan's words; it runs nothing."""

from __future__ import annotations

from collections.abc import Iterable

from tests.pbx.matrix.cast import Phase, Speaker, hz
from tests.pbx.matrix.states import Row
from tests.pbx.matrix.way import Way

# m-WAY-KNOWN-POLICY-ENTRY-PORT-PORT: the bot; the phones of the agent and of the second one
# listen on the ports. 9PORT: whoever listens there; afterwards a recorded caller is the bot's.
_BOT = """
[turnrec-tests](+)
exten => _m-.,1,Set(__ROW=${CUT(EXTEN,-,2-5)})
 same => n,Set(KNOWN=${CUT(EXTEN,-,3)})
 same => n,Set(__ENDPOINT=${IF($["${KNOWN}" = "classed"]?desk:tester)})
 same => n,Set(__AGENT=PJSIP/${ENDPOINT}/sip:agent@127.0.0.1:${CUT(EXTEN,-,6)})
 same => n,Set(__SECOND=PJSIP/${ENDPOINT}/sip:second@127.0.0.1:${CUT(EXTEN,-,7)})
 same => n,Set(__AGENTS_EXTENSION=9${CUT(EXTEN,-,6)})
 same => n,Set(__SECONDS_EXTENSION=9${CUT(EXTEN,-,7)})
 same => n,Set(__TRANSFER_CONTEXT=from-sip)
 same => n,Set(CHANNEL(tonezone)=tests)
 same => n,Answer()
 same => n,Gosub(turnrec-start,s,1(with_${CUT(EXTEN,-,4)},${ROW}))
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,AGI(${MARK}/mark?open:${CHANNEL}&${ROW})
 same => n,Playback(${SOUNDS}/botOPEN)
 same => n,AGI(${MARK}/mark?turning&${ROW})
 same => n,Gosub(turnrec-turn,s,1(${NODE_${CUT(EXTEN,-,5)}}))
 same => n,AGI(${MARK}/mark?entry&${ROW})
 same => n,Playback(${SOUNDS}/botENTRY)
 same => n,AGI(${MARK}/mark?leaving&${ROW})
 same => n,Set(ON_LEG=${IF($["${KNOWN}" = "leg"]?U(turnrec-agent))})
 same => n,Set(GOSUB=${IF($["${KNOWN}" = "leg"]?turnrec-agent)})
 same => n,GosubIf($["${KNOWN}" = "before"]?turnrec-agent-pre,s,1)
 same => n,AGI(${MARK}/mark?wait&${ROW})
 same => n,Goto(way-${CUT(EXTEN,-,2)},s,1)
exten => _9XXXXX,1,ExecIf($["${ENDPOINT}" = ""]?Set(ENDPOINT=tester))
 same => n,Dial(PJSIP/${ENDPOINT}/sip:on@127.0.0.1:${EXTEN:1},60,gtT)
 same => n,GotoIf($["${TURNREC_CALLER_UNIQUEID}" = "${UNIQUEID}"]?back,s,1)
 same => n,Hangup()
; Whoever waits there is fetched by somebody's program.
exten => _lobby-.,1,Answer()
 same => n,Wait(120)
exten => _room-.,1,Answer()
 same => n,ConfBridge(${EXTEN:5},default_bridge,host)
exten => _pick-.,1,Pickup(${EXTEN:5}@PICKUPMARK)
exten => _park-.,1,ParkedCall(default,${EXTEN:5})
; A queue where nobody answers.
exten => 800,1,Answer()
 same => n,Queue(nobody,,,,3)
 same => n,Hangup()

[parked-too-long]
exten => _[a-zA-Z0-9_].,1,Goto(back,s,1)
exten => s,1,Goto(back,s,1)

[back]
exten => s,1,StopPlayTones()
 same => n,AGI(${MARK}/mark?back&${ROW})
 same => n,Gosub(turnrec-turn,s,1(open))
 same => n,AGI(${MARK}/mark?survey&${ROW})
 same => n,Playback(${SOUNDS}/botBACK)
 same => n,AGI(${MARK}/mark?end&${ROW})
 same => n,Hangup()
"""


def dialplan(ways: Iterable[Way]) -> str:
    """The whole dialplan of these ways."""
    text = _BOT
    for phase in (Phase.OPEN, Phase.ENTRY, Phase.BACK):
        text = text.replace(f"bot{phase.name}", f"bot{hz(phase, Speaker.BOT)}")
    return text + "\n".join(_context(way) for way in ways)


def _context(way: Way) -> str:
    first, *others = (*way.dialplan, "Goto(back,s,1)")
    steps = [f"exten => s,1,{first}", *(f" same => n,{step}" for step in others)]
    return "\n".join([f"[way-{way.name}]", *steps, *way.beside, ""])


def queues(rows: Iterable[Row]) -> str:
    """A queue a row, so that no row's agent takes another's caller."""
    settings = "strategy = ringall\njoinempty = yes\nretry = 1\ntimeout = 60\nringinuse = yes"
    names = ["nobody", *(row.id for row in rows)]
    return "\n".join(f"[{name}]\n{settings}\n" for name in names)
