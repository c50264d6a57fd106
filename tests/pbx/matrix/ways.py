"""The ways to a human agent, as data; what must be recorded on them is in `expected`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from tests.pbx.matrix import scripts, transfers
from tests.pbx.matrix.cast import Phase
from tests.pbx.matrix.states import Known
from tests.pbx.matrix.way import SAID_OR_NOT, TO_TALK, Way

ALL = tuple(Known)
BEFORE_OR_NOT = (Known.BEFORE, Known.NOT)
BY_RULE_OR_NOT = (Known.CLASSED, Known.NOT)

ASK_AND_TALK_ON = (*TO_TALK, Phase.HELD, Phase.CONSULT, Phase.TALK2, Phase.BACK)
PASSED_ON = (*TO_TALK, Phase.HELD, Phase.TALK2, Phase.BACK)
UNANSWERED = (Phase.OPEN, Phase.ENTRY, Phase.WAIT, Phase.BACK)

ALONE_IN_A_ROOM = MappingProxyType(
    {Phase.WAIT: "Asterisk reads no audio of who hears music alone in a conference"}
)
OPTIMISED = MappingProxyType(
    {Phase.TALK: "the recorded channel is the Local one, and goes when Asterisk optimises it away"}
)

# ON_LEG, or a queue's GOSUB, is there where the agent is announced on his leg.
DIAL = ("Dial(${AGENT},60,gtTkK${ON_LEG})",)
# The device state is another endpoint's on purpose: it has a call, and rings all the same.
MEMBER = "AddQueueMember(${ROW},${AGENT},,,agent,PJSIP/tester)"
QUEUE = "Queue(${ROW},ct,,,60,${QUEUE_GAP}${GOSUB})"

_WAYS: Final = (
    # ------------------------------------------------------------ Dial
    Way("dial", "Dial", ALL, DIAL, scripts.agent_leaves, core=True),
    Way(
        "caller_leaves",
        "Dial; the caller hangs up on the agent",
        SAID_OR_NOT,
        DIAL,
        scripts.caller_leaves,
        TO_TALK,
    ),
    Way(
        "no_answer",
        "Dial; nobody answers, and the bot goes on",
        ALL,
        ("Dial(${AGENT},2,g${ON_LEG})",),
        scripts.nobody_answers,
        UNANSWERED,
    ),
    Way(
        "refused",
        "Dial; the agent declines, and the bot goes on",
        SAID_OR_NOT,
        DIAL,
        scripts.agent_refuses,
        UNANSWERED,
    ),
    Way(
        "early_media",
        "Dial; the agent's side is heard before it answers (183)",
        ALL,
        DIAL,
        scripts.heard_early,
    ),
    Way(
        "limits",
        "Dial with a limit and an announcement (`L()`)",
        SAID_OR_NOT,
        (
            "Set(LIMIT_PLAYAUDIO_CALLER=yes)",
            "Set(LIMIT_WARNING_FILE=${SOUNDS}/bot${LIMIT_HZ})",
            "Dial(${AGENT},60,gL(9000:7000)${ON_LEG})",
        ),
        scripts.limited,
    ),
    Way(
        "local",
        "Dial of a Local channel, which is optimised away",
        SAID_OR_NOT,
        ("Dial(Local/${AGENTS_EXTENSION}@from-sip,60,g${ON_LEG})",),
        scripts.agent_leaves,
    ),
    Way(
        "hold",
        "Dial; the agent holds the caller, who hears music, and takes him back",
        ALL,
        DIAL,
        scripts.hold,
        PASSED_ON,
    ),
    Way(
        "pickup",
        "Dial; another agent picks the ringing call up",
        (*BEFORE_OR_NOT, Known.CLASSED),
        ("Set(__PICKUPMARK=${ROW})", *DIAL),
        scripts.picked_up,
    ),
    # ------------------------------------------------------------ Queue
    Way("queue", "Queue", ALL, (MEMBER, QUEUE), scripts.agent_leaves, core=True),
    Way(
        "queue_ring_all",
        "Queue that rings all its members",
        SAID_OR_NOT,
        (MEMBER, "AddQueueMember(${ROW},${SECOND},,,second,PJSIP/tester)", QUEUE),
        scripts.one_of_two_answers,
    ),
    Way(
        "queue_local_n",
        "Queue whose member is `Local/...@.../n`",
        ALL,
        ("AddQueueMember(${ROW},Local/${AGENTS_EXTENSION}@from-sip/n)", QUEUE),
        scripts.agent_leaves,
    ),
    Way(
        "queue_local",
        "Queue whose member is a Local channel that is optimised away",
        SAID_OR_NOT,
        ("AddQueueMember(${ROW},Local/${AGENTS_EXTENSION}@from-sip)", QUEUE),
        scripts.agent_leaves,
    ),
    # ------------------------------------------------------------ blind transfers
    Way(
        "blind_refer",
        "Blind transfer by the agent's phone (REFER)",
        ALL,
        DIAL,
        transfers.blind_by_refer,
        PASSED_ON,
        core=True,
    ),
    Way(
        "blind_feature",
        "Blind transfer by the agent's keys (feature code)",
        SAID_OR_NOT,
        DIAL,
        transfers.blind_by_keys,
        PASSED_ON,
    ),
    Way(
        "blind_ami",
        "Blind transfer by AMI (BlindTransfer)",
        SAID_OR_NOT,
        DIAL,
        transfers.blind_by_ami,
        PASSED_ON,
    ),
    Way(
        "blind_caller_refer",
        "Blind transfer of the agent by the caller's phone (REFER)",
        SAID_OR_NOT,
        DIAL,
        transfers.blind_by_caller,
        (*TO_TALK, Phase.AWAY),
    ),
    Way(
        "blind_caller_feature",
        "Blind transfer of the agent by the caller's keys (feature code)",
        SAID_OR_NOT,
        DIAL,
        transfers.blind_by_callers_keys,
        (*TO_TALK, Phase.AWAY),
    ),
    # ------------------------------------------------------------ attended transfers
    Way(
        "attended_refer",
        "Attended transfer by the agent's phone (REFER with Replaces)",
        ALL,
        DIAL,
        transfers.attended_by_refer,
        ASK_AND_TALK_ON,
        core=True,
    ),
    Way(
        "attended_feature",
        "Attended transfer by the agent's keys (`*2`)",
        SAID_OR_NOT,
        DIAL,
        transfers.attended_by_keys,
        ASK_AND_TALK_ON,
    ),
    Way(
        "attended_feature_abandoned",
        "Attended transfer by keys, abandoned: the agent comes back",
        SAID_OR_NOT,
        DIAL,
        transfers.attended_by_keys_abandoned,
        ASK_AND_TALK_ON,
    ),
    Way(
        "attended_feature_failed",
        "Attended transfer by keys to somebody who declines",
        SAID_OR_NOT,
        DIAL,
        transfers.attended_by_keys_failed,
        PASSED_ON,
    ),
    Way(
        "attended_queue",
        "Attended transfer by keys to a queue where nobody answers",
        SAID_OR_NOT,
        DIAL,
        transfers.attended_to_a_queue,
        (*TO_TALK, Phase.HELD, Phase.BACK),
    ),
    Way(
        "attended_ami",
        "Attended transfer by AMI (Atxfer)",
        SAID_OR_NOT,
        DIAL,
        transfers.attended_by_ami,
        ASK_AND_TALK_ON,
    ),
    Way(
        "attended_ami_abandoned",
        "Attended transfer by AMI, abandoned (CancelAtxfer)",
        SAID_OR_NOT,
        DIAL,
        transfers.attended_by_ami_abandoned,
        ASK_AND_TALK_ON,
    ),
    # ------------------------------------------------------------ by somebody's program
    Way(
        "redirect_back",
        "AMI Redirect from the agent back to the bot",
        ALL,
        DIAL,
        scripts.redirected_back,
        core=True,
    ),
    Way(
        "bridge",
        "AMI Bridge of the waiting caller and an agent who has called in",
        (*BEFORE_OR_NOT, Known.CLASSED),
        ("Wait(60)",),
        scripts.bridged_by_ami,
    ),
    # ------------------------------------------------------------ rooms and parking
    Way(
        "confbridge",
        "ConfBridge in which the agent joins the caller",
        (*BEFORE_OR_NOT, Known.CLASSED),
        ("ConfBridge(${ROW},default_bridge,waiting)",),
        scripts.conference,
        unsure=ALONE_IN_A_ROOM,
    ),
    Way(
        "page",
        "Page of the agent, both ways",
        (*BEFORE_OR_NOT, Known.CLASSED),
        ("Page(${AGENT},dq,60)",),
        scripts.paged,
        unsure=ALONE_IN_A_ROOM,
    ),
    Way(
        "parked",
        "The agent parks the caller, and a second one takes him up",
        SAID_OR_NOT,
        DIAL,
        transfers.parked_and_fetched,
        PASSED_ON,
    ),
    Way(
        "parked_too_long",
        "The agent parks the caller, nobody comes, and the bot goes on",
        SAID_OR_NOT,
        DIAL,
        transfers.parked_too_long,
        (*TO_TALK, Phase.HELD, Phase.BACK),
    ),
    # ------------------------------------------------------------ outbound
    Way(
        "outbound",
        "The bot calls (Originate to PJSIP); then Dial",
        ALL,
        DIAL,
        scripts.agent_leaves,
        begin=scripts.called_by_the_bot,
    ),
    Way(
        "outbound_local",
        "The bot calls (Originate to `Local/...@.../n`); then Dial",
        SAID_OR_NOT,
        DIAL,
        scripts.agent_leaves_unheard,
        begin=scripts.called_by_the_bot_through_local,
        first_sequence=0,
    ),
    Way(
        "outbound_local_optimised",
        "The bot calls (Originate to a Local channel without `/n`); then Dial",
        SAID_OR_NOT,
        DIAL,
        scripts.agent_leaves_for_good,
        TO_TALK,
        begin=scripts.called_by_the_bot_through_local_without_n,
        unsure=OPTIMISED,
        first_sequence=0,
    ),
)

WAYS: Final = MappingProxyType({way.name: way for way in _WAYS})
