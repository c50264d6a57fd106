"""What the people do on each way but a transfer; it knows no policy and no verdict.

Every script is its own proof that the way works: whoever is to hear somebody waits until he does.
"""

from __future__ import annotations

import asyncio

from tests.pbx.matrix.cast import Phase, Speaker, hz
from tests.pbx.matrix.scene import PATIENCE_S, SHORT_PACKETS, Scene, tone
from turnrec.pbx.phone import Silence


async def agent_leaves(scene: Scene) -> None:
    """The agent answers, they talk, the agent hangs up, and the bot goes on."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await leg.hang_up()
    await scene.survey()


async def caller_leaves(scene: Scene) -> None:
    """The same, and the caller hangs up on the agent."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await scene.call.hang_up()
    await leg.wait_ended(PATIENCE_S)


async def agent_leaves_unheard(scene: Scene) -> None:
    """The agent answers, they talk, the agent hangs up, and the bot goes on.

    Debian's 22.10.1 passes nothing through a Local channel whose RTP sequence number looks late: of
    an agent with a high one, or of the bot after the agent, the caller hears nothing.
    """
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await leg.hang_up()
    await scene.survey(heard=False)


async def agent_leaves_for_good(scene: Scene) -> None:
    """The agent answers, they talk, the agent hangs up, and whatever comes then comes.

    Where Asterisk leaves the Local channel in place, the fault of `agent_leaves_unheard` is there.
    """
    await scene.waits()
    scene.is_gone = True
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await leg.hang_up()
    await scene.ends()


async def nobody_answers(scene: Scene) -> None:
    """It rings until the dialplan gives up, and the bot goes on."""
    await scene.ringing(scene.agent)
    await scene.survey()


async def agent_refuses(scene: Scene) -> None:
    """The agent declines, and the bot goes on."""
    leg = await scene.ringing(scene.agent)
    await leg.reject(486)
    await scene.survey()


async def heard_early(scene: Scene) -> None:
    """Something is heard of the agent's side before it answers."""
    leg = await scene.agent.incoming(PATIENCE_S)
    await leg.progress(tone(Phase.WAIT, Speaker.EARLY))
    await scene.call.wait_heard(hz(Phase.WAIT, Speaker.EARLY), timeout_s=PATIENCE_S)
    await scene.call.wait_sent(SHORT_PACKETS, PATIENCE_S)
    leg.source = Silence()
    await scene.hush()
    await leg.wait_sent(5, PATIENCE_S)
    await leg.answer(tone(Phase.TALK, Speaker.AGENT), PATIENCE_S)
    await scene.talk(leg)
    await leg.hang_up()
    await scene.survey()


async def limited(scene: Scene) -> None:
    """An announcement says that the time is nearly over, and then it is."""
    leg = await scene.agent_answers()
    warned = asyncio.create_task(
        scene.call.wait_heard(hz(Phase.TALK, Speaker.ANNOUNCER), timeout_s=PATIENCE_S)
    )
    await scene.talk(leg)
    await warned
    await leg.wait_ended(PATIENCE_S)
    await scene.survey()


async def hold(scene: Scene) -> None:
    """The agent holds the caller, who hears music, and goes on with him."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    leg.source = Silence()
    await leg.hold()
    await scene.held()
    await scene.hush()
    await leg.unhold()
    await scene.talk(leg, Phase.TALK2, Speaker.SECOND)
    await leg.hang_up()
    await scene.survey()


async def picked_up(scene: Scene) -> None:
    """The agent's phone rings, and another agent takes the call with his."""
    ringing = await scene.ringing(scene.agent)
    await scene.hush()
    leg = await scene.second.dial(
        scene.uri(f"pick-{scene.row.id}"), scene.media(Phase.TALK, Speaker.AGENT)
    )
    await scene.talk(leg)
    await ringing.wait_ended(PATIENCE_S)
    await leg.hang_up()
    await scene.survey()


async def one_of_two_answers(scene: Scene) -> None:
    """Both phones of a queue ring, one is answered."""
    other = await scene.second.incoming(PATIENCE_S)
    other.ring()
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await other.wait_ended(PATIENCE_S)
    await leg.hang_up()
    await scene.survey()


# ------------------------------------------------------------------ by somebody's program


async def redirected_back(scene: Scene) -> None:
    """Somebody's program takes the caller from the agent back to the bot."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await scene.ami("Redirect", Channel=scene.channel, Context="back", Exten="s", Priority="1")
    await scene.survey()
    await leg.wait_ended(PATIENCE_S)


async def bridged_by_ami(scene: Scene) -> None:
    """An agent who has called in is bridged with the waiting caller by somebody's program."""
    await scene.waits()
    leg = await scene.agent.dial(
        scene.uri(f"lobby-{scene.row.id}"), scene.media(Phase.TALK, Speaker.AGENT)
    )
    waiting = await scene.channel_at(f"lobby-{scene.row.id}")
    await scene.hush()
    await scene.ami("Bridge", Channel1=scene.channel, Channel2=waiting)
    await scene.talk(leg)
    await leg.hang_up()
    await scene.survey()


# ------------------------------------------------------------------ rooms


async def conference(scene: Scene) -> None:
    """The agent joins the room in which the caller waits."""
    await scene.waits()
    await scene.hush()
    leg = await scene.agent.dial(
        scene.uri(f"room-{scene.row.id}"), scene.media(Phase.TALK, Speaker.AGENT)
    )
    await scene.talk(leg)
    await leg.hang_up()
    await scene.survey()


async def paged(scene: Scene) -> None:
    """The agent's phone answers a page; somebody's program takes the caller back."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await leg.hang_up()
    await scene.ami("Redirect", Channel=scene.channel, Context="back", Exten="s", Priority="1")
    await scene.survey()


# ------------------------------------------------------------------ outbound


async def called_by_the_bot(scene: Scene) -> None:
    """The bot calls the one who is to be recorded."""
    await _originate(scene, f"PJSIP/tester/sip:caller@127.0.0.1:{scene.caller.port}")


async def called_by_the_bot_through_local(scene: Scene) -> None:
    """The same through a Local channel, on whose near half the bot runs."""
    await _originate(scene, f"Local/9{scene.caller.port}@from-sip/n")


async def called_by_the_bot_through_local_without_n(scene: Scene) -> None:
    """The same, and Asterisk may take the Local channel out of the way."""
    await _originate(scene, f"Local/9{scene.caller.port}@from-sip")


async def _originate(scene: Scene, channel: str) -> None:
    await scene.ami(
        "Originate",
        Channel=channel,
        Context="from-sip",
        Exten=scene.extension,
        Priority="1",
        Timeout="60000",
        Async="true",
    )
    call = await scene.caller.incoming(PATIENCE_S)
    scene.taken(call)
    await call.answer(Silence(), PATIENCE_S)
