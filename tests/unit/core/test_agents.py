"""The agent policy: its two tables, cell by cell, and what they come to in the recorder."""

from __future__ import annotations

from itertools import product

import pytest

from turnrec.core.agents import (
    BACK,
    COMING,
    GOING,
    AgentRule,
    commands_after_agent,
    commands_for_agent,
    commands_on_announcement,
    effective_policy,
)
from turnrec.core.errors import RecorderRefusedError
from turnrec.core.policy import Action, AgentOff, AgentPolicy, Bot, Default
from turnrec.core.recorder import Command, Recorder, Source, State, decide

ON, OFF, NEVER = AgentPolicy.ON, AgentPolicy.OFF, AgentPolicy.NEVER

# rule | state | commands, as source:action
DESIGN_COMING = """
on         | inactive  | turn:resume agent:resume agent:start
on         | recording | turn:resume agent:resume
on         | paused    | turn:resume agent:resume
on         | stopped   |
on         | ended     |
on, unclassed | inactive  |
on, unclassed | recording |
on, unclassed | paused    |
on, unclassed | stopped   |
on, unclassed | ended     |
off, pause | inactive  | agent:pause
off, pause | recording | agent:pause
off, pause | paused    | agent:pause
off, pause | stopped   |
off, pause | ended     |
off, stop  | inactive  | agent:pause
off, stop  | recording | agent:pause agent:stop agent:pause
off, stop  | paused    | agent:pause agent:stop agent:pause
off, stop  | stopped   |
off, stop  | ended     |
"""
# the bot's default | state | commands
DESIGN_GOING = """
on  | inactive  | agent:resume agent:start
on  | recording |
on  | paused    | agent:resume
on  | stopped   |
on  | ended     |
off | inactive  | agent:resume
off | recording |
off | paused    | agent:resume
off | stopped   |
off | ended     |
"""
# Both kinds of `off` come from `agent_off`; `never` is `off`.
RULES = {
    AgentRule.ON: [Bot("b", agent=ON)],
    AgentRule.ON_UNCLASSED: [Bot("b", agent=ON)],
    AgentRule.OFF_PAUSE: [Bot("b", agent=p, agent_off=AgentOff.PAUSE) for p in (OFF, NEVER)],
    AgentRule.OFF_STOP: [Bot("b", agent=p, agent_off=AgentOff.STOP) for p in (OFF, NEVER)],
}


def read(table: str) -> list[tuple[str, str, tuple[Command, ...]]]:
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return [(first, state, tuple(map(command, words.split()))) for first, state, words in rows]


def command(word: str) -> Command:
    source, _, action = word.partition(":")
    return Command(Action(action), Source(source))


def carry_out(recorder: Recorder, commands: tuple[Command, ...]) -> Recorder:
    for one in commands:
        recorder = decide(recorder, one, stop_is_final=True).after
    return recorder


SOUND = [
    Recorder(State.INACTIVE),
    Recorder(State.INACTIVE, frozenset({Source.OPERATOR})),
    Recorder(State.RECORDING),
    *(
        Recorder(State.PAUSED, frozenset(holds))
        for holds in (
            {Source.TURN},
            {Source.OPERATOR},
            {Source.FAULT},
            {Source.TURN, Source.OPERATOR},
            {Source.TURN, Source.FAULT},
        )
    ),
    Recorder(State.STOPPED),
    Recorder(State.ENDED),
]
BOTS = [
    Bot("b", agent=policy, agent_off=off, default=default)
    for policy, off, default in product(AgentPolicy, AgentOff, Default)
]


def test_the_tables_are_complete() -> None:
    assert set(COMING) == set(product(AgentRule, State))
    assert set(GOING) == set(product(Default, State))
    assert len(read(DESIGN_COMING)) == len(COMING)
    assert len(read(DESIGN_GOING)) == len(GOING)


@pytest.mark.parametrize(("rule", "state", "commands"), read(DESIGN_COMING))
def test_an_agents_coming_asks_what_the_plan_says(
    rule: str, state: str, commands: tuple[Command, ...]
) -> None:
    is_known = AgentRule(rule) is not AgentRule.ON_UNCLASSED
    for bot in RULES[AgentRule(rule)]:
        assert commands_for_agent(bot, State(state), known=is_known) == commands


@pytest.mark.parametrize("bot", BOTS)
def test_off_and_never_apply_to_whoever_comes(bot: Bot) -> None:
    if bot.agent is ON:
        return
    for state in State:
        known = commands_for_agent(bot, state, known=True)
        assert commands_for_agent(bot, state, known=False) == known
        assert commands_on_announcement(bot, state) == known


def test_an_announcement_with_on_waits_for_the_agent() -> None:
    for state in State:
        assert commands_on_announcement(Bot("b"), state) == ()


def test_every_action_of_a_turn_has_its_way_back() -> None:
    assert set(BACK) == {None, *Action}


def way_back(bot: Bot, recorder: Recorder, turn: Command) -> list[Recorder]:
    """Every recorder on the way from an agent's talk into the bot's turn, in order."""
    back = BACK[turn.action]
    seen = [carry_out(recorder, (turn,))] if back.turn_first else [recorder]
    for one in commands_after_agent(bot, seen[-1].state, starts=back.starts):
        seen.append(carry_out(seen[-1], (one,)))
    return seen if back.turn_first else [*seen, carry_out(seen[-1], (turn,))]


@pytest.mark.parametrize("action", [Action.PAUSE, Action.STOP])
@pytest.mark.parametrize("bot", BOTS)
def test_back_in_a_turn_that_may_not_be_recorded_nothing_is_on_the_way(
    bot: Bot, action: Action
) -> None:
    if bot.agent is ON:
        return
    for before in (State.RECORDING, State.INACTIVE):
        met = carry_out(Recorder(before), commands_for_agent(bot, before))
        for recorder in way_back(bot, met, Command(action, Source.TURN)):
            assert not recorder.is_recording


@pytest.mark.parametrize(("default", "state", "commands"), read(DESIGN_GOING))
def test_an_agents_going_asks_what_the_plan_says(
    default: str, state: str, commands: tuple[Command, ...]
) -> None:
    assert commands_after_agent(Bot("b", default=Default(default)), State(state)) == commands


@pytest.mark.parametrize(
    ("of_bot", "override", "applies"),
    [
        (ON, None, ON),
        (ON, OFF, OFF),
        (ON, NEVER, NEVER),
        (OFF, None, OFF),
        (OFF, ON, ON),
        (OFF, NEVER, NEVER),
        (NEVER, None, NEVER),
        (NEVER, ON, NEVER),
        (NEVER, OFF, NEVER),
    ],
)
def test_an_override_beats_everything_but_the_bots_never(
    of_bot: AgentPolicy, override: AgentPolicy | None, applies: AgentPolicy
) -> None:
    assert effective_policy(Bot("b", agent=of_bot), override) is applies


@pytest.mark.parametrize("bot", BOTS)
def test_with_off_and_never_nothing_records_the_agent(bot: Bot) -> None:
    if bot.agent is ON:
        return
    for recorder in SOUND:
        after = carry_out(recorder, commands_for_agent(bot, recorder.state))
        assert after.state is not State.RECORDING
        is_over = after.state in {State.STOPPED, State.ENDED}
        assert is_over or Source.AGENT in after.holds


@pytest.mark.parametrize("bot", BOTS)
def test_no_step_of_an_off_records_on_the_way(bot: Bot) -> None:
    if bot.agent is ON:
        return
    for recorder in SOUND:
        for one in commands_for_agent(bot, recorder.state):
            recorder = carry_out(recorder, (one,))
            assert recorder.state is not State.RECORDING


@pytest.mark.parametrize("bot", BOTS)
def test_a_final_stop_stays_final_whatever_agents_do(bot: Bot) -> None:
    stopped = Recorder(State.STOPPED)
    met = carry_out(stopped, commands_for_agent(bot, State.STOPPED))
    assert carry_out(met, commands_after_agent(bot, State.STOPPED)) == stopped


@pytest.mark.parametrize("bot", BOTS)
def test_an_operators_hold_outlasts_agents_coming_and_going(bot: Bot) -> None:
    held = Recorder(State.PAUSED, frozenset({Source.OPERATOR}))
    met = carry_out(held, commands_for_agent(bot, held.state))
    back = carry_out(met, commands_after_agent(bot, met.state))
    for recorder in (met, back):
        assert Source.OPERATOR in recorder.holds
        assert recorder.state is not State.RECORDING


@pytest.mark.parametrize("bot", BOTS)
def test_the_tables_never_ask_for_what_the_recorder_refuses(bot: Bot) -> None:
    for recorder in SOUND:
        try:
            met = carry_out(recorder, commands_for_agent(bot, recorder.state))
            carry_out(met, commands_after_agent(bot, met.state))
        except RecorderRefusedError as error:
            pytest.fail(f"{bot} in {recorder}: {error}")


@pytest.mark.parametrize("default", Default)
def test_after_an_agent_off_the_bot_is_recorded_again_by_its_default(default: Default) -> None:
    bot = Bot("b", agent=OFF, default=default)
    met = carry_out(Recorder(State.RECORDING), commands_for_agent(bot, State.RECORDING))
    back = carry_out(met, commands_after_agent(bot, met.state))
    expected = State.RECORDING if default is Default.ON else State.INACTIVE
    assert back == Recorder(expected)


def test_an_agent_on_releases_the_turns_hold_and_no_other() -> None:
    bot = Bot("b", agent=ON)
    held = Recorder(State.PAUSED, frozenset({Source.TURN}))
    assert carry_out(held, commands_for_agent(bot, held.state)) == Recorder(State.RECORDING)
