"""What the real server and the command line leave: readable by the service alone, and no secret.

Under umask 000, with every secret that can be configured, after a call, an export, a redaction, a
webhook, requests that were refused, and an end in order.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.pbx.callers import FLOW, Caller, connect, dialplan, write_prompts
from tests.pbx.process import Server, free_port, ledger_of, serving, turnrec
from tests.pbx.rig import Rig, rig
from turnrec.ledger.views import RecordingRecord
from turnrec.pbx.packages import Installation
from turnrec.pbx.phone import MediaClock, Phone

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

MADE_HERE = frozenset({"pbx", "sounds", "pytest"})
"""Folders of the rig: the PBX's own, and the prompts."""
RIGS = frozenset({"flow.yaml", "tests.conf", "queues.conf", "features.conf", "pjsip.conf",
                  "manager.conf", "turnrec.toml", "turnrec.log"})  # fmt: skip
OWN_SECRETS = frozenset({"turnrec.toml", "signing.key", "webhooks.db"})
"""Where a secret is to be: the settings, the key itself, and what a webhook is signed with."""


@contextmanager
def any_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def settings() -> dict[str, dict[str, str]]:
    return {
        "server": {"agi_port": str(free_port()), "control_socket": '"run/deep/control.sock"'},
        "api": {"port": str(free_port()), "keys_file": '"var/deep/api-keys.json"'},
        "recordings": {"dir": '"var/lib/recordings"', "keep_parts": "true"},
        "ledger": {
            "url": '"sqlite:///var/ledgers/ledger.db"',
            "signing_key_file": '"signing.key"',
            "checkpoint_every_s": "1",
        },
        "log": {"level": '"debug"'},
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def made(here: Rig) -> list[Path]:
    """Every file and folder that isn't the rig's, Asterisk's, or the public key."""
    spool = here.settings.recordings.spool_dir
    return [
        path
        for path in here.folder.rglob("*")
        if path.relative_to(here.folder).parts[0] not in MADE_HERE | RIGS
        and spool not in (path, *path.parents)
        and path.suffix != ".pub"
    ]


async def one_call(here: Rig) -> RecordingRecord:
    async with Phone(clock=MediaClock()) as phone, ledger_of(here) as ledger:
        caller = Caller(here, "test-segment")
        await connect(here, phone, caller)
        await caller.reaches_the_end()
        (recording,) = await ledger.closed_recordings(1)
        return recording


class Secrets:
    """Everything that may stand nowhere but in its own place."""

    def __init__(self, here: Rig, api_key: str, webhook: str) -> None:
        pem = (here.folder / "signing.key").read_text("ascii").splitlines()
        self.words = {
            "AMI secret": here.pbx.secrets.ami,
            "API key": api_key,
            "API key's secret": api_key.rpartition("_")[2][-30:],
            "webhook's secret": webhook.removeprefix("whsec_"),
            "signing key": pem[1],
        }

    def found_in(self, data: bytes) -> list[str]:
        return [name for name, word in self.words.items() if word.encode() in data]


def process_lists(server: Server) -> bytes:
    """The command lines of the server and of all that it has started, as `ps` shows them."""
    pids, seen = [server.pid], b""
    while pids:
        pid = pids.pop()
        seen += Path(f"/proc/{pid}/cmdline").read_bytes()
        tasks = Path(f"/proc/{pid}/task").iterdir()
        pids += [int(one) for task in tasks for one in (task / "children").read_text().split()]
    return seen


async def test_nothing_is_readable_by_others_and_no_secret_is_left_anywhere(
    asterisk_22: Installation, tmp_path: Path
) -> None:
    bot = dialplan("start", "open", "ask", "open")
    with any_umask():
        async with rig(asterisk_22, tmp_path, FLOW, bot, start=False, toml=settings()) as here:
            write_prompts(here)
            assert (await turnrec(here, "key", "new", str(tmp_path / "signing.key"))).status == 0
            made_key = await turnrec(here, "api-key", "new", "desk", "--right", "admin", "--json")
            key = str(made_key.json["key"])
            said = b""
            async with serving(here) as server:
                url = f"http://127.0.0.1:{here.settings.api.port}"
                headers = {"Authorization": f"Bearer {key}"}
                async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
                    hook = await client.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/x"})
                    assert hook.status_code == 201, hook.text
                    secrets = Secrets(here, key, hook.json()["secret"])
                    recording = await one_call(here)
                    said += await asked(client, recording.recording_id, key)
                said += await typed(here, recording.recording_id)
                said += process_lists(server)
                sockets = [here.settings.server.control_socket]
                assert [mode(one) for one in sockets] == [0o600]
                assert [str(one) for one in made(here) if mode(one) & 0o007] == []
            leaks = {
                str(path.relative_to(tmp_path)): found
                for path in [*made(here), tmp_path / "turnrec.log"]
                if path.is_file() and path.name.partition("-")[0] not in OWN_SECRETS
                if (found := secrets.found_in(path.read_bytes()))
            }
            assert leaks == {}
            assert secrets.found_in(said) == []
            assert [str(one) for one in made(here) if mode(one) & 0o007] == []
            modes = {one.name: mode(one) for one in made(here) if one.is_file()}
            assert modes["signing.key"] == modes["webhooks.db"] == modes["api-keys.json"] == 0o600
            assert mode(here.folder / "run" / "deep") == 0o700
            writable = [str(one) for one in made(here) if mode(one) & 0o022]
            assert writable == []


async def asked(client: httpx.AsyncClient, recording: str, key: str) -> bytes:
    """Ask for everything that there is, and for much that there isn't; all that was answered."""
    said = b""
    own = f"/v1/recordings/{recording}"
    paths = ["/", "/healthz", "/readyz", "/metrics", f"/{key}", f"/v1/{key}", own]
    paths += [f"{own}/manifest", f"{own}/audio?format=flac", f"{own}/verify"]
    paths += [f"/v1/{one}" for one in ("status", "me", "calls", "webhooks", "recordings")]
    for path in (*paths, "/v1/openapi.json"):
        bad = json.dumps({"secret": key, key: key})
        for answer in (
            await client.get(path),
            await client.get(path, headers={"Authorization": f"Bearer {key}x"}),
            await client.post(path, content=bad),
            await client.post(path, content=key.encode(), headers={"Idempotency-Key": key}),
        ):
            said += str(answer.headers).encode() + answer.content
    # A name that nobody has is told back to who asked for it, and is to be in no log.
    for path in (f"/v1/calls/{key}", f"/v1/recordings/{key}", f"/v1/recordings/{key}/audio"):
        assert (await client.get(path)).status_code == 404
    return said


async def typed(here: Rig, recording: str) -> bytes:
    """Use the command line, and what it says of itself with every secret in its environment."""
    said = b""
    out = here.folder / "exports"
    out.mkdir(mode=0o750)
    before = dict(os.environ)
    os.environ["TURNREC_ASTERISK__AMI_SECRET"] = here.pbx.secrets.ami
    try:
        for words in (
            ["export", recording, "--format", "flac", "--out", str(out)],
            ["export", recording, "--behavior", "skip", "--out", str(out / "copy.wav")],
            ["redact", recording, "--from", "0", "--to", "0.2", "--reason", "a test"],
            ["manifest", recording, "--out", str(out / "manifest.json")],
            ["verify", str(out)],
            ["recordings"], ["status"], ["webhook", "list"], ["api-key", "list"],
            ["serve", "--help"], ["--help"], ["calls", "--url", "http://u:x@127.0.0.1:1"],
        ):  # fmt: skip
            done = await turnrec(here, *words)
            said += done.out.encode() + done.err.encode()
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert {"copy.wav", "copy.wav.map.json"} <= {one.name for one in out.iterdir()}, said
    return said
