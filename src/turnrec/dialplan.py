"""The dialplan's door: one FastAGI script for each subroutine of asterisk-conf/turnrec.conf.

It reads a session's arguments and asks `turnrec.calls`; it decides nothing. Every script ends by
writing TURNREC_STATUS, or by not writing it, and then the subroutine fails closed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping

from turnrec.answer import Answer, Status
from turnrec.asterisk.agi import AgiSession, Handler
from turnrec.asterisk.channel import check_variables
from turnrec.asterisk.paths import Ways
from turnrec.calls import Asker, Calls
from turnrec.core.call import Call
from turnrec.core.entry import Origin
from turnrec.core.errors import NotAllowedError, TurnrecError, UnknownActionError, UnknownCallError
from turnrec.core.policy import Action, AgentPolicy
from turnrec.core.recorder import Source
from turnrec.talks import Talks

logger = logging.getLogger(__name__)

_ASKER = Asker(Origin.AGI)
_UNIQUEID = re.compile(r"[A-Za-z0-9_.-]{1,150}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_ACTIONS = frozenset(action.value for action in Action)
_LIFT = "lift"
"""What an operator with the right may do to `agent: off`."""
_POLICIES = frozenset(policy.value for policy in AgentPolicy)


class Door:
    """The scripts that turnrec.conf calls."""

    def __init__(
        self,
        calls: Calls,
        talks: Talks,
        ways: Ways,
        recorded_beside: Callable[[str], Call | None],
    ) -> None:
        """Make it. `recorded_beside` finds the call whose caller talks to a channel."""
        self._calls = calls
        self._talks = talks
        self._recorded_beside = recorded_beside
        self._ways = ways

    @property
    def routes(self) -> Mapping[str, Handler]:
        """Script name to handler."""
        return {
            "start": self.start,
            "turn": self.turn,
            "action": self.action,
            "agent-pre": self.agent_pre,
            "agent": self.agent,
            "bot": self.bot,
            "operator": self.operator,
            "hangup": self.hangup,
        }

    async def start(self, session: AgiSession) -> None:
        """start(bot, external id): begin a call."""
        given = session.environment.argument
        await self._calls.start(self._ways.by_agi(session), given(1), given(2) or None, _ASKER)

    async def turn(self, session: AgiSession) -> None:
        """turn(node, number): begin a turn."""
        given = session.environment.argument
        # A running number that is no number is no reason to record an ID number.
        number = _NUMBER.fullmatch(given(2))
        await self._calls.turn(
            self._ways.by_agi(session),
            given(1),
            _ASKER,
            sequence=None if number is None else int(number[0]),
        )

    async def action(self, session: AgiSession) -> None:
        """action(action, new): a recording action on the bot's behalf."""
        given = session.environment.argument
        path, word = self._ways.by_agi(session), given(1)
        if word not in _ACTIONS:
            await self._calls.act_unknown(path, word, _ASKER)
            return
        await self._calls.act(path, Action(word), Source.TURN, _ASKER, new=given(2) == "new")

    async def agent_pre(self, session: AgiSession) -> None:
        """agent-pre(policy): on the caller's channel, before Dial or Queue."""
        given = session.environment.argument
        await self._talks.announce(self._ways.by_agi(session), _ASKER, _policy(given(1)))

    async def agent(self, session: AgiSession) -> None:
        """agent(caller's uniqueid, policy): on the agent's channel, before the bridge.

        The caller's channel is in Dial or Queue and has no AGI session: it is reached by AMI.
        """
        given = session.environment.argument
        uniqueid = given(1)
        if not _UNIQUEID.fullmatch(uniqueid):
            await _say(session, Answer(Status.REFUSED, UnknownCallError("")))
            return
        call = self._calls.find(uniqueid)
        # Asterisk finds a channel by its uniqueid too: a call from before a restart is taken up.
        path = self._ways.by_ami(uniqueid if call is None else call.channel, uniqueid)
        answer = await self._talks.agent_comes(path, _ASKER, _policy(given(2)))
        await _say(session, answer)

    async def operator(self, session: AgiSession) -> None:
        """operator(caller's uniqueid, action): a feature code, on the channel that pressed it.

        That channel needs the right: its variable TURNREC_RIGHTS names the actions, `pause:resume`,
        and is set where the operator configures the endpoint (set_var), out of a caller's reach.
        """
        environment = session.environment
        given, word = environment.argument, environment.argument(2)
        asker = Asker(Origin.AGI, f"agent:{environment.channel}")
        try:
            # Whom he talks to now; who first called him is only what his channel inherited.
            call = self._recorded_beside(environment.uniqueid) or self._calls.find(given(1))
            if call is None:
                raise UnknownCallError(given(1)[:64])
            if word not in (await session.expand("${TURNREC_RIGHTS}")).split(":"):
                raise NotAllowedError(f"TURNREC_RIGHTS of this channel doesn't name {word!r}")
            if word not in _ACTIONS and word != _LIFT:
                raise UnknownActionError(word[:16])
        except TurnrecError as error:
            self._calls.notes.refused_at_the_door(
                error, environment.uniqueid, asker.origin, asker.actor
            )
            await _say(session, Answer(Status.of(error), error))
            return
        path = self._ways.by_ami(call.channel, call.uniqueid)
        answer = (
            await self._talks.lift(path, asker)
            if word == _LIFT
            else await self._calls.act(path, Action(word), Source.OPERATOR, asker)
        )
        await _say(session, answer)

    async def bot(self, session: AgiSession) -> None:
        """bot(): the caller is back."""
        await self._talks.agent_goes(self._ways.by_agi(session), _ASKER)

    async def hangup(self, session: AgiSession) -> None:
        """hangup(): from the handler that turnrec-start pushed."""
        path = self._ways.by_agi(session)
        await self._calls.hang_up(path.uniqueid, _ASKER, path)


def _policy(word: str) -> AgentPolicy | None:
    """The override of a transfer. One that isn't known counts as `off`: it must not record."""
    if not word:
        return None
    if word not in _POLICIES:
        logger.error("turnrec-agent: no agent policy by this name, `off` applies")
        return AgentPolicy.OFF
    return AgentPolicy(word)


async def _say(session: AgiSession, answer: Answer) -> None:
    """Answer on a channel that has no recorder of its own."""
    variables = check_variables(answer.variables())
    try:
        for name, value in variables.items():
            await session.set_variable(name, value)
    except TurnrecError as error:
        logger.warning("an answer did not reach its dialplan: %s", error)
