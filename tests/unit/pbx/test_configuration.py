"""The configuration of a run folder: what is filled in, and what is refused."""

import stat
import wave
from pathlib import Path

import pytest

from turnrec.pbx import configuration
from turnrec.pbx.configuration import PbxSettings, Secrets
from turnrec.pbx.errors import PbxStartError
from turnrec.pbx.packages import Installation, Release
from turnrec.pbx.ports import Ports

PORTS = Ports(sip_udp=10000, ami_tcp=10000, rtp_first=10002, rtp_last=10999)
PASSWORDS = Secrets(ami="ami-secret", test="test-secret", phone="phone-secret")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in ("app_dial.so", "func_md5.so", "func_odbc.so", "chan_sip.so"):
        (modules / name).touch()
    return Installation(
        Release.V22, "22.10.1", Path("/usr/sbin/asterisk"), modules, Path("/usr/share/asterisk")
    )


def write(installation: Installation, settings: PbxSettings) -> dict[str, str]:
    conf = configuration.write(installation, settings, PORTS, PASSWORDS)
    return {path.name: path.read_text() for path in conf.parent.iterdir()}


def test_no_placeholder_is_left_and_asterisks_own_braces_stay(
    installation: Installation, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    files = write(installation, PbxSettings(run, run / "parts", agi_url="agi://127.0.0.1:4573"))
    assert not [name for name, text in files.items() if configuration._PLACEHOLDER.search(text)]
    assert "TURNREC_AGI = agi://127.0.0.1:4573" in files["extensions.conf"]
    assert f"TURNREC_SPOOL = {run}/parts" in files["extensions.conf"]
    assert configuration.fill("Set(X=${EXTEN}@home,@SIP_PORT@)", {"SIP_PORT": "1"}) == (
        "Set(X=${EXTEN}@home,1)"
    )


def test_every_listener_is_bound_to_loopback(installation: Installation, tmp_path: Path) -> None:
    files = write(installation, PbxSettings(tmp_path / "run", tmp_path / "parts"))
    assert "bind = 127.0.0.1:10000" in files["pjsip.conf"]
    assert "bindaddr = 127.0.0.1" in files["manager.conf"]
    assert "enabled = no" in files["http.conf"]


def test_only_listed_modules_are_loaded(installation: Installation, tmp_path: Path) -> None:
    modules = write(installation, PbxSettings(tmp_path / "run", tmp_path / "parts"))["modules.conf"]
    loaded = [line for line in modules.splitlines() if line.startswith("load =>")]
    assert loaded == ["load => func_md5.so", "load => app_dial.so"]


def test_the_run_folder_is_its_owners_alone(installation: Installation, tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(installation, PbxSettings(run, run / "parts"))
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    with wave.open(str(run / "moh" / "tone.wav")) as tone:
        assert (tone.getframerate(), tone.getnframes()) == (8000, 8000)


def test_a_tests_files_are_included_where_they_belong(
    installation: Installation, tmp_path: Path
) -> None:
    dialplan, queues, own = (tmp_path / name for name in ("d.conf", "q.conf", "agents.conf"))
    for path in (dialplan, queues, own):
        path.touch()
    settings = PbxSettings(
        tmp_path / "run",
        tmp_path / "parts",
        extra_dialplan=(dialplan,),
        extra_conf={"queues.conf": (queues,), "agents.conf": (own,)},
    )
    files = write(installation, settings)
    assert files["extensions.conf"].endswith(f'#include "{dialplan}"\n')
    assert files["queues.conf"].endswith(f'#include "{queues}"\n')
    assert files["agents.conf"] == f'\n#include "{own}"\n'


def test_a_missing_include_is_refused_before_the_start(
    installation: Installation, tmp_path: Path
) -> None:
    settings = PbxSettings(
        tmp_path / "run", tmp_path / "parts", extra_dialplan=(tmp_path / "no.conf",)
    )
    with pytest.raises(PbxStartError, match=r"no\.conf: no such file"):
        write(installation, settings)


@pytest.mark.parametrize(
    ("name", "value"), [("A", "x\n[evil]"), ("A", "x;y"), ("A B", "x"), ("", "x")]
)
def test_a_global_that_would_change_the_file_is_refused(name: str, value: str) -> None:
    settings = PbxSettings(Path("/r"), Path("/s"), dialplan_globals={name: value})
    with pytest.raises(PbxStartError, match="plain name"):
        configuration.dialplan_globals(settings)


@pytest.mark.parametrize("path", ["/" + "x" * 100, "/tmp/a;b", "/tmp/a@b"])
def test_a_run_folder_that_asterisk_cannot_use_is_refused(path: str) -> None:
    with pytest.raises(PbxStartError):
        configuration.check_run_dir(Path(path))


def test_the_operators_account_gets_the_runs_secret() -> None:
    text = "[turnrec]\n; the secret = none\nsecret = change-me\nread = system\n"
    assert "secret = new\nread" in configuration.with_secret(text, "new")


@pytest.mark.parametrize("text", ["[turnrec]\n", "secret = a\nsecret = b\n"])
def test_an_operators_account_without_one_secret_is_refused(text: str) -> None:
    with pytest.raises(PbxStartError, match="exactly one"):
        configuration.with_secret(text, "new")


def test_secrets_are_new_each_time() -> None:
    assert Secrets.random() != Secrets.random()
