"""What the people do on each way by a transfer; it knows no policy and no verdict."""

from __future__ import annotations

import contextlib

from tests.pbx.matrix.cast import Phase, Speaker, hz
from tests.pbx.matrix.scene import PATIENCE_S, QUIET_PACKETS, SHORT_PACKETS, Scene, tone
from turnrec.pbx.configuration import MOH_TONE_HZ
from turnrec.pbx.phone import Call, CallEndedError, IncomingCall, Silence

EMPTY_QUEUE = "800"


# ------------------------------------------------------------------ blind


async def blind_by_refer(scene: Scene) -> None:
    """The agent's phone sends the caller to a second agent, who leaves him to the bot."""
    leg = await talked(scene)
    await leg.transfer(scene.uri(f"9{scene.second.port}"))
    await second_agent(scene)


async def blind_by_keys(scene: Scene) -> None:
    """The agent keys a feature code and an extension."""
    leg = await talked(scene)
    await keyed(leg, f"#19{scene.second.port}")
    await second_agent(scene)


async def blind_by_ami(scene: Scene) -> None:
    """Somebody's program does."""
    await talked(scene)
    await scene.ami(
        "BlindTransfer",
        Channel=await scene.beside_the_caller(),
        Context="from-sip",
        Exten=f"9{scene.second.port}",
    )
    await second_agent(scene)


async def blind_by_caller(scene: Scene) -> None:
    """The caller's phone sends the agent to somebody else, and so leaves."""
    leg = await talked(scene)
    await scene.call.transfer(scene.uri(f"9{scene.second.port}"))
    await others_talk_on(scene, leg)


async def blind_by_callers_keys(scene: Scene) -> None:
    """The same by a feature code."""
    leg = await talked(scene)
    await keyed(scene.call, f"#19{scene.second.port}")
    await others_talk_on(scene, leg)


# ------------------------------------------------------------------ attended


async def attended_by_refer(scene: Scene) -> None:
    """The agent's phone asks a second agent, and then connects the two (Replaces)."""
    leg = await talked(scene)
    await leg.hold()
    await scene.held()
    consulting = await scene.agent.start_call(
        scene.uri(f"9{scene.second.port}"), scene.media(Phase.CONSULT, Speaker.AGENT)
    )
    arrived = await consulted(scene, consulting)
    await scene.hush()
    await ready(arrived)
    await leg.transfer_to(consulting)
    await scene.talk(arrived, Phase.TALK2, Speaker.SECOND)
    await leg.wait_transferred(PATIENCE_S)
    await leg.hang_up()
    await arrived.hang_up()
    await scene.survey()


async def attended_by_keys(scene: Scene) -> None:
    """The agent keys `*2` and an extension, asks, and hangs up."""
    leg = await talked(scene)
    await leg.send_digits(f"*29{scene.second.port}")
    await finished(scene, leg)


async def attended_by_keys_abandoned(scene: Scene) -> None:
    """The one who was asked hangs up, and the agent is back with the caller."""
    leg = await talked(scene)
    await leg.send_digits(f"*29{scene.second.port}")
    arrived = await consulted(scene, leg)
    await scene.hush()
    await ready(leg)
    await arrived.hang_up()
    await back_with(scene, leg)


async def attended_by_keys_failed(scene: Scene) -> None:
    """The one to be asked declines, and the agent is back with the caller."""
    leg = await talked(scene)
    await leg.send_digits(f"*29{scene.second.port}")
    arrived = await scene.ringing(scene.second)
    await scene.hush()
    await arrived.reject(486)
    await back_with(scene, leg)


async def attended_to_a_queue(scene: Scene) -> None:
    """The agent leaves the caller in a queue whose members don't answer."""
    leg = await talked(scene)
    await leg.send_digits(f"*2{EMPTY_QUEUE}")
    await leg.wait_heard(MOH_TONE_HZ, timeout_s=PATIENCE_S)
    await leg.hang_up()
    await scene.held()
    await scene.survey()


async def attended_by_ami(scene: Scene) -> None:
    """Somebody's program begins it, and the agent hangs up."""
    leg = await talked(scene)
    await _atxfer(scene)
    await finished(scene, leg)


async def attended_by_ami_abandoned(scene: Scene) -> None:
    """Somebody's program begins it and takes it back."""
    leg = await talked(scene)
    agent = await _atxfer(scene)
    await consulted(scene, leg)
    await scene.hush()
    await ready(leg)
    await scene.ami("CancelAtxfer", Channel=agent)
    await back_with(scene, leg)


async def _atxfer(scene: Scene) -> str:
    agent = await scene.beside_the_caller()
    await scene.ami("Atxfer", Channel=agent, Context="from-sip", Exten=f"9{scene.second.port}")
    return agent


# ------------------------------------------------------------------ parking


async def parked_and_fetched(scene: Scene) -> None:
    """The agent parks the caller by a feature code, and a second one takes him up."""
    leg = await talked(scene)
    await leg.send_digits("#72")
    space = await scene.parking_space()
    await scene.held()
    await scene.hush()
    arrived = await scene.second.dial(
        scene.uri(f"park-{space}"), scene.media(Phase.TALK2, Speaker.SECOND)
    )
    await scene.talk(arrived, Phase.TALK2, Speaker.SECOND)
    await arrived.hang_up()
    await scene.survey()


async def parked_too_long(scene: Scene) -> None:
    """Nobody comes for him."""
    await talked(scene)
    await scene.ami("Park", Channel=scene.channel, Parkinglot="tests", Timeout="2000")
    await scene.survey()


# ------------------------------------------------------------------ what several have


async def talked(scene: Scene) -> IncomingCall:
    """The agent has answered and talked; the caller says what he says while he is held."""
    leg = await scene.agent_answers()
    await scene.talk(leg)
    leg.source = Silence()
    scene.say(Phase.HELD)
    return leg


async def second_agent(scene: Scene) -> None:
    """The second agent answers, talks with the caller and hangs up; the bot goes on."""
    arrived = await scene.second_answers()
    await scene.talk(arrived, Phase.TALK2, Speaker.SECOND)
    await arrived.hang_up()
    await scene.survey()


async def keyed(call: Call, digits: str) -> None:
    """Somebody keys a transfer; Asterisk ends his call before he has let go of the last key."""
    with contextlib.suppress(CallEndedError):
        await call.send_digits(digits)


async def others_talk_on(scene: Scene, leg: Call) -> None:
    """The agent comes to the second one; the caller's call is over."""
    arrived = await scene.second.incoming(PATIENCE_S)
    await arrived.answer(tone(Phase.AWAY, Speaker.SECOND), PATIENCE_S)
    leg.source = tone(Phase.AWAY, Speaker.AGENT)
    await scene.meet(leg, hz(Phase.AWAY, Speaker.AGENT), arrived, hz(Phase.AWAY, Speaker.SECOND))
    await scene.call.hang_up()
    await leg.wait_sent(SHORT_PACKETS, PATIENCE_S)
    await arrived.hang_up()


async def consulted(scene: Scene, leg: Call) -> IncomingCall:
    """The second one answers the agent, and they talk without the caller."""
    leg.source = tone(Phase.CONSULT, Speaker.AGENT)
    arrived = await scene.second.incoming(PATIENCE_S)
    await arrived.answer(tone(Phase.CONSULT, Speaker.SECOND), PATIENCE_S)
    await scene.meet(
        leg, hz(Phase.CONSULT, Speaker.AGENT), arrived, hz(Phase.CONSULT, Speaker.SECOND)
    )
    await leg.wait_sent(SHORT_PACKETS, PATIENCE_S)
    return arrived


async def finished(scene: Scene, leg: Call) -> None:
    """The agent asks the second one, hangs up, and so connects him with the caller."""
    arrived = await consulted(scene, leg)
    await scene.hush()
    # Asterisk connects the two the moment the agent leaves.
    await ready(arrived)
    await leg.hang_up()
    await scene.talk(arrived, Phase.TALK2, Speaker.SECOND)
    await arrived.hang_up()
    await scene.survey()


async def ready(leg: Call) -> None:
    """Whoever is to talk with the caller next says already what he says then."""
    leg.source = tone(Phase.TALK2, Speaker.SECOND)
    await leg.wait_sent(QUIET_PACKETS, PATIENCE_S)


async def back_with(scene: Scene, leg: Call) -> None:
    """The agent talks with the caller again, and leaves."""
    await scene.talk(leg, Phase.TALK2, Speaker.SECOND)
    await leg.hang_up()
    await scene.survey()
