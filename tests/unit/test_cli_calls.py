"""The commands for calls and recordings: what they ask, what they print, how they end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli_world import Asked, World, call, event, page, world_at
from turnrec.web.client import this_user

DONE, REFUSED, WRONG, NOBODY = 0, 1, 2, 3


@pytest.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[World]:
    async with world_at(tmp_path, monkeypatch, capsys) as made:
        yield made


def outcome(**changes: Any) -> dict[str, object]:
    return {"call": call(**changes), "notice": None}


async def test_a_pipe_gets_plain_columns_that_are_neither_coloured_nor_cut(world: World) -> None:
    channel = "PJSIP/" + "long-" * 60 + "1"
    world.api.answers["GET /v1/calls"] = page(call(channel=channel), call(2, holds=["turn"]))
    done = await world.run("calls", "--utc")
    head, first, second = done.out.splitlines()
    assert head.split() == ["id", "bot", "node", "state", "held", "by", "started", "channel"]
    assert first.endswith(channel)
    assert "2026-11-21 13:05:00Z" in first
    assert "\x1b" not in done.out
    assert "turn" in second
    assert (done.status, done.err) == (DONE, "")


async def test_calls_asks_for_what_it_was_told_and_says_that_there_is_more(world: World) -> None:
    world.api.answers["GET /v1/calls"] = page(call(), following="01CALL0")
    done = await world.run("calls", "--all", "--bot", "kyc", "--limit", "1", "--json")
    (asked,) = world.api.asked
    assert asked.query == {"live": "false", "bot": "kyc", "limit": "1"}
    assert done.json == [call()]
    assert "--cursor 01CALL0" in done.err


async def test_what_others_named_steers_no_terminal(world: World) -> None:
    world.api.answers["GET /v1/calls"] = page(call(channel="x\x1b[2Jy\nz\r"))
    done = await world.run("calls")
    assert len(done.out.splitlines()) == 2
    assert "\x1b" not in done.out
    assert "\r" not in done.out


async def test_one_call_is_shown_with_its_whole_timeline(world: World) -> None:
    world.api.answers["GET /v1/calls/kyc-1"] = call(holds=["operator"], state="paused")

    def timeline(asked: Asked) -> object:
        if "cursor" not in asked.query:
            return page(event(1, "call.started"), following="1")
        return page(
            event(2, "recording.paused", state="paused", holds=["operator"], actor="cli:anna")
        )

    world.api.answers["GET /v1/calls/01CALL1/timeline"] = timeline
    done = await world.run("call", "kyc-1", "--utc")
    assert "paused, held by operator" in done.out
    assert "13:05:00.250Z  call.started" in done.out
    assert "by cli:anna" in done.out
    both = (await world.run("call", "kyc-1", "--json")).json
    assert [one["seq"] for one in both["timeline"]] == [1, 2]


@pytest.mark.parametrize("action", ["start", "pause", "resume", "stop"])
async def test_an_action_sends_its_reason_and_tells_how_the_call_stands(
    action: str, world: World
) -> None:
    world.api.answers["POST /v1/calls/kyc-1/actions"] = outcome(state="paused", holds=["operator"])
    done = await world.run(action, "kyc-1", "--reason", "asked for")
    (asked,) = world.api.asked
    assert asked.body == {"action": action, "new": False, "reason": "asked for", "actor": None}
    assert asked.headers["turnrec-actor"] == (this_user() or "local")
    assert "idempotency-key" not in asked.headers
    assert (done.status, done.out) == (DONE, "paused, held by operator\n")


async def test_a_notice_is_said_beside_the_answer(world: World) -> None:
    notice = {"id": "held-by-another", "sentence": "it is paused still: held by: turn"}
    world.api.answers["POST /v1/calls/x/actions"] = {"call": call(), "notice": notice}
    done = await world.run("resume", "x")
    assert (done.out, done.err) == ("recording\n", "it is paused still: held by: turn\n")
    assert (await world.run("resume", "x", "--json")).json["notice"] == notice


async def test_start_new_turn_begin_and_agents_say_what_they_mean(world: World) -> None:
    for path in ("calls", "calls/x/actions", "calls/x/turns", "calls/x/agent"):
        world.api.answers[f"POST /v1/{path}"] = outcome()
    world.api.answers["DELETE /v1/calls/x/agent"] = outcome()
    for words in (
        "start x --new",
        "turn x ask --sequence 3",
        "turn x ask",
        "begin 17.1 kyc --external-id e",
        "agent x --policy never",
        "agent x",
        "agent x --gone",
    ):
        assert (await world.run(*words.split())).status == DONE, words
    bodies = [(one.method, one.path, one.body) for one in world.api.asked]
    assert bodies[0][2]["new"] is True
    assert bodies[1:] == [
        ("POST", "/v1/calls/x/turns", {"node": "ask", "sequence": 3}),
        ("POST", "/v1/calls/x/turns", {"node": "ask", "sequence": None}),
        ("POST", "/v1/calls", {"uniqueid": "17.1", "bot": "kyc", "external_id": "e"}),
        ("POST", "/v1/calls/x/agent", {"policy": "never"}),
        ("POST", "/v1/calls/x/agent", {"policy": None}),
        ("DELETE", "/v1/calls/x/agent", None),
    ]
    assert (await world.run("agent", "x", "--gone", "--policy", "on")).status == WRONG


async def test_a_refusal_is_one_sentence_with_its_id(world: World) -> None:
    problem = {"id": "recording-stopped", "detail": "cannot start: it was stopped for good"}
    world.api.answers["POST /v1/calls/x/actions"] = (409, problem)
    done = await world.run("start", "x")
    assert (done.status, done.out) == (REFUSED, "")
    assert done.err == "turnrec: cannot start: it was stopped for good [recording-stopped]\n"


@pytest.mark.parametrize("name", ["../flow/reload?", "a/b", "..", ".", "", "PJSIP/x-1"])
async def test_a_name_never_leaves_its_place_in_the_address(name: str, world: World) -> None:
    for words in (("pause", name), ("delete", name, "--reason", "x"), ("transcript", name)):
        done = await world.run(*words)
        assert done.status == REFUSED
        assert "[unknown-" in done.err
    assert world.api.asked == []


async def test_names_are_quoted_where_they_may_be_anything(world: World) -> None:
    world.api.answers["GET /v1/calls/a b?c#d%2F"] = call()
    world.api.answers["GET /v1/calls/01CALL1/timeline"] = page()
    assert (await world.run("call", "a b?c#d%2F")).status == DONE


# ------------------------------------------------------------------ recordings


def recording(**changes: object) -> dict[str, object]:
    return {
        "id": "01REC1",
        "call": "01CALL1",
        "bot": "kyc",
        "opened": "2026-11-21T13:05:00.250+00:00",
        "closed": "2026-11-21T13:06:00.250+00:00",
        "status": "done",
        "file": "2026-11-21/01REC1.wav",
        "path": None,
        "duration_s": 60.0,
        "rate_hz": 8000,
        "sha256": "ab" * 32,
        "legal_hold": None,
        "gaps": [],
        "spans": [
            {"kind": "segment", "start_sample": 0, "samples": 8000, "sources": [], "node": "a"},
            {"kind": "gap", "start_sample": 8000, "samples": 4, "sources": ["turn"], "node": "b"},
        ],
        "stereo": False,
        "transcript": True,
        "redacts": None,
        "redacted_into": [],
        "one_sided": [],
        "problems": ["segment 2: lost"],
        **changes,
    }


async def test_recordings_are_looked_for_by_everything_that_is_known_of_them(world: World) -> None:
    world.api.answers["GET /v1/recordings"] = page(recording())
    done = await world.run(
        *("recordings", "--bot", "kyc", "--status", "done", "--call", "x", "-q", "01"),
        *("--from", "2026-11-21", "--to", "2026-11-21T14:05:00+01:00", "--cursor", "c"),
    )
    (asked,) = world.api.asked
    assert asked.query == {
        "bot": "kyc",
        "status": "done",
        "call": "x",
        "q": "01",
        "from": "2026-11-21T00:00:00.000+00:00",
        "to": "2026-11-21T13:05:00.000+00:00",
        "limit": "50",
        "cursor": "c",
    }
    assert "1:00" in done.out
    assert "2026-11-21/01REC1.wav" in done.out


async def test_all_pages_are_gone_through_to_the_end(world: World) -> None:
    def pages(asked: Asked) -> object:
        place = asked.query.get("cursor", "0")
        following = None if place == "2" else str(int(place) + 1)
        return page(recording(id=f"R{place}"), following=following)

    world.api.answers["GET /v1/recordings"] = pages
    found = (await world.run("recordings", "--all", "--json")).json
    assert [one["id"] for one in found] == ["R0", "R1", "R2"]
    one_page = await world.run("recordings", "--json")
    assert [one["id"] for one in one_page.json] == ["R0"]
    assert "--cursor 1" in one_page.err


async def test_words_for_times_that_are_none_are_wrong_usage(world: World) -> None:
    done = await world.run("recordings", "--from", "tomorrowish")
    assert done.status == WRONG
    assert "today" in done.err
    assert world.api.asked == []


async def test_one_recording_is_shown_with_its_place_in_the_file(world: World) -> None:
    world.api.answers["GET /v1/recordings/01REC1"] = recording(legal_hold="case 17")
    done = await world.run("recording", "01REC1")
    assert "segment 2: lost" in done.out
    assert "case 17" in done.out
    assert done.out.splitlines()[-1].split() == ["1.000", "1.000", "gap", "turn", "b"]


@pytest.mark.parametrize("exit_status", [0, 1, 3])
async def test_a_verification_ends_as_verify_does(exit_status: int, world: World) -> None:
    found = {"status": "x", "exit_status": exit_status, "sentences": ["It is what it is."]}
    world.api.answers["GET /v1/recordings/01REC1/verification"] = found
    done = await world.run("recording", "01REC1", "--verify")
    assert (done.status, done.out) == (exit_status, "It is what it is.\n")


async def test_a_manifest_comes_byte_by_byte_and_overwrites_nothing(world: World) -> None:
    content = b'{"a":  1}\r\n'
    world.api.answers["GET /v1/recordings/01REC1/manifest"] = content
    target = world.folder / "m.json"
    assert (await world.run("manifest", "01REC1", "--out", str(target))).status == DONE
    assert target.read_bytes() == content
    again = await world.run("manifest", "01REC1", "--out", str(target))
    assert again.status == REFUSED
    assert "m.json" in again.err


async def test_what_is_done_to_a_recording_names_who_and_why(world: World) -> None:
    for what in ("hold", "release", "delete"):
        world.api.answers[f"POST /v1/recordings/01REC1/{what}"] = {
            "deleted_files": 3,
            "left_files": [],
        }
        done = await world.run(what, "01REC1", "--reason", "case 17")
        assert done.status == DONE
        assert world.api.asked[-1].body == {"reason": "case 17", "actor": None}
    assert (await world.run("delete", "01REC1")).status == WRONG


async def test_files_that_would_not_go_are_named_and_are_no_success(world: World) -> None:
    world.api.answers["POST /v1/recordings/01REC1/delete"] = {
        "deleted_files": 1,
        "left_files": ["01REC1.flac"],
    }
    done = await world.run("delete", "01REC1", "--reason", "x")
    assert done.status == REFUSED
    assert "01REC1.flac" in done.err


# ------------------------------------------------------------------ the server


async def test_ready_tells_by_its_status_and_names_what_is_missing(world: World) -> None:
    parts = {"ready": True, "ami": True, "ledger": True, "room": True}
    world.api.answers["GET /readyz"] = parts
    assert (await world.run("ready")).out == "ready\n"
    world.api.answers["GET /readyz"] = (503, {**parts, "ready": False, "ami": False})
    done = await world.run("ready")
    assert (done.status, done.out) == (1, "not ready\n")
    assert "ami" in done.err
    assert "room" not in done.err
    assert (await world.run("ready", "--json")).json["ami"] is False


async def test_nobody_there_is_a_status_of_its_own(world: World) -> None:
    world.config.write_text(world.config.read_text().replace('"s"', '"elsewhere"'))
    for words in ("ready", "calls", "pause x", "watch", "events", "webhook list"):
        done = await world.run(*words.split())
        assert (done.status, done.out) == (NOBODY, ""), words
        assert "turnrec serve" in done.err


async def test_a_flow_with_mistakes_is_no_success(world: World) -> None:
    world.api.answers["POST /v1/flow/reload"] = {"mistakes": ["flow.yaml:1:1: empty"]}
    done = await world.run("reload")
    assert done.status == REFUSED
    assert done.err == "flow.yaml:1:1: empty\nthe old flow stays in force\n"


# ------------------------------------------------------------------ webhooks


async def test_a_webhook_s_secret_is_shown_once_and_alone(world: World) -> None:
    made = {"id": "W1", "secret": "whsec_x", "url": "https://a.example"}
    world.api.answers["POST /v1/webhooks"] = made
    done = await world.run(
        *("webhook", "add", "https://a.example/x?t=1", "--type", "alarm"),
        *("--type", "recording.*", "--bot", "kyc"),
    )
    assert world.api.asked[0].body == {
        "url": "https://a.example/x?t=1",
        "types": ["alarm", "recording.*"],
        "bots": ["kyc"],
    }
    assert done.out == "webhook W1\nsecret  whsec_x\n"
    assert "only time" in done.err


async def test_dead_letters_are_listed_and_sent_anew_one_or_all(world: World) -> None:
    letter = {
        "id": 7,
        "type": "alarm",
        "seq": 3,
        "attempts": 9,
        "status": 500,
        "error": None,
        "given_up": "2026-11-21T13:05:00.250+00:00",
    }
    path = "/v1/webhooks/W1/dead-letters"
    world.api.answers[f"GET {path}"] = page(letter, {**letter, "id": 6})
    for number in (6, 7):
        world.api.answers[f"POST {path}/{number}/retry"] = letter
    assert "500" in (await world.run("webhook", "dead", "W1")).out
    assert (await world.run("webhook", "retry", "W1", "7")).status == DONE
    assert (await world.run("webhook", "retry", "W1", "--all")).status == DONE
    posted = [one.path.split("/")[-2] for one in world.api.asked if one.method == "POST"]
    assert posted == ["7", "6", "7"]
    for words in ("webhook retry W1", "webhook retry W1 7 --all"):
        assert (await world.run(*words.split())).status == WRONG


async def test_a_webhook_is_listed_shown_and_removed(world: World) -> None:
    hook = {
        "id": "W1",
        "url": "https://a.example/x?...",
        "types": None,
        "bots": ["kyc"],
        "created": "2026-11-21T13:05:00.250+00:00",
        "disabled": "gone",
        "waiting": 0,
        "dead_letters": 2,
    }
    world.api.answers["GET /v1/webhooks"] = page(hook)
    world.api.answers["GET /v1/webhooks/W1"] = hook
    world.api.answers["DELETE /v1/webhooks/W1"] = (204, b"")
    for words in (("webhook", "list"), ("webhook", "show", "W1")):
        done = await world.run(*words)
        assert "off: gone" in done.out
        assert "https://a.example/x?..." in done.out
    assert (await world.run("webhook", "remove", "W1")).out == "webhook W1 is removed\n"


# ------------------------------------------------------------------ completion


async def complete(world: World, *words: str) -> list[str]:
    world.set("_TURNREC_COMPLETE", "complete_bash")
    world.set("COMP_WORDS", " ".join(["turnrec", *words]))
    world.set("COMP_CWORD", str(len(words)))
    with contextlib.suppress(SystemExit):
        return (await world.run()).out.split()
    return []


async def test_the_shell_completes_the_names_of_live_calls(world: World) -> None:
    world.api.answers["GET /v1/calls"] = page(call(1), call(2, external_id=None))
    assert await complete(world, "pause", "01") == ["01CALL1", "01CALL2"]
    assert await complete(world, "pause", "kyc") == ["kyc-1"]
    assert await complete(world, "paus") == ["pause"]


async def test_where_nobody_answers_nothing_is_completed_and_nothing_said(world: World) -> None:
    world.config.write_text(world.config.read_text().replace('"s"', '"elsewhere"'))
    assert await complete(world, "pause", "01") == []
    world.api.answers["GET /v1/calls"] = (500, json.dumps("x").encode())
    assert await complete(world, "pause", "01") == []
