"""One call over HTTP, for bots on asyncio: the same verbs as `AgiCall`, each to be awaited.

async with TurnrecClient(url, key) as turnrec:
    call = HttpCall(turnrec, uuid)
    async with call.turn("ask_otp"):      # entered once turnrec has said 200; raises otherwise
        await line.say(question)
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any

from turnrec.bots.http_client import TurnrecClient
from turnrec.bots.turn import Standing, Turn
from turnrec.core.policy import AgentPolicy


class Asking:
    """A turn that is asked for once it is awaited or entered: one of the two must be.

    Python warns of one that is neither ("was never awaited"): nothing was asked for.
    """

    def __init__(self, asking: Coroutine[Any, Any, Turn]) -> None:
        self._asking = asking

    def __await__(self) -> Generator[Any, Any, Turn]:
        return self._asking.__await__()

    async def __aenter__(self) -> Turn:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: the next turn ends this one."""


class HttpCall:
    """turnrec's side of one call, by its name.

    Every method returns once turnrec has answered that it has happened, and raises in every other
    case: `RefusedByTurnrecError` (4xx), `FailedInTurnrecError` (5xx), `NoAnswerError`. Nothing is
    tried again by itself.
    """

    def __init__(self, turnrec: TurnrecClient, name: str) -> None:
        """Make it; nothing is sent yet.

        Args:
            turnrec: the client, with a key that has the right `bot`.
            name: the bot's own id of the call (AudioSocket's UUID, say), the channel's uniqueid,
                or turnrec's id.
        """
        self._turnrec = turnrec
        self.name = name

    async def begin(self, bot: str, uniqueid: str) -> Standing:
        """Begin the call on a channel that the bot has. Not where the dialplan ran turnrec-start.

        Args:
            bot: the flow file's bot.
            uniqueid: the channel's.

        Raises:
            NotConfirmedError: it has not begun, or isn't known to have.
        """
        external = None if self.name == uniqueid else self.name
        return _standing({"call": await self._turnrec.begin(uniqueid, bot, external)})

    def turn(self, node: str, *, sequence: int | None = None) -> Asking:
        """Begin a turn, before its first word: `async with call.turn("ask_otp"): ...`.

        Once it is entered, what the flow asks of this node is true, and the bot may speak. Leaving
        the block doesn't end the turn: the next one does.

        Args:
            node: the flow's node; one that the flow doesn't know is held (`Turn.notice`).
            sequence: see `TurnrecClient.turn`.

        Raises:
            NotConfirmedError: the bot must not speak this turn.
        """
        return Asking(self._turn(node, sequence))

    async def start(self, *, new: bool = False) -> Standing:
        """Start recording, or with `new` finish this recording and start another; see `turn`."""
        return await self._act("start", new=new)

    async def pause(self) -> Standing:
        """Pause, without a turn; see `turn` for what it raises."""
        return await self._act("pause")

    async def resume(self) -> Standing:
        """Resume, without a turn. It releases the bot's own hold only; see `turn`."""
        return await self._act("resume")

    async def stop(self) -> Standing:
        """Finish the recording; for good, unless the flow says otherwise; see `turn`."""
        return await self._act("stop")

    async def agent_pre(self, policy: AgentPolicy | str | None = None) -> Standing:
        """Announce an agent, before the transfer. With `off` and `never` nothing records any more
        when this returns.

        Args:
            policy: `on`, `off` or `never` for this transfer; the bot's own by default.

        Raises:
            ValueError: there is no such policy; nothing was sent.
            NotConfirmedError: don't transfer yet.
        """
        word = None if policy is None else AgentPolicy(policy).value
        return _standing({"call": await self._turnrec.announce_agent(self.name, word)})

    async def back_to_bot(self) -> Standing:
        """Say that the agent has gone and the bot goes on.

        Raises:
            NotConfirmedError: it isn't known to have been taken in.
        """
        return _standing({"call": await self._turnrec.agent_gone(self.name)})

    # -------------------------------------------------------------- inside

    async def _turn(self, node: str, sequence: int | None) -> Turn:
        outcome = await self._turnrec.turn_outcome(self.name, node, sequence=sequence)
        stands = _standing(outcome)
        return Turn(stands.state, stands.notice, node)

    async def _act(self, action: str, *, new: bool = False) -> Standing:
        return _standing({"call": await self._turnrec.act(self.name, action, new=new)})


def _standing(outcome: dict[str, Any]) -> Standing:
    notice = outcome.get("notice")
    told = str(notice.get("id", "")) if isinstance(notice, dict) else ""
    return Standing(str(outcome["call"].get("state", "")), told)
