"""The ways to a human agent, as data; what must be recorded on them is in `expected`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from tests.pbx.matrix import scripts
from tests.pbx.matrix.cast import Phase
from tests.pbx.matrix.states import Known
from tests.pbx.matrix.way import BY_RULE_OR_NOT, TO_TALK, Way

WAIT = "AGI(${MARK}/mark?wait&${ROW})"
PRE = "Gosub(turnrec-agent-pre,s,1)"
BEFORE, LEG = (Known.BEFORE,), (Known.LEG,)

ASK_AND_TALK_ON = (*TO_TALK, Phase.HELD, Phase.CONSULT, Phase.TALK2, Phase.BACK)
PASSED_ON = (*TO_TALK, Phase.HELD, Phase.TALK2, Phase.BACK)

MEMBER = "AddQueueMember(${ROW},${AGENT},,,agent,PJSIP/${ENDPOINT})"

_MAIN: Final = (
    Way(
        "dial_u",
        "Dial, announced on the agent's leg by `U(turnrec-agent)`.",
        LEG,
        (WAIT, "Dial(${AGENT},60,gU(turnrec-agent))"),
        scripts.agent_leaves,
        core=True,
    ),
    Way(
        "dial_pre",
        "Dial, announced before by `turnrec-agent-pre`.",
        BEFORE,
        (PRE, WAIT, "Dial(${AGENT},60,g)"),
        scripts.agent_leaves,
        core=True,
    ),
    Way(
        "dial",
        "Dial, and nobody says that an agent comes.",
        BY_RULE_OR_NOT,
        (WAIT, "Dial(${AGENT},60,g)"),
        scripts.agent_leaves,
        core=True,
    ),
    Way(
        "queue_gosub",
        "Queue, announced on the member's leg by its gosub.",
        LEG,
        (MEMBER, WAIT, "Queue(${ROW},c,,,60,${QUEUE_GOSUB}turnrec-agent)"),
        scripts.agent_leaves,
        core=True,
    ),
    Way(
        "queue_pre",
        "Queue, announced before by `turnrec-agent-pre`.",
        BEFORE,
        (MEMBER, PRE, WAIT, "Queue(${ROW},c,,,60)"),
        scripts.agent_leaves,
        core=True,
    ),
    Way(
        "queue",
        "Queue, and nobody says that an agent comes.",
        BY_RULE_OR_NOT,
        (MEMBER, WAIT, "Queue(${ROW},c,,,60)"),
        scripts.agent_leaves,
        core=True,
    ),
    Way(
        "blind_refer",
        "The agent's phone transfers the caller blindly (REFER) to a second agent.",
        LEG,
        (WAIT, "Dial(${AGENT},60,gU(turnrec-agent))"),
        scripts.blind_by_refer,
        PASSED_ON,
        core=True,
    ),
    Way(
        "blind_refer_unannounced",
        "The agent's phone transfers blindly (REFER), and nobody announced him or the second one.",
        BY_RULE_OR_NOT,
        (WAIT, "Dial(${AGENT},60,g)"),
        scripts.blind_by_refer,
        PASSED_ON,
    ),
    Way(
        "attended_refer",
        "The agent's phone asks a second agent and connects the two (REFER with Replaces).",
        LEG,
        (WAIT, "Dial(${AGENT},60,gU(turnrec-agent))"),
        scripts.attended_by_refer,
        ASK_AND_TALK_ON,
        core=True,
    ),
    Way(
        "attended_refer_unannounced",
        "The agent's phone connects a second one (REFER with Replaces), and nobody announced them.",
        BY_RULE_OR_NOT,
        (WAIT, "Dial(${AGENT},60,g)"),
        scripts.attended_by_refer,
        ASK_AND_TALK_ON,
    ),
    Way(
        "redirect_back",
        "AMI Redirect takes the caller from the agent back to the bot.",
        LEG,
        (WAIT, "Dial(${AGENT},60,gU(turnrec-agent))"),
        scripts.redirected_back,
        core=True,
    ),
    Way(
        "bridge",
        "AMI Bridge joins the waiting caller and an agent who has called in.",
        BY_RULE_OR_NOT,
        (WAIT, "Wait(60)"),
        scripts.bridged_by_ami,
    ),
    Way(
        "no_answer",
        "The agent's phone rings, nobody answers, and the bot goes on.",
        BEFORE,
        (PRE, WAIT, "Dial(${AGENT},2,g)"),
        scripts.nobody_answers,
        (Phase.OPEN, Phase.ENTRY, Phase.WAIT, Phase.BACK),
    ),
    Way(
        "refused",
        "The agent declines the call, and the bot goes on.",
        LEG,
        (WAIT, "Dial(${AGENT},60,gU(turnrec-agent))"),
        scripts.agent_refuses,
        (Phase.OPEN, Phase.ENTRY, Phase.WAIT, Phase.BACK),
    ),
    Way(
        "caller_leaves",
        "The caller hangs up on the agent.",
        LEG,
        (WAIT, "Dial(${AGENT},60,gU(turnrec-agent))"),
        scripts.caller_leaves,
        TO_TALK,
    ),
)

WAYS: Final = MappingProxyType({way.name: way for way in _MAIN})
