"""What can be said of a flow whose nodes may come in any order; what can't be is said, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from turnrec.check.findings import Finding, Visit
from turnrec.check.steps import Situation, Step, first_turn, take
from turnrec.core.policy import Action, AgentPolicy, Bot, Default, Node, Scope
from turnrec.core.recorder import State
from turnrec.flow_places import Place


class AnyOrder:
    """Looks at one bot that doesn't say what follows its first node."""

    def __init__(self, bot: Bot, file: str, place: Callable[..., Place]) -> None:
        self._bot = bot
        self._nodes = tuple(bot.nodes.values())
        self._file = file
        self._place = place

    def findings(self) -> Iterator[Finding]:
        """What is so in whatever order the nodes come."""
        for node in self._nodes:
            path = self._path_that_records(node)
            if node.sensitive and path and (node.action is not None or self._records_always):
                why = "nothing in this bot pauses" if node.action is None else "by its own action"
                sentence = f"{node.name} is sensitive and is recorded: {why}"
                yield self._finding("sensitive-recorded", node, sentence, path)
            alone = self._path(node)
            is_paused = _pauses(node) and alone[-1].state is State.PAUSED
            if node.transfer and is_paused and self._bot.agent is AgentPolicy.ON:
                sentence = (
                    f"{node.name} hands the call over while it is paused, and the agent's coming"
                    " ends the pause (agent: on)"
                )
                yield self._finding("transfer-while-paused", node, sentence, alone, at="transfer")
            if node.new and node.name in node.successors:
                sentence = f"each retry of {node.name} ends the recording and begins another"
                path = self._path(node, node)
                yield self._finding("retry-starts-new", node, sentence, path, at="new")
        yield from self._never_resumed()

    def not_checked(self) -> Iterator[str]:
        """Sentences, each of something that can't be said."""
        acting = [node for node in self._nodes if node.action is not None]
        if acting:
            yield (
                f"{self._nodes[0].name} doesn't name what follows it (next), so its nodes may come"
                " in any order: nothing is said of which paths are paused, resumed or stopped"
            )
        silent = [node.name for node in self._nodes if node.sensitive and node.action is None]
        if silent and not self._records_always:
            more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
            yield (
                f"whether {silent[0]}{more} is recorded depends on what comes before: say"
                " `action: pause` in each sensitive node, or name what follows each node"
            )

    @property
    def _records_always(self) -> bool:
        """Whether no node can keep another from being recorded."""
        keeping = {Action.PAUSE, Action.STOP}
        is_kept = any(node.action in keeping or node.transfer for node in self._nodes)
        return self._bot.default is Default.ON and not is_kept

    def _never_resumed(self) -> Iterator[Finding]:
        """A sticky pause in a bot of which no node can ever end it."""
        ends = any(
            node.action is Action.RESUME or (node.transfer and self._bot.agent is AgentPolicy.ON)
            for node in self._nodes
        )
        if ends:
            return
        for number, node in enumerate(self._nodes):
            if not _pauses(node) or node.scope is Scope.TURN:
                continue
            # In any order some may come before; those below it in the file are meant to come after.
            for later in self._nodes[number + 1 :]:
                if later.action in (None, Action.START) and not later.sensitive:
                    sentence = (
                        f"no node of {self._bot.name} ends {node.name}'s pause:"
                        f" {later.name} is not recorded after it, nor is anything else"
                    )
                    path = self._path(node, later)
                    yield self._finding("pause-never-resumed", node, sentence, path, at="action")
                    break

    def _path_that_records(self, node: Node) -> tuple[Visit, ...]:
        """A shortest path at whose end the node is recorded, where there is one of two nodes."""
        starts = [one for one in self._nodes if one.action is Action.START and one is not node]
        for path in ((node,), *((start, node) for start in starts[:1])):
            visits = self._path(*path)
            if visits[-1].state is State.RECORDING:
                return visits
        return ()

    def _path(self, *nodes: Node) -> tuple[Visit, ...]:
        visits: list[Visit] = []
        before: tuple[Node, Situation] | None = None
        for node in nodes:
            outcome = (
                first_turn(self._bot, node)
                if before is None
                else take(self._bot, *before, Step.TURN, node)
            )
            before = node, outcome.situation
            state = outcome.situation.recorder.state
            visits.append(Visit(node.name, Step.TURN, state, self._place(node.name)))
        return tuple(visits)

    def _finding(
        self, id_: str, node: Node, sentence: str, path: tuple[Visit, ...], at: str = ""
    ) -> Finding:
        place = self._place(node.name, at) if at else self._place(node.name)
        return Finding(id_, self._file, place, sentence, self._bot.name, node.name, path)


def _pauses(node: Node) -> bool:
    return node.action is Action.PAUSE
