"""What the people do on each way; it knows no policy and no verdict.

Every script is its own proof that the way works: whoever is to hear somebody waits until he does.
"""

from __future__ import annotations

from tests.pbx.matrix.cast import Phase, Speaker, hz
from tests.pbx.matrix.scene import PATIENCE_S, SHORT_PACKETS, Scene, tone
from turnrec.pbx.phone import Call, IncomingCall, Silence


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


async def nobody_answers(scene: Scene) -> None:
    """It rings until the dialplan gives up, and the bot goes on."""
    await scene.ringing(scene.agent)
    await scene.survey()


async def agent_refuses(scene: Scene) -> None:
    """The agent declines, and the bot goes on."""
    leg = await scene.ringing(scene.agent)
    await leg.reject(486)
    await scene.survey()


# ------------------------------------------------------------------ transfers


async def blind_by_refer(scene: Scene) -> None:
    """The agent's phone sends the caller to a second agent, who leaves him to the bot."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    scene.say(Phase.HELD)
    await leg.transfer(scene.uri(f"9{scene.second.port}"))
    await second_talks(scene)
    await scene.survey()


async def attended_by_refer(scene: Scene) -> None:
    """The agent's phone asks a second agent, and then connects the two (Replaces)."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    leg.source = Silence()
    await leg.hold()
    await scene.held()
    consulting, arrived = await consult(scene)
    await scene.hush()
    await leg.transfer_to(consulting)
    await scene.talk(arrived, Phase.TALK2, Speaker.SECOND)
    await leg.wait_transferred(PATIENCE_S)
    await leg.hang_up()
    await arrived.hang_up()
    await scene.survey()


async def second_talks(scene: Scene) -> None:
    """The second agent answers, talks with the caller and hangs up."""
    arrived = await scene.second_answers()
    await scene.talk(arrived, Phase.TALK2, Speaker.SECOND)
    await arrived.hang_up()


async def consult(scene: Scene) -> tuple[Call, IncomingCall]:
    """The agent calls the second one with his other line, and they talk."""
    consulting = await scene.agent.start_call(scene.uri(f"9{scene.second.port}"))
    consulting.source = tone(Phase.CONSULT, Speaker.AGENT)
    arrived = await scene.second.incoming(PATIENCE_S)
    await arrived.answer(tone(Phase.CONSULT, Speaker.SECOND), PATIENCE_S)
    await scene.meet(
        consulting,
        hz(Phase.CONSULT, Speaker.AGENT),
        arrived,
        hz(Phase.CONSULT, Speaker.SECOND),
    )
    await consulting.wait_sent(SHORT_PACKETS, PATIENCE_S)
    return consulting, arrived


# ------------------------------------------------------------------ by AMI


async def redirected_back(scene: Scene) -> None:
    """Somebody's program takes the caller from the agent back to the bot."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    await scene.ami("Redirect", Channel=scene.channel, Context="back", Exten="s", Priority="1")
    await scene.survey()
    await leg.wait_ended(PATIENCE_S)


async def bridged_by_ami(scene: Scene) -> None:
    """An agent who has called in is bridged with the waiting caller by somebody's program."""
    await scene.reached("wait")
    await scene.call.wait_sent(SHORT_PACKETS, PATIENCE_S)
    leg = await scene.agent.dial(scene.uri(f"lobby-{scene.row.id}"), timeout_s=PATIENCE_S)
    leg.source = tone(Phase.TALK, Speaker.AGENT)
    waiting = await scene.channel_at(f"lobby-{scene.row.id}")
    await scene.hush()
    await scene.ami("Bridge", Channel1=scene.channel, Channel2=waiting)
    await scene.talk(leg)
    await leg.hang_up()
    await scene.survey()
