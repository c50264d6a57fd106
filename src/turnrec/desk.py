"""What the API asks of calls, put to the main path; it decides nothing of what is recorded.

Whoever asks from outside the call's own dialplan reaches its channel over AMI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from turnrec.answer import Answer, Status
from turnrec.asterisk.paths import AmiPath, Ways
from turnrec.calls import Asker, Calls
from turnrec.core.call import Call
from turnrec.core.entry import JSON
from turnrec.core.errors import (
    AmbiguousCallError,
    CallEndedError,
    TurnrecError,
    UnknownBotError,
    UnknownCallError,
    UnknownChannelError,
)
from turnrec.core.policy import Action, AgentPolicy
from turnrec.core.recorder import Source, State
from turnrec.describe import describe_call, describe_past_call
from turnrec.keeping import check_reason
from turnrec.ledger.reader import LedgerReader
from turnrec.ledger.store import Ledger
from turnrec.ledger.views import CallRecord
from turnrec.talks import Talks
from turnrec.web.access import Access

_NAME = 64


class CallDesk:
    """Finds the call that is meant, and asks."""

    def __init__(self, calls: Calls, talks: Talks, ways: Ways, ledger: Ledger) -> None:
        self._calls = calls
        self._talks = talks
        self._ways = ways
        self._ledger = ledger

    # -------------------------------------------------------------- looking

    async def list_calls(
        self, access: Access, *, live: bool, bot: str | None, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, JSON]], str | None]:
        """Live calls, or all of them, the newest first, and the next page's cursor."""
        if live:
            found = [
                call
                for call in reversed(self._calls.live())
                if access.may_see(call.bot.name)
                and bot in (None, call.bot.name)
                and (cursor is None or call.id < cursor)
            ]
            page = [describe_call(call) for call in found[:limit]]
            return page, found[limit - 1].id if len(found) > limit else None
        await self._ledger.flush()
        bots = access.bots_among(bot)
        records = await self._ledger.calls(bots=bots, limit=limit + 1, before=cursor)
        shown = [
            self._describe_record(record.call_id) or describe_past_call(record)
            for record in records[:limit]
        ]
        return shown, records[limit - 1].call_id if len(records) > limit else None

    async def show_call(self, access: Access, name: str) -> dict[str, JSON]:
        """One call, live or past.

        Raises:
            UnknownCallError: none has this name, or it isn't theirs to see.
        """
        call = self._calls.search(name)
        if call is not None:
            access.check_sees(call.bot.name, UnknownCallError(name[:_NAME]))
            return describe_call(call)
        await self._ledger.flush()
        return describe_past_call(await past_call(self._ledger, access, name))

    def _describe_record(self, call_id: str) -> dict[str, JSON] | None:
        call = self._calls.search(call_id)
        return None if call is None else describe_call(call)

    # -------------------------------------------------------------- asking

    async def begin_call(
        self, access: Access, uniqueid: str, bot: str, external_id: str | None
    ) -> dict[str, JSON]:
        """Begin a call on a channel that is in its bot's hands already.

        Raises:
            UnknownBotError: the flow has no such bot, or it isn't theirs.
            TurnrecError: it was refused, or could not be confirmed.
        """
        access.check_sees(bot, UnknownBotError(bot[:_NAME], ""))
        begun = self._calls.find(uniqueid)
        if begun is not None:
            access.check_sees(begun.bot.name, UnknownChannelError())
        path = await self._ways.named(uniqueid)
        # By this an agent's leg finds the call; in a dialplan turnrec-start sets it.
        await path.publish({"__TURNREC_CALLER_UNIQUEID": uniqueid})
        answer = await self._calls.start(path, bot, external_id, _asker(access))
        return _outcome(answer)

    async def turn(
        self, access: Access, name: str, node: str, sequence: int | None
    ) -> dict[str, JSON]:
        """Begin a turn on the bot's behalf; when this returns, what its node asks is true.

        Raises:
            TurnrecError: it was refused, or could not be confirmed.
        """
        call, path = await self._find(access, name)
        return _outcome(await self._calls.turn(path, node, _asker(access), sequence=sequence), call)

    async def act(
        self,
        access: Access,
        name: str,
        action: Action,
        *,
        new: bool,
        as_bot: bool,
        reason: str | None,
        person: str | None,
    ) -> dict[str, JSON]:
        """Carry out a recording action for an operator or for the bot.

        Raises:
            TurnrecError: it was refused, or could not be confirmed.
        """
        if reason is not None:
            check_reason(reason)
        call, path = await self._find(access, name)
        source = Source.TURN if as_bot else Source.OPERATOR
        asker = _asker(access, person, reason)
        return _outcome(await self._calls.act(path, action, source, asker, new=new), call)

    async def announce(
        self, access: Access, name: str, policy: AgentPolicy | None
    ) -> dict[str, JSON]:
        """An agent is about to come.

        Raises:
            TurnrecError: it was refused, or could not be confirmed.
        """
        return await self._ask_talks(
            access, name, lambda path, asker: self._talks.announce(path, asker, policy)
        )

    async def agent_gone(self, access: Access, name: str) -> dict[str, JSON]:
        """The caller is back with the bot.

        Raises:
            TurnrecError: it was refused, or could not be confirmed.
        """
        return await self._ask_talks(access, name, self._talks.agent_goes)

    async def _ask_talks(
        self, access: Access, name: str, ask: Callable[[AmiPath, Asker], Awaitable[Answer]]
    ) -> dict[str, JSON]:
        call, path = await self._find(access, name)
        return _outcome(await ask(path, _asker(access)), call)

    async def _find(self, access: Access, name: str) -> tuple[Call, AmiPath]:
        call = self._live(access, name) or await self._recall(access, name)
        return call, self._ways.by_ami(call.channel, call.uniqueid)

    def _live(self, access: Access, name: str) -> Call | None:
        """The live call that is meant.

        Raises:
            AmbiguousCallError: several are: the wrong one must not be paused in the right one's
                place.
        """
        found = [
            call
            for call in self._calls.live()
            if name in (call.id, call.uniqueid, call.external_id) and access.may_see(call.bot.name)
        ]
        if len(found) > 1:
            raise AmbiguousCallError(name[:_NAME])
        return found[0] if found else None

    async def _recall(self, access: Access, name: str) -> Call:
        """A call from before turnrec's restart that nobody has taken up yet.

        Raises:
            UnknownCallError: there never was one, or it isn't theirs to see.
            CallEndedError: it is over.
            TurnrecError: Asterisk could not be asked.
        """
        await self._ledger.flush()
        record = await past_call(self._ledger, access, name)
        if record.live and record.uniqueid:
            try:
                call = await self._calls.adopt(await self._ways.named(record.uniqueid))
            except UnknownChannelError:
                call = None
            if call is not None:
                return call
        raise CallEndedError("go on", State.ENDED)


async def past_call(ledger: LedgerReader, access: Access, name: str) -> CallRecord:
    """A call that the ledger knows, by its id, uniqueid or external id; the newest of that name.

    Raises:
        UnknownCallError: none has this name, or it isn't theirs to see.
    """
    unknown = UnknownCallError(name[:_NAME])
    record = await ledger.find_call(name)
    if record is None:
        raise unknown
    access.check_sees(record.bot, unknown)
    return record


def _asker(access: Access, person: str | None = None, reason: str | None = None) -> Asker:
    return Asker(access.origin, access.actor(person), reason)


def _outcome(answer: Answer, call: Call | None = None) -> dict[str, JSON]:
    """What came of it, where it happened.

    Raises:
        TurnrecError: why it didn't.
    """
    error = answer.error
    if error is not None and answer.status is not Status.OK:
        raise error
    stands = answer.call or call
    if stands is None:
        raise TurnrecError("nothing was answered")  # an OK is always about a call
    notice: JSON = None if error is None else {"id": error.id, "sentence": str(error)}
    return {"call": describe_call(stands), "notice": notice}
