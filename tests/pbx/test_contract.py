"""The API keeps its contract: Schemathesis against a running server, a real Asterisk, a live call.

Schemathesis makes requests from `/v1/openapi.json`, sound ones and broken ones, and holds every
answer against it: statuses, shapes, media types, that no key is no entry, that nothing is a 500.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.pbx.rig import WAIT_S, Rig, rig, until
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, MediaOptions, Phone, Silence
from turnrec.web.access import Right

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

FLOW = """
version: 1
defaults: {stop_is_final: false, guard_ms: 10}
bots:
  kyc:
    nodes: {greeting: , ask: pause, open: resume}
"""
DIALPLAN = """
[turnrec-tests](+)
exten => waits,1,Answer()
 same => n,Gosub(turnrec-start,s,1(kyc,ext-1))
 same => n,Gosub(turnrec-turn,s,1(greeting))
 same => n,Wait(600)
"""
STREAMS = r"/(live|events)$"
"""Streams never end, so they can't be held against a contract; tests of their own read them."""
CONFIG = """
# 410: what there was, and is over.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 410, 429, "5xx"]

# That times follow each other, that words lie in their utterance, and what can be reached by a URL,
# no schema can say.
[[operations]]
include-path-regex = "/(utterances|redact|webhooks)$"
[operations.checks]
positive_data_acceptance.enabled = false
"""
API = {"api": {"requests_per_s": "100000"}}


def key_for(here: Rig, *rights: Right) -> str:
    return here.service.keys.make("schemathesis", frozenset(rights), None, here.service.clock())


async def schemathesis(here: Rig, key: str, parameters: dict[str, str], *options: str) -> str:
    """Run it; what it found."""
    url = f"http://127.0.0.1:{here.service.api_port}"
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in parameters.items()]
    config = here.folder / "schemathesis.toml"
    config.write_text("\n".join(["[parameters]", *lines, CONFIG]), "utf-8")
    child = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        str(config),
        "run",
        f"{url}/v1/openapi.json",
        "--header",
        f"Authorization: Bearer {key}",
        "--max-examples",
        os.environ.get("TURNREC_FUZZ_EXAMPLES", "20"),
        "--continue-on-failure",
        "--generation-deterministic",
        "--no-color",
        *options,
        cwd=here.folder,
        env=dict(os.environ, NO_COLOR="1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await child.communicate()
    text = out.decode()
    print(text)
    return "" if child.returncode == 0 else text


@pytest.mark.parametrize("known", [True, False], ids=["real-names", "any-names"])
async def test_every_answer_is_as_the_contract_says(
    asterisk_22: Installation, tmp_path: Path, *, known: bool
) -> None:
    async with (
        rig(asterisk_22, tmp_path, FLOW, DIALPLAN, toml=API) as here,
        Phone(clock=MediaClock()) as phone,
    ):
        # One recording that is over, and one call that lives.
        done = await phone.dial(f"sip:waits@{here.sip}", MediaOptions(source=Silence()))
        await until(lambda: len(here.service.calls.live()) == 1, "a call")
        await done.hang_up(WAIT_S)
        (recording,) = await here.recordings(1)
        talk = await phone.dial(f"sip:waits@{here.sip}", MediaOptions(source=Silence()))
        await until(lambda: len(here.service.calls.live()) == 1, "another call")
        (call,) = here.service.calls.live()
        names = {
            "call": call.id,
            "recording_id": recording.recording_id,
            "name": recording.recording_id,
        }
        # The one recording is to last; deleting has tests of its own.
        options = (
            ("--exclude-path-regex", f"{STREAMS}|/delete$")
            if known
            else ("--exclude-path-regex", STREAMS)
        )
        given = names if known else {}
        found = await schemathesis(here, key_for(here, *Right), given, *options)
        assert here.service.calls.find(call.uniqueid) is call, "the call has not been harmed"
        await talk.hang_up(WAIT_S)
    assert found == ""
