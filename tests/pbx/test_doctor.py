"""`turnrec doctor` on a real installation: silent while it is sound, and each planted fault found.

One Asterisk, one turnrec. Each fault is planted alone, found by its id, mended by its own cure
(commands are pasted as they are printed), and then the doctor is silent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos import faketime
from tests.pbx.process import free_port
from tests.pbx.rig import WAIT_S
from turnrec.config import load_settings
from turnrec.doctor.finding import Finding, Status
from turnrec.doctor.look import Look
from turnrec.doctor.run import examine
from turnrec.pbx import instance
from turnrec.pbx.configuration import PbxSettings, templates_dir
from turnrec.pbx.packages import Installation

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

FLOW = """\
version: 1
bots:
  kyc:
    nodes:
      greeting:
      ask_aadhaar: {action: pause, sensitive: true}
      confirm: resume
"""
DIALPLAN = """\
[turnrec-tests](+)
exten => 1000,1,Answer()
 same => n,Gosub(turnrec-start,s,1(kyc))
 same => n,Gosub(turnrec-turn,s,1(ask_aadhaar))
 same => n,Dial(PJSIP/desk,30,gU(turnrec-agent))
 same => n,Hangup()
"""
OTHER_VERSION = (
    "import turnrec; turnrec.__version__ = '0.0.9'; from turnrec.cli import main; main()"
)
Mend = Callable[[], None]


class Installed:
    """Asterisk, its files, turnrec's files, and a server that can be exchanged."""

    def __init__(self, folder: Path, asterisk: Installation) -> None:
        self.folder = folder
        self.agi_port = free_port()
        self.config = folder / "turnrec.toml"
        self._server: subprocess.Popen[bytes] | None = None
        (folder / "flow.yaml").write_text(FLOW, "utf-8")
        (folder / "tests.conf").write_text(DIALPLAN, "utf-8")
        (folder / "turnrec.conf").write_bytes((templates_dir() / "turnrec.conf").read_bytes())
        self.pbx = instance.start(
            asterisk,
            PbxSettings(
                run_dir=folder / "pbx",
                spool_dir=folder / "spool",
                agi_url=f"agi://127.0.0.1:{self.agi_port}",
                extra_dialplan=(folder / "turnrec.conf", folder / "tests.conf"),
                verbose=0,
            ),
        )
        self.etc = folder / "pbx" / "etc"
        self.asterisk_command = shlex.join(
            [str(asterisk.executable), "-C", str(self.etc / "asterisk.conf")]
        )
        # The test PBX logs its dialplan's steps, which a sound installation doesn't.
        edit(self.etc / "logger.conf", ",verbose", "")
        with (self.etc / "modules.conf").open("a") as modules:
            modules.write("load => res_convert.so\n")  # a stock Asterisk has it
        self.pbx.rx("module load res_convert.so")
        self.pbx.rx("logger reload")
        (folder / "spool").chmod(0o2770)
        self.config.write_text(
            f"""\
[server]
agi_port = {self.agi_port}
control_socket = "control.sock"
[api]
port = {free_port()}
keys_file = "api-keys.json"
[asterisk]
ami_port = {self.pbx.ports.ami_tcp}
ami_username = "{self.pbx.ami_user}"
ami_secret = "{self.pbx.secrets.ami}"
ami_timeout_ms = 5000
[recordings]
dir = "recordings"
spool_dir = "spool"
[ledger]
url = "sqlite:///ledger.db"
[flow]
path = "flow.yaml"
""",
            "utf-8",
        )
        self.config.chmod(0o640)

    # ------------------------------------------------------------ the server

    def serve(self, *argv: str) -> None:
        """Have this turnrec run, or another one, in place of the one before."""
        self.end_server()
        words = argv or ("-m", "turnrec", "serve", "--watchdog-s", "5")
        with (self.folder / "turnrec.log").open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end_server(self) -> None:
        """End it in order."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait(WAIT_S)
            self._server = None

    @property
    def environment(self) -> dict[str, str]:
        """A command's environment."""
        ours = {name: text for name, text in os.environ.items() if not name.startswith("TURNREC_")}
        return ours | {"TURNREC_CONFIG": str(self.config)}

    # ------------------------------------------------------------ the doctor

    def findings(self, asterisk: str = "") -> dict[str, Finding]:
        """What the doctor finds, by id."""
        look = Look(
            lambda: load_settings(self.config, {}),
            self.config,
            asterisk or self.asterisk_command,
            is_asterisk_named=True,
        )
        found = asyncio.run(examine(look))
        said = " ".join(f"{one.finding.sentence} {one.finding.cure}" for one in found)
        assert self.pbx.secrets.ami not in said
        assert self.pbx.secrets.test not in said
        return {one.check.id: one.finding for one in found}

    def doctor(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The command itself."""
        words = [sys.executable, "-m", "turnrec", "doctor", "--asterisk", self.asterisk_command]
        return subprocess.run(
            [*words, *arguments],
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )

    def wait_found(self, check_id: str) -> Finding:
        """Wait until it finds something to do, and give it."""
        return self._until(lambda found: found[check_id].status in TO_DO)[check_id]

    def wait_silent(self) -> None:
        """Wait until there is nothing to do; everything was checked."""
        self._until(lambda found: all(one.status is Status.OK for one in found.values()))

    def _until(self, condition: Callable[[dict[str, Finding]], bool]) -> dict[str, Finding]:
        deadline = time.monotonic() + WAIT_S
        while not condition(found := self.findings()):
            told = {key: one for key, one in found.items() if one.status is not Status.OK}
            assert time.monotonic() < deadline, told
        return found

    def carry_out(self, cure: tuple[str, ...]) -> None:
        """Paste the commands of a cure; what is to be written into files, a test has written."""
        for line in cure:
            command = line.rpartition("then: ")[2]
            rx = re.fullmatch(r"asterisk -rx '(.*)'", command)
            if rx is not None:
                self.pbx.rx(rx[1])
            elif re.match(r"(cp|chmod|install) ", command):
                here = command.replace("/etc/asterisk", str(self.folder))
                subprocess.run(shlex.split(here), check=True)
            elif command == "turnrec reload":
                argv = [sys.executable, "-m", "turnrec", "reload"]
                subprocess.run(argv, env=self.environment, check=True, capture_output=True)
            elif re.match(r"systemctl (re)?start turnrec\b", command):
                self.serve()


TO_DO = frozenset({Status.WARNING, Status.PROBLEM})


def edit(path: Path, old: str, new: str) -> Mend:
    """Change a file; what is returned undoes it."""
    before = path.read_text("utf-8")
    assert old in before, (path, old)
    path.write_text(before.replace(old, new), "utf-8")

    def undo() -> None:
        path.write_text(before, "utf-8")

    return undo


@pytest.fixture(scope="module")
def here(
    asterisk_22: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    installed = Installed(tmp_path_factory.mktemp("d"), asterisk_22)
    try:
        installed.serve()
        installed.wait_silent()
        yield installed
    finally:
        installed.end_server()
        installed.pbx.stop()


# ------------------------------------------------------------------ sound


def test_a_sound_installation_is_one_line_and_status_0(here: Installed) -> None:
    here.wait_silent()
    before = sorted((here.folder / "spool").iterdir())
    done = here.doctor()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"nothing to do: \d+ checks in order\n", done.stdout), done.stdout
    assert sorted((here.folder / "spool").iterdir()) == before == []


def test_verbose_shows_each_check_and_json_has_all_of_it(here: Installed) -> None:
    page, found = here.doctor("--verbose"), json.loads(here.doctor("--json").stdout)
    assert page.returncode == 0
    assert found["status"] == "ok"
    assert all(one["id"] in page.stdout for one in found["checks"])
    assert {one["status"] for one in found["checks"]} == {"ok"}


def test_without_a_server_all_else_is_checked(here: Installed) -> None:
    here.end_server()
    try:
        found = here.findings()
        assert found["server"].status is Status.WARNING
        aside = {name for name, one in found.items() if one.status is Status.NOT_CHECKED}
        assert aside == {"server-version", "server-parts", "server-flow", "watchdog"}
    finally:
        here.carry_out(found["server"].cure)
    here.wait_silent()


# ------------------------------------------------------------------ faults


@dataclass(frozen=True)
class Fault:
    """Something wrong: how it comes about, and what is to be said of it."""

    id: str
    plant: Callable[[Installed], Mend]
    cure: str
    """Words of it."""
    status: Status = Status.PROBLEM
    name: str = ""


def in_asterisk(file: str, old: str, new: str, *commands: str) -> Callable[[Installed], Mend]:
    """A change of one of Asterisk's files, read anew."""

    def plant(here: Installed) -> Mend:
        undo = edit(here.etc / file, old, new)
        for command in commands:
            here.pbx.rx(command)
        return undo

    return plant


def in_folder(file: str, old: str, new: str, *commands: str) -> Callable[[Installed], Mend]:
    """A change of one of turnrec's files, which Asterisk reads anew."""

    def plant(here: Installed) -> Mend:
        undo = edit(here.folder / file, old, new)
        for command in commands:
            here.pbx.rx(command)
        return undo

    return plant


def open_file(name: str, mode: int) -> Callable[[Installed], Mend]:
    """Rights that are too wide: the cure's own command takes them back."""

    def plant(here: Installed) -> Mend:
        path = here.folder / name
        if not path.exists():
            path.write_text('{"version": 1, "keys": []}', "utf-8")
        path.chmod(mode)
        return lambda: None

    return plant


def unload(module: str) -> Callable[[Installed], Mend]:
    def plant(here: Installed) -> Mend:
        here.pbx.rx(f"module unload {module}.so")
        return lambda: None

    return plant


def flow_in_force(old: str, new: str) -> Callable[[Installed], Mend]:
    """A flow that the server has read."""

    def plant(here: Installed) -> Mend:
        undo = edit(here.folder / "flow.yaml", old, new)
        here.carry_out(("turnrec reload",))
        return undo

    return plant


def without_stamp(here: Installed) -> Mend:
    """A turnrec.conf from before there were versions, with a subroutine of its own."""
    path = here.folder / "turnrec.conf"
    text = path.read_text("utf-8").partition("[turnrec-version]")[0]
    path.write_text(text.replace("Log(WARNING,turnrec gave", "Verbose(1,turnrec gave"), "utf-8")
    here.pbx.rx("dialplan reload")
    return lambda: None  # the cure copies the right one there


def danger(here: Installed) -> Mend:
    undo = edit(here.etc / "asterisk.conf", "live_dangerously = no", "live_dangerously = yes")
    here.pbx.rx("core restart now")
    return undo


def somebody_else(here: Installed) -> Mend:
    """Another turnrec's login with the same account."""
    stranger = socket.create_connection(("127.0.0.1", here.pbx.ports.ami_tcp), WAIT_S)
    login = f"Action: Login\r\nUsername: turnrec\r\nSecret: {here.pbx.secrets.ami}\r\n\r\n"
    stranger.sendall(login.encode())
    return stranger.close


def one_touch(here: Installed) -> Mend:
    edit(here.folder / "tests.conf", "30,gU(", "30,gXU(")
    here.pbx.rx("dialplan reload")

    def mend() -> None:
        edit(here.etc / "features.conf", "automixmon => *3", "automixmon =")

    return mend


def http_for_all(here: Installed) -> Mend:
    port = free_port()
    new = f"enabled = yes\nbindaddr = 0.0.0.0\nbindport = {port}"
    undo = edit(here.etc / "http.conf", "enabled = no", new)
    here.pbx.rx("module reload http")
    return undo


def in_settings(line: str, after: str) -> Callable[[Installed], Mend]:
    return lambda here: edit(here.config, after, f"{after}\n{line}")


FAULTS = (
    Fault("flow", in_folder("flow.yaml", "resume", "resum"), "flow.yaml at these places"),
    Fault(
        "flow-paths",
        flow_in_force("action: pause, sensitive", "action: resume, sensitive"),
        "turnrec check ",
    ),
    Fault(
        "server-flow",
        in_folder("flow.yaml", "greeting:", "greeting:\n      menu:"),
        "turnrec reload",
        Status.WARNING,
    ),
    Fault(
        "ami-login",
        in_folder("turnrec.toml", 'ami_secret = "', 'ami_secret = "x'),
        "one secret",
        name="wrong-password",
    ),
    Fault(
        "ami-login",
        in_folder("turnrec.toml", "ami_port = ", "ami_port = 1 #"),
        "[general] enabled = yes",
        name="nobody-there",
    ),
    Fault(
        "ami-rights",
        in_asterisk(
            "turnrec-manager.conf", "write = system,call,reporting", "write = call,reporting",
            "manager reload",
        ),
        "write = system,call,reporting",
        name="write",
    ),
    Fault(
        "ami-rights",
        in_asterisk(
            "turnrec-manager.conf", "read = system,call,agent", "read = system,call",
            "manager reload",
        ),
        "read = system,call,agent",
        name="read",
    ),
    Fault(
        "ami-rights-excess",
        in_asterisk(
            "turnrec-manager.conf", "call,reporting", "call,reporting,command,originate",
            "manager reload",
        ),
        "write = system,call,reporting",
        Status.WARNING,
    ),
    Fault(
        "ami-events",
        in_asterisk(
            "turnrec-manager.conf", "eventfilter = Event: BridgeEnter\n", "", "manager reload"
        ),
        "eventfilter = Event: BridgeEnter",
    ),
    Fault("ami-sessions", somebody_else, "manager show connected", Status.WARNING),
    Fault(
        "one-sided",
        flow_in_force("  kyc:\n", "  kyc:\n    settle_ms: 20\n"),
        "settle_ms: 150",
        Status.WARNING,
    ),
    Fault("modules", unload("func_logic"), "module load func_logic.so"),
    Fault("live-dangerously", danger, "live_dangerously = no", Status.WARNING),
    Fault(
        "digits-logged",
        in_asterisk("logger.conf", "notice,warning,error\n", "notice,dtmf\n", "logger reload"),
        "without dtmf",
        Status.WARNING,
    ),
    Fault(
        "dialplan-included",
        in_asterisk("extensions.conf", "#include", ";#include", "dialplan reload"),
        '#include "turnrec.conf"',
    ),
    Fault("dialplan-current", without_stamp, "cp ", name="older"),
    Fault(
        "dialplan-current",
        in_folder("turnrec.conf", "(turnrec.conf 2)", "(turnrec.conf 9)", "dialplan reload"),
        "cp ",
        name="newer",
    ),
    Fault(
        "dialplan-current",
        in_folder("turnrec.conf", "StopMixMonitor($", "NoOp($", "dialplan reload"),
        "cp ",
        Status.WARNING,
        name="edited",
    ),
    Fault(
        "agi-address",
        in_asterisk("extensions.conf", "agi://127.0.0.1:", "agi://127.0.0.1:1;", "dialplan reload"),
        "TURNREC_AGI = agi://127.0.0.1:",
    ),
    Fault(
        "flow-names",
        in_folder("tests.conf", "(ask_aadhaar)", "(ask_adhaar)", "dialplan reload"),
        "the flow file",
        Status.WARNING,
    ),
    Fault(
        "other-recorders",
        in_folder("tests.conf", " same => n,Hangup()", " same => n,MixMonitor(x.wav)",
                  "dialplan reload"),
        "--skip other-recorders",
        Status.WARNING,
    ),
    Fault(
        "queue-recording",
        in_asterisk("queues.conf", "[agents]", "[agents]\nmonitor-format = wav"),
        "monitor-format",
        Status.WARNING,
    ),
    Fault(
        "one-touch",
        one_touch,
        "automixmon =",
        Status.WARNING,
    ),
    Fault("settings-private", open_file("turnrec.toml", 0o644), "chmod 640"),
    Fault("api-keys-private", open_file("api-keys.json", 0o644), "chmod 600"),
    Fault("recordings-private", open_file("recordings", 0o755), "chmod 0750"),
    Fault("spool-private", open_file("spool", 0o2775), "chmod o-rwx"),
    Fault(
        "signing-key-private",
        in_settings('signing_key_file = "signing.key"', "[ledger]"),
        "turnrec key new",
    ),
    Fault(
        "spool-shared",
        in_settings('asterisk_spool_dir = "/tmp"', "[recordings]"),
        "asterisk_spool_dir",
        name="another-folder",
    ),
    Fault("room", in_settings("min_free_mb = 999999999", "[recordings]"), "min_free_mb"),
    Fault(
        "ledger",
        in_folder("turnrec.toml", "sqlite:///ledger.db", "sqlite:///flow.yaml"),
        "turnrec verify",
    ),
    Fault(
        "ami-open",
        in_asterisk("manager.conf", "bindaddr = 127.0.0.1", "bindaddr = 0.0.0.0",
                    "manager reload"),
        "bindaddr = 127.0.0.1",
        Status.WARNING,
    ),
    Fault("asterisk-http-open", http_for_all, "bindaddr = 127.0.0.1", Status.WARNING),
    Fault("api-open", in_settings('host = "0.0.0.0"', "[api]"), "host =", Status.WARNING),
    Fault("agi-open", in_settings('agi_host = "0.0.0.0"', "[server]"), "agi_host", Status.WARNING),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: f"{one.id}-{one.name}".strip("-"))
def test_a_fault_is_found_by_its_id_and_cured_by_its_cure(here: Installed, fault: Fault) -> None:
    mend = fault.plant(here)
    cure: tuple[str, ...] = ()
    try:
        found = here.wait_found(fault.id)
        cure = found.cure
        assert found.status is fault.status, found
        assert fault.cure in " ".join(cure), found
    finally:
        mend()
        # None of these faults is in the running server.
        here.carry_out(tuple(line for line in cure if "systemctl" not in line))
    here.wait_silent()


def test_a_server_from_before_the_upgrade_that_nobody_watches_is_found(here: Installed) -> None:
    here.serve("-c", OTHER_VERSION, "serve")
    try:
        found = here.wait_found("server-version")
        watched = here.findings()["watchdog"]
    finally:
        here.carry_out(("systemctl restart turnrec",))
    assert found.status is Status.PROBLEM
    assert "0.0.9" in found.sentence
    assert found.cure == ("systemctl restart turnrec",)
    assert watched.status is Status.WARNING
    assert "or without systemd: turnrec serve --watchdog-s 5" in watched.cure
    here.wait_silent()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_spool_that_asterisk_may_not_write_is_found(here: Installed) -> None:
    """The spool itself, by a name under which nobody may write, not even root."""
    seen = here.folder / "read-only"
    seen.mkdir()
    undo = edit(here.config, "[recordings]", f'[recordings]\nasterisk_spool_dir = "{seen}"')
    subprocess.run(["mount", "--bind", here.folder / "spool", seen], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", seen], check=True)
        found = here.findings()["spool-shared"]
    finally:
        subprocess.run(["umount", "-l", seen], check=True)
        undo()
        seen.rmdir()
    assert found.status is Status.PROBLEM
    assert "Asterisk may not write" in found.sentence
    assert found.cure == (f"install -d -o asterisk -g turnrec -m 2770 {here.folder / 'spool'}",)
    here.wait_silent()


def test_clocks_that_differ_and_a_ledger_from_the_future_are_found(here: Installed) -> None:
    library = faketime.fetch(faketime.cache_folder())
    if library is None:
        pytest.fail("libfaketime is missing: it comes from Debian by apt")
    clock = here.folder / "clock"
    clock.write_text("-3600", "utf-8")
    try:
        done = here.doctor("--json", **faketime.environment(library, clock))
    finally:
        faketime.clear_up()
    found = {one["id"]: one for one in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    for check_id in ("clock", "ledger-clock"):
        assert found[check_id]["status"] == "problem", found[check_id]
        assert "timedatectl set-ntp true" in " ".join(found[check_id]["cure"])
    here.wait_silent()  # by the right clock


def test_settings_with_a_mistake_are_status_2_and_a_problem_is_status_1(here: Installed) -> None:
    for old, new, check_id, status in (
        ("keys_file", "key_file", "settings", 2),
        ("[recordings]", "[recordings]\nmin_free_mb = 999999999", "room", 1),
    ):
        undo = edit(here.config, old, new)
        try:
            done = here.doctor()
        finally:
            undo()
        assert done.returncode == status, done.stdout
        assert check_id in done.stdout
        assert "→" in done.stdout
        assert done.stderr == ""
    assert here.doctor("--skip", "no-such-check").returncode == 2


def test_an_asterisk_command_that_fails_is_a_warning_and_what_it_tells_is_not_checked(
    here: Installed,
) -> None:
    found = here.findings("/nonexistent/asterisk")
    assert found["asterisk-command"].status is Status.WARNING
    aside = {name for name, one in found.items() if one.status is Status.NOT_CHECKED}
    assert aside == {"ami-sessions", "spool-shared"}


def test_what_is_skipped_is_not_checked(here: Installed) -> None:
    done = here.doctor("--skip", "spool-shared", "--skip", "room")
    assert re.fullmatch(
        r"nothing to do: \d+ checks in order, 2 not checked \(--verbose says why\)\n", done.stdout
    )


def test_a_frozen_asterisk_is_told_of_and_waited_for_once(here: Installed) -> None:
    here.pbx.freeze()
    try:
        begun = time.monotonic()
        found = here.findings("/nonexistent/asterisk")
        took_s = time.monotonic() - begun
    finally:
        here.pbx.thaw()
    assert found["ami-login"].status is Status.PROBLEM
    assert found["modules"].status is Status.NOT_CHECKED
    assert took_s < WAIT_S
    here.wait_silent()


def test_the_probe_leaves_nothing_where_asterisk_sees_another_folder(here: Installed) -> None:
    other = here.folder / "elsewhere"
    other.mkdir()
    undo = edit(here.config, "[recordings]", f'[recordings]\nasterisk_spool_dir = "{other}"')
    try:
        assert here.findings()["spool-shared"].status is Status.PROBLEM
    finally:
        undo()
    assert list(other.iterdir()) == []
    assert list((here.folder / "spool").iterdir()) == []
    with contextlib.suppress(OSError):
        other.rmdir()


def test_beside_asterisk_16_it_says_what_that_can_not_do(
    asterisk_16: Installation, tmp_path: Path
) -> None:
    installed = Installed(tmp_path, asterisk_16)
    try:
        found = installed.findings()
        to_do = {name for name, one in found.items() if one.status in TO_DO}
        assert to_do == {"server", "version-limits"}, found
        assert "others: mute is a stop" in found["version-limits"].sentence
        edit(tmp_path / "flow.yaml", "  kyc:\n", "  kyc:\n    others: stop\n")
        assert installed.findings()["version-limits"].status is Status.OK
    finally:
        installed.pbx.stop()
