"""The test PBX itself: it boots, keeps to loopback and to its folder, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from turnrec.pbx import instance, packages
from turnrec.pbx.configuration import PbxSettings
from turnrec.pbx.errors import (
    PbxCommandError,
    PbxInstallError,
    PbxNotRunningError,
    PbxStartError,
)
from turnrec.pbx.instance import Pbx
from turnrec.pbx.packages import Installation, Release

pytestmark = [pytest.mark.pbx, pytest.mark.spare]

WAITING = "[turnrec-tests](+)\nexten => hear,1,Answer()\n same => n,Wait(60)\n"
SOON_S = 60


@pytest.fixture(scope="module", params=list(Release), ids=lambda release: f"asterisk{release}")
def installation(request: pytest.FixtureRequest) -> Installation:
    return packages.ensure(request.param)


@pytest.fixture(scope="module")
def pbx(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    """A PBX that the tests that only look at one share."""
    run = tmp_path_factory.mktemp("pbx")
    dialplan = run / "tests.conf"
    dialplan.write_text(WAITING)
    settings = PbxSettings(
        run,
        run / "parts",
        agi_url="agi://127.0.0.1:4573",
        dialplan_globals={"COLOUR": "green"},
        extra_dialplan=(dialplan,),
    )
    with instance.running(installation, settings) as running:
        yield running


def settings(run: Path) -> PbxSettings:
    return PbxSettings(run, run / "parts")


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {SOON_S} s: {what}"


def ami(pbx: Pbx, user: str, secret: str, *actions: str) -> str:
    """Say what an AMI client would, log off, and give all that came back."""
    login = f"Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\n\r\n"
    said = login + "".join(f"{action}\r\n\r\n" for action in (*actions, "Action: Logoff"))
    with socket.create_connection(("127.0.0.1", pbx.ports.ami_tcp), timeout=SOON_S) as client:
        client.sendall(said.encode())
        with client.makefile("rb") as answers:
            return answers.read().decode()


def test_it_is_the_release_asked_for(pbx: Pbx, installation: Installation) -> None:
    assert f"Asterisk {installation.version}" in pbx.rx("core show version")
    assert pbx.version[0] == int(pbx.release)


@pytest.mark.parametrize(
    "application",
    ["MixMonitor", "StopMixMonitor", "AGI", "Queue", "Dial", "ConfBridge", "Park", "Playback",
     "PlayTones", "Read", "Gosub", "Transfer", "ChanSpy", "Record"],
)  # fmt: skip
def test_it_can_do_what_a_voice_bots_dialplan_needs(pbx: Pbx, application: str) -> None:
    assert f"'{application}'" in pbx.rx(f"core show application {application}")


def test_it_speaks_the_codecs_of_the_tests(pbx: Pbx) -> None:
    translations = pbx.rx("core show translation paths g722")
    assert "ulaw" in translations
    assert "alaw" in translations
    assert {"wav", "sln", "ulaw"} <= set(pbx.rx("core show file formats").split())


def test_it_boots_without_a_complaint(pbx: Pbx) -> None:
    complaints = (pbx.run_dir / "log" / "warnings.log").read_text().splitlines()
    assert [line for line in complaints if "WARNING" in line or "ERROR" in line] == []


def test_the_dialplan_knows_turnrecs_globals(pbx: Pbx) -> None:
    found = pbx.rx("dialplan show globals")
    assert "TURNREC_AGI=agi://127.0.0.1:4573" in found
    assert f"TURNREC_SPOOL={pbx.run_dir / 'parts'}" in found
    assert "COLOUR=green" in found


def test_turnrec_may_mute_over_ami_and_is_told_of_the_boot(pbx: Pbx) -> None:
    said = ami(pbx, pbx.ami_user, pbx.secrets.ami, "Action: ListCommands")
    assert "MixMonitorMute" in said
    assert "Event: FullyBooted" in said


def test_test_drivers_may_do_everything(pbx: Pbx) -> None:
    said = ami(pbx, pbx.test_user, pbx.secrets.test, "Action: ListCommands")
    for action in ("Originate", "Redirect", "Atxfer", "QueueAdd", "Command"):
        assert f"{action}:" in said


def test_a_wrong_secret_is_refused(pbx: Pbx) -> None:
    assert "Authentication failed" in ami(pbx, pbx.ami_user, "wrong")


def test_a_call_without_a_password_reaches_the_tests_extension_and_only_loopback_hears_it(
    pbx: Pbx,
) -> None:
    # The PBX calls itself: both ends of one SIP call, and of its RTP, are here.
    address = f"sip:hear@127.0.0.1:{pbx.ports.sip_udp}"
    pbx.rx(f"channel originate PJSIP/tester/{address} application Milliwatt")
    until(lambda: "hear@from-sip" in pbx.rx("core show channels"), "the call is up")
    listeners = pbx.listeners()
    pbx.rx("channel request hangup all")

    assert {one.address for one in listeners if one.protocol.startswith("tcp")} == {"127.0.0.1"}
    rtp = {one.port for one in listeners if one.address == "127.0.0.1"} - {pbx.ports.sip_udp}
    assert len(rtp) == 4, "RTP and RTCP of two channels"
    assert all(pbx.ports.rtp_first <= port <= pbx.ports.rtp_last for port in rtp)
    elsewhere = [one for one in listeners if one.address != "127.0.0.1"]
    assert len(elsewhere) <= 2
    # PJSIP asks nameservers from one socket per family, and can't be told not to: a client's
    # socket, whose port the kernel chose.
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for one in elsewhere:
        assert one.protocol.startswith("udp")
        assert low <= one.port <= high


def test_it_is_found_again_by_another_process_and_outlives_its_launcher(
    installation: Installation, tmp_path: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; from turnrec.pbx import instance, packages\n"
        "from turnrec.pbx.configuration import PbxSettings\n"
        "run = Path(sys.argv[1]); found = packages.ensure(packages.Release(sys.argv[2]))\n"
        "print(instance.start(found, PbxSettings(run, run / 'parts')).pid)\n"
    )
    argv = (sys.executable, "-c", script, str(tmp_path), installation.release)
    launcher = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    found = instance.find(tmp_path)
    try:
        assert found.pid == int(launcher.stdout)
        assert "Asterisk" in found.rx("core show version")
    finally:
        found.stop()
    with pytest.raises(PbxNotRunningError):
        instance.find(tmp_path)


def test_those_started_at_once_get_ports_of_their_own(
    installation: Installation, tmp_path: Path
) -> None:
    def start(name: str) -> Pbx:
        return instance.start(installation, settings(tmp_path / name))

    with ThreadPoolExecutor() as pool:
        several = list(pool.map(start, ("a", "b", "c")))
    try:
        ranges = sorted((one.ports.rtp_first, one.ports.rtp_last) for one in several)
        assert all(last < first for (_, last), (first, _) in pairwise(ranges))
        assert len({one.secrets.ami for one in several}) == 3
        for one in several:
            assert instance.find(one.run_dir).pid == one.pid
            assert "Asterisk" in one.rx("core show version")
    finally:
        for one in several:
            one.stop()


def test_stop_leaves_no_process_and_only_the_run_folder_was_written(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    if installation.prefix is not None:
        before = sorted(installation.prefix.parent.rglob("*"))
    pbx = instance.start(installation, settings(run))
    pbx.rx("core show version")
    pbx.stop()
    pbx.stop()  # twice is no error
    sessions = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            sessions.append(os.getsid(int(folder.name)))
        except ProcessLookupError:
            continue  # it ended while we looked
    assert pbx.pid not in sessions
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "run"]
    assert list(home.iterdir()) == []
    if installation.prefix is not None:
        assert sorted(installation.prefix.parent.rglob("*")) == before


def test_a_run_folder_keeps_its_passwords_and_ports_over_a_restart(
    installation: Installation, tmp_path: Path
) -> None:
    with instance.running(installation, settings(tmp_path)) as first:
        pass
    with instance.running(installation, settings(tmp_path)) as second:
        assert (second.secrets, second.ports) == (first.secrets, first.ports)
        assert second.pid != first.pid


def test_a_run_folder_has_one_pbx(pbx: Pbx, installation: Installation) -> None:
    with pytest.raises(PbxStartError, match=f"already.*{pbx.pid}"):
        instance.start(installation, settings(pbx.run_dir))


def test_a_frozen_one_gives_no_answer_and_is_stopped_all_the_same(
    installation: Installation, tmp_path: Path
) -> None:
    with instance.running(installation, settings(tmp_path)) as pbx:
        pbx.freeze()
        assert pbx.is_alive()
        with pytest.raises(PbxCommandError, match="is it frozen"):
            pbx.rx("core show version", timeout_s=0.2)
        pbx.thaw()
        assert "Asterisk" in pbx.rx("core show version")
        pbx.freeze()
    assert not pbx.is_alive()


def test_a_killed_one_is_known_to_be_gone(installation: Installation, tmp_path: Path) -> None:
    with instance.running(installation, settings(tmp_path)) as pbx:
        pbx.kill(signal.SIGKILL)
        assert pbx.wait_gone()
        with pytest.raises(PbxNotRunningError):
            pbx.rx("core show version")


def test_one_that_cannot_boot_says_why(installation: Installation, tmp_path: Path) -> None:
    broken = tmp_path / "modules.conf"
    broken.write_text("require => no_such_module.so\n")
    wanted = PbxSettings(
        tmp_path / "run", tmp_path / "parts", extra_conf={"modules.conf": (broken,)}
    )
    with pytest.raises(PbxStartError, match="no_such_module"):
        instance.start(installation, wanted)
    with pytest.raises(PbxNotRunningError):
        instance.find(wanted.run_dir)


def test_a_mirror_without_the_suite_is_an_error_with_its_cure(tmp_path: Path) -> None:
    mirror = f"file:{tmp_path}"
    if packages.from_path(Release.V16):
        pytest.fail("this machine's own Asterisk 16 would be taken: run it elsewhere")
    with pytest.raises(PbxInstallError, match="set TURNREC_DEBIAN_MIRROR to"):
        packages.ensure(Release.V16, cache_dir=tmp_path / "cache", mirror=mirror)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["asterisk-16-layout1.lock"]


def test_an_unwritable_cache_is_an_error_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PbxInstallError, match="set TURNREC_CACHE to a folder that can"):
        packages.ensure(Release.V16, cache_dir=tmp_path / "file" / "x", mirror="file:/none")
