"""Turns that come from outside the channel's dialplan, where Asterisk can't be reached for them."""

from __future__ import annotations

from pathlib import Path

from tests.loopback.house import House
from turnrec.answer import Status
from turnrec.calls import Asker
from turnrec.core.entry import EntryKind, Origin
from turnrec.core.policy import Action
from turnrec.core.recorder import Source

BOT = Asker(Origin.HTTP, "key:bot")


async def test_a_bots_pause_that_could_not_be_sent_is_kept_for_the_turns_that_rely_on_it(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting")
        answer = await house.calls.turn(house.by_ami, "ask_aadhaar", BOT)
        assert answer.status is Status.FAILCLOSED
        assert answer.error is not None
        assert answer.error.id == "asterisk-unreachable"
        assert house.recorder.is_paused
        assert house.recorder.holds == {Source.TURN, Source.FAULT}
        # The same again, or a node without an action of its own, which would be under the pause.
        for node in ("ask_aadhaar", "greeting"):
            again = await house.calls.turn(house.by_ami, node, BOT)
            assert again.error is not None
            assert again.error.id == "asterisk-unreachable"
            assert house.recorder.holds == {Source.TURN, Source.FAULT}
        assert len(house.caller.running) == 1, "nobody could be told"
        assert house.journal.kinds().count(EntryKind.ALARM) == 1
        # The first that reaches the channel makes it true.
        assert await house.ask("turn", "greeting") == "OK"
        assert house.caller.running == []
        assert house.recorder.is_paused
        assert await house.ask("turn", "confirm") == "OK"
        assert house.recorder.is_recording


async def test_a_bots_resume_and_its_actions_that_could_not_be_sent_change_nothing(
    tmp_path: Path,
) -> None:
    async with House.open(tmp_path) as house:
        await house.hear("greeting", "ask_aadhaar")
        before = house.recorder
        answer = await house.calls.turn(house.by_ami, "confirm", BOT)
        assert answer.error is not None
        assert answer.error.id == "asterisk-unreachable"
        assert house.recorder == before
        await house.ask("turn", "confirm")
        before = house.recorder
        stop = await house.calls.act(house.by_ami, Action.STOP, Source.TURN, BOT)
        assert stop.error is not None
        assert house.recorder == before
        pause = await house.calls.act(house.by_ami, Action.PAUSE, Source.TURN, BOT)
        assert pause.error is not None
        assert house.recorder.holds == {Source.TURN, Source.FAULT}
        assert house.journal.kinds().count(EntryKind.ACTION_FAILED) == 3
