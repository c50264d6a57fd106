"""The commands for calls: shown, watched, and acted on. They ask the server, which decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from turnrec.cli_base import (
    CallArgument,
    CommandGroup,
    CursorOption,
    JsonOption,
    LimitOption,
    UtcOption,
    asks,
    pages,
    url_of,
)
from turnrec.cli_show import (
    Column,
    clock_time,
    complain,
    length,
    say,
    say_json,
    say_rich,
    show_facts,
    show_table,
    state,
    text,
    when,
)
from turnrec.core.policy import Action, AgentPolicy
from turnrec.web.client import Client

GROUP = CommandGroup("Calls")
_MOST = 1000

ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for the ledger.")]
BotOption = Annotated[str | None, typer.Option("--bot", help="Only this bot's.")]


# ------------------------------------------------------------------ looking


def call_columns(*, utc: bool, past: bool) -> list[Column]:
    """The columns of a table of calls."""
    ended = [Column("ended", when(utc=utc), "ended", 130)] if past else []
    return [
        Column("id", text, "id", is_whole=True),
        Column("bot", text, "bot"),
        Column("node", text, "node"),
        Column("state", state, "state", is_whole=True),
        Column("held by", text, "holds"),
        Column("started", when(utc=utc), "started", 100),
        *ended,
        Column("channel", text, "channel", 125),
    ]


@GROUP.command(
    "calls", "turnrec calls", "turnrec calls --all --bot kyc", "turnrec calls --json | jq '.[].id'"
)
@asks
def calls(
    client: Client,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Past calls too.")] = False,
    bot: BotOption = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the calls that are live now, the newest first."""
    query = {"live": not everything, "bot": bot, "limit": limit, "cursor": cursor}
    found, more = pages(client, "/v1/calls", everything=False, **query)
    if as_json:
        say_json(found)
    else:
        show_table(found, call_columns(utc=utc, past=everything), none="no calls")
    if more is not None:
        complain(f"there is more: --cursor {more}, or a larger --limit")


@GROUP.command("call", "turnrec call 1731402.17", "turnrec call kyc-4711 --json")
@asks
def call(
    client: Client,
    call: CallArgument,
    *,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show one call, live or past: how it stands, and its timeline."""
    found = client.get(url_of("calls", call))
    timeline, _ = pages(
        client, url_of("calls", found["id"], "timeline"), everything=True, limit=_MOST
    )
    if as_json:
        say_json({**found, "timeline": timeline})
        return
    show_facts(_facts(found, utc=utc))
    say()
    for event in timeline:
        say_rich(event_line(event, utc=utc, names_call=False))
    if not timeline:
        say("nothing has happened yet")


def _facts(found: Mapping[str, Any], *, utc: bool) -> Iterator[tuple[str, str | Text]]:
    held = f", held by {text(found['holds'])}" if found["holds"] else ""
    yield "call", text(found["id"])
    yield "state", Text.assemble(state(found["state"]), held)
    yield "bot", text(found["bot"])
    yield "node", text(found["node"])
    yield "started", when(utc=utc)(found["started"])
    if found["ended"]:
        yield "ended", when(utc=utc)(found["ended"])
    for name in ("channel", "uniqueid", "external_id", "recording"):
        if found[name]:
            yield name.replace("_", " "), text(found[name])
    for party in found["company"]:
        yield "hears", f"{text(party['channel'])} ({text(party['party'])})"
    if found["unconfirmed_monitors"]:
        count = found["unconfirmed_monitors"]
        yield "NOT KNOWN", Text(f"whether {count} monitors still run", style="bold red")
    if found["ended"] is None:
        yield "you can", text(found["allowed"])


_LOUD = {"alarm": "bold red", "recording.failed": "bold red", "action.failed": "bold red"}
_STATE_OF = {
    "recording.started": "recording",
    "recording.resumed": "recording",
    "recording.paused": "paused",
}


def event_line(event: Mapping[str, Any], *, utc: bool, names_call: bool) -> Text:
    """An event as one line."""
    data = event["data"]
    line = Text(clock_time(event["timestamp"], utc=utc), style="dim")
    if names_call:
        line.append(f"  {event['seq']:>6}", style="dim")
        line.append(f"  {event['call'] or '-':<26}", style="not dim")
    style = _LOUD.get(event["type"], "not dim bold")
    line.append("  ").append(f"{event['type']:<22}", style=style)
    for part in _said(event["type"], data):
        line.append("  ").append_text(
            part.copy() if isinstance(part, Text) else Text(part, "not dim")
        )
    return line


def _said(event_type: str, data: Mapping[str, Any]) -> Iterator[str | Text]:
    if event_type == "turn.begun":
        yield f"{text(data.get('node'))} (turn {text(data.get('turn'))})"
    now = _STATE_OF.get(event_type)
    if now is not None:
        shown = data.get("state") or now
        yield Text.assemble("now ", state(shown), style="not dim")
    if data.get("holds"):
        yield f"held by {text(data['holds'])}"
    if event_type.startswith("action."):
        yield f"{text(data.get('action'))}: {text(data.get('result'))}"
    if event_type == "alarm":
        yield text(data.get("sentence") or data.get("result"))
    if isinstance(data.get("parties"), list):
        parties = [one.get("party") for one in data["parties"] if isinstance(one, Mapping)]
        yield f"{text(parties)}{', announced' if data.get('announced') else ''}"
    if data.get("policy"):
        yield f"policy {text(data['policy'])}"
    if isinstance(data.get("samples"), int) and data.get("rate_hz"):
        yield length(data["samples"] / data["rate_hz"])
    if data.get("file"):
        yield text(data["file"])
    if data.get("reason"):
        yield f"“{text(data['reason'])}”"
    if data.get("actor"):
        yield f"by {text(data['actor'])}"


# ------------------------------------------------------------------ what a bot says


@GROUP.command("begin", "turnrec begin 1731402.17 kyc --external-id kyc-4711")
@asks
def begin(
    client: Client,
    uniqueid: Annotated[str, typer.Argument(help="The channel's uniqueid.")],
    bot: Annotated[str, typer.Argument(help="The bot that has it, as the flow file names it.")],
    *,
    external_id: Annotated[
        str | None, typer.Option(help="The bot's own name for the call.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a call on a live channel that isn't in the dialplan (ARI, AudioSocket)."""
    body = {"uniqueid": uniqueid, "bot": bot, "external_id": external_id}
    _tell(client.post("/v1/calls", body), as_json=as_json)


@GROUP.command(
    "turn", "turnrec turn kyc-4711 ask_aadhaar", "turnrec turn kyc-4711 confirm --sequence 3"
)
@asks
def turn(
    client: Client,
    call: CallArgument,
    node: Annotated[str, typer.Argument(help="The node of the bot's flow.")],
    *,
    sequence: Annotated[
        int | None, typer.Option(min=0, help="The bot's running number: a stale turn is refused.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a turn on a live call; when this returns, what its node asks is true."""
    body = {"node": node, "sequence": sequence}
    _tell(client.post(url_of("calls", call, "turns"), body), as_json=as_json)


@GROUP.command("agent", "turnrec agent kyc-4711 --policy off", "turnrec agent kyc-4711 --gone")
@asks
def agent(
    client: Client,
    call: CallArgument,
    *,
    policy: Annotated[
        AgentPolicy | None, typer.Option(help="This transfer's own policy [default: the bot's].")
    ] = None,
    gone: Annotated[bool, typer.Option("--gone", help="The caller is back with the bot.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say that an agent is about to come, before it rings; or that the agent is gone."""
    if gone and policy is not None:
        raise typer.BadParameter("who is gone has no policy", param_hint="--policy")
    url = url_of("calls", call, "agent")
    outcome = client.delete(url) if gone else client.post(url, {"policy": policy})
    _tell(outcome, as_json=as_json)


# ------------------------------------------------------------------ an operator's actions


@GROUP.command(
    "start", "turnrec start kyc-4711", "turnrec start kyc-4711 --new --reason 'second topic'"
)
@asks
def start(
    client: Client,
    call: CallArgument,
    *,
    new: Annotated[bool, typer.Option("--new", help="Finish the open recording first.")] = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a recording on a live call."""
    _act(client, call, Action.START, reason, new=new, as_json=as_json)


@GROUP.command("pause", "turnrec pause kyc-4711 --reason 'the caller asked for it'")
@asks
def pause(
    client: Client, call: CallArgument, *, reason: ReasonOption = None, as_json: JsonOption = False
) -> None:
    """Pause a live call's recording, on top of what the bot says."""
    _act(client, call, Action.PAUSE, reason, as_json=as_json)


@GROUP.command("resume", "turnrec resume kyc-4711")
@asks
def resume(
    client: Client, call: CallArgument, *, reason: ReasonOption = None, as_json: JsonOption = False
) -> None:
    """Take your own pause back. What the bot holds stays held."""
    _act(client, call, Action.RESUME, reason, as_json=as_json)


@GROUP.command("stop", "turnrec stop kyc-4711 --reason 'consent withdrawn'")
@asks
def stop(
    client: Client, call: CallArgument, *, reason: ReasonOption = None, as_json: JsonOption = False
) -> None:
    """Stop a live call's recording; for good, unless the bot's policy says otherwise."""
    _act(client, call, Action.STOP, reason, as_json=as_json)


def _act(
    client: Client,
    call: str,
    action: Action,
    reason: str | None,
    *,
    as_json: bool,
    new: bool = False,
) -> None:
    body = {"action": action.value, "new": new, "reason": reason, "actor": client.person}
    _tell(client.post(url_of("calls", call, "actions"), body), as_json=as_json)


def _tell(outcome: Mapping[str, Any], *, as_json: bool) -> None:
    """Say how the call stands now, and on standard error what one should know all the same."""
    if outcome["notice"]:
        complain(outcome["notice"]["sentence"])
    if as_json:
        say_json(outcome)
        return
    after = outcome["call"]
    held = f", held by {text(after['holds'])}" if after["holds"] else ""
    say_rich(Text.assemble(state(after["state"]), held))
