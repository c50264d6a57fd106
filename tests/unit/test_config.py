"""Settings come from the environment, the file and the defaults, and are sound or refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from turnrec.config import ConfigError, load_settings
from turnrec.settings import LogFormat, LogLevel, Section, Settings

EXAMPLE = Path(__file__).parents[2] / "asterisk-conf" / "turnrec.example.toml"
SECRET = {"TURNREC_ASTERISK__AMI_SECRET": "s3cret-of-ami"}
ALL = """\
[server]
agi_host = "0.0.0.0"
agi_port = 0
control_socket = "run/control.sock"
recorder_deadline_ms = 2000
agi_timeout_ms = 4000
[api]
enabled = false
host = "0.0.0.0"
port = 0
keys_file = "keys.json"
requests_per_s = 7
[asterisk]
ami_enabled = false
ami_host = "pbx.example.net"
ami_port = 5039
ami_username = "recorder"
ami_secret = "s3cret-of-ami"
ami_timeout_ms = 250
[recordings]
dir = "recordings"
spool_dir = "../spool"
asterisk_spool_dir = "/mnt/spool"
keep_parts = true
min_free_mb = 0
[ledger]
url = "sqlite:///ledger.db"
signing_key_file = "signing.key"
checkpoint_every_s = 5
checkpoints_file = "elsewhere/checkpoints.jsonl"
[flow]
path = "flow.yaml"
[log]
level = "DEBUG"
format = "console"
[sweep]
interval_s = 5
[retention]
interval_s = 60
[transcripts]
halt_timeout_ms = 700
keep_late = true
"""


def sections(settings: Settings) -> dict[str, Section]:
    return {name: getattr(settings, name) for name in Settings.model_fields}


def revealed(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "turnrec.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def mistakes(path: Path | None, **environ: str) -> list[str]:
    """Return the mistakes of settings that must have some, the file's path cut to its name."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ)
    assert caught.value.id == "config-invalid"
    assert "s3cret" not in repr(caught.value)
    return [
        str(mistake).replace(f"{path.parent}/" if path else "\0", "")
        for mistake in caught.value.mistakes
    ]


# ---------------------------------------------------------------- what sound settings mean


def test_without_a_file_every_setting_but_the_secret_has_a_default() -> None:
    settings = load_settings(None, SECRET)
    assert settings.server.agi_host == "127.0.0.1"
    assert settings.server.agi_port == 4573
    assert settings.server.control_socket == Path("/run/turnrec/control.sock")
    assert settings.server.recorder_deadline_ms == 3000
    assert settings.server.agi_timeout_ms == 5000
    assert settings.asterisk.ami_enabled
    assert settings.asterisk.ami_port == 5038
    assert settings.asterisk.ami_timeout_ms == 500
    assert settings.recordings.dir == Path("/var/lib/turnrec/recordings")
    assert settings.recordings.spool_dir == Path("/var/spool/asterisk/turnrec")
    assert settings.recordings.asterisk_spool_dir == settings.recordings.spool_dir
    assert settings.ledger.url.get_secret_value() == "sqlite:////var/lib/turnrec/ledger.db"
    assert settings.log.level is LogLevel.INFO
    assert settings.log.format is LogFormat.JSON
    assert settings.sweep.interval_s == 30


def test_every_setting_can_come_from_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, ALL)
    settings = load_settings(path, {})
    read = {
        name: {key: revealed(value) for key, value in section}
        for name, section in sections(settings).items()
    }
    assert read == {
        "server": {
            "agi_host": "0.0.0.0",
            "agi_port": 0,
            "control_socket": tmp_path / "run/control.sock",
            "recorder_deadline_ms": 2000,
            "agi_timeout_ms": 4000,
        },
        "api": {
            "enabled": False,
            "host": "0.0.0.0",
            "port": 0,
            "keys_file": tmp_path / "keys.json",
            "requests_per_s": 7,
        },
        "asterisk": {
            "ami_enabled": False,
            "ami_host": "pbx.example.net",
            "ami_port": 5039,
            "ami_username": "recorder",
            "ami_secret": "s3cret-of-ami",
            "ami_secret_file": None,
            "ami_timeout_ms": 250,
        },
        "recordings": {
            "dir": tmp_path / "recordings",
            "spool_dir": tmp_path / "../spool",
            "asterisk_spool_dir": Path("/mnt/spool"),
            "keep_parts": True,
            "min_free_mb": 0,
        },
        "ledger": {
            "url": f"sqlite:///{tmp_path}/ledger.db",
            "signing_key_file": tmp_path / "signing.key",
            "checkpoint_every_s": 5,
            "checkpoints_file": tmp_path / "elsewhere/checkpoints.jsonl",
        },
        "flow": {"path": tmp_path / "flow.yaml"},
        "log": {"level": LogLevel.DEBUG, "format": LogFormat.CONSOLE},
        "sweep": {"interval_s": 5},
        "retention": {"interval_s": 60},
        "transcripts": {"halt_timeout_ms": 700, "keep_late": True},
    }


def test_every_setting_can_come_from_the_environment_and_beats_the_file(tmp_path: Path) -> None:
    environ = {
        f"TURNREC_{section}__{key}".upper(): str(value).lower() if value is False else str(value)
        for section, values in tomllib.loads(ALL).items()
        for key, value in values.items()
    }
    other = write(tmp_path, re.sub(r"(?m)^(agi_port|ami_port|interval_s) = .*", r"\1 = 1", ALL))
    assert load_settings(other, environ) == load_settings(write(tmp_path, ALL), {})


def test_relative_paths_start_at_the_working_folder_where_there_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {**SECRET, "TURNREC_FLOW__PATH": "flow.yaml"})
    assert settings.flow.path == tmp_path / "flow.yaml"


@pytest.mark.parametrize(
    "url",
    ["sqlite:////abs.db", "sqlite:///:memory:", "sqlite://", "postgresql+psycopg://u:p@h/db"],
)
def test_a_ledger_url_without_a_relative_path_is_left_as_it_is(url: str) -> None:
    settings = load_settings(None, {**SECRET, "TURNREC_LEDGER__URL": url})
    assert settings.ledger.url.get_secret_value() == url


def test_the_control_socket_lies_in_the_runtime_folder_of_its_user() -> None:
    settings = load_settings(None, {**SECRET, "XDG_RUNTIME_DIR": "/run/user/7"})
    assert settings.server.control_socket == Path("/run/user/7/turnrec/control.sock")


@pytest.mark.parametrize("runtime_dir", ["", "relative"])
def test_a_runtime_folder_that_is_not_absolute_is_ignored(runtime_dir: str) -> None:
    settings = load_settings(None, {**SECRET, "XDG_RUNTIME_DIR": runtime_dir})
    assert settings.server.control_socket == Path("/run/turnrec/control.sock")


def test_a_control_socket_that_was_set_stays_where_it_was_set(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\ncontrol_socket = '/x'")
    settings = load_settings(path, {**SECRET, "XDG_RUNTIME_DIR": "/run/user/7"})
    assert settings.server.control_socket == Path("/x")


def test_asterisks_spool_is_ours_where_nothing_else_is_said() -> None:
    settings = load_settings(None, {**SECRET, "TURNREC_RECORDINGS__SPOOL_DIR": "/s"})
    assert settings.recordings.asterisk_spool_dir == Path("/s")


def test_settings_cannot_be_changed() -> None:
    settings: Any = load_settings(None, SECRET)
    with pytest.raises(ValidationError):
        settings.server = None
    with pytest.raises(ValidationError):
        settings.server.agi_port = 1


# ---------------------------------------------------------------- secrets


def test_the_secret_can_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "ami").write_text("s3cret-of-ami\n")
    path = write(tmp_path, "[asterisk]\nami_secret_file = 'ami'")
    secret = load_settings(path, {}).asterisk.ami_secret
    assert secret is not None
    assert secret.get_secret_value() == "s3cret-of-ami"


@pytest.mark.parametrize("in_file", ["ami_secret = 's3cret-old'", "ami_secret_file = 'nowhere'"])
def test_a_secret_of_the_environment_beats_either_form_in_the_file(
    tmp_path: Path, in_file: str
) -> None:
    (tmp_path / "ami").write_text("s3cret-new")
    path = write(tmp_path, f"[asterisk]\n{in_file}")
    for variable, value in (("AMI_SECRET", "s3cret-new"), ("AMI_SECRET_FILE", "ami")):
        secret = load_settings(path, {f"TURNREC_ASTERISK__{variable}": value}).asterisk.ami_secret
        assert secret is not None
        assert secret.get_secret_value() == "s3cret-new"


def test_no_secret_shows_in_what_is_printed() -> None:
    url = {"TURNREC_LEDGER__URL": "postgresql://u:s3cret@h/db"}
    settings = load_settings(None, SECRET | url)
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "s3cret" not in text


def test_no_secret_is_needed_without_ami() -> None:
    assert not load_settings(None, {"TURNREC_ASTERISK__AMI_ENABLED": "off"}).asterisk.ami_enabled


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "can't be read: No such file or directory"),
        (b"", "must hold one line of printable characters"),
        (b"s3cret\r\nAction: Originate\n", "must hold one line of printable characters"),
        (b"s3cret\xff", "is not UTF-8 text"),
    ],
)
def test_a_secret_file_without_one_secret_is_refused(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / "ami").write_bytes(content)
    (mistake,) = mistakes(write(tmp_path, "[asterisk]\nami_secret_file = 'ami'"))
    assert mistake.startswith("turnrec.toml: [asterisk] ami_secret_file: ")
    assert mistake.endswith(expected)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[server]\nagi_prt = 1",
            "[server] agi_prt: unknown setting (did you mean '[server] agi_port'?)",
        ),
        (
            "[server]\nami_port = 1",
            "[server] ami_port: unknown setting (did you mean '[asterisk] ami_port'?)",
        ),
        ("[sweep]\nxyz = 1", "[sweep] xyz: unknown setting (section 'sweep' has interval_s)"),
        ("[sevrer]", "[sevrer]: unknown section (did you mean 'server'?)"),
        (
            "[xyz]",
            "[xyz]: unknown section"
            " (use server, api, asterisk, recordings, ledger, flow, log, sweep, retention,"
            " transcripts)",
        ),
        ("agi_port = 1", "[agi_port]: unknown section ('agi_port' belongs in section 'server')"),
        ("server = 1", "server: must be a section: write it as [server]"),
        (
            "[server]\nagi_port = 65536",
            "[server] agi_port: must be at most 65535; its default is 4573",
        ),
        ("[server]\nagi_port = -1", "[server] agi_port: must be at least 0; its default is 4573"),
        (
            "[asterisk]\nami_port = 0",
            "[asterisk] ami_port: must be at least 1; its default is 5038",
        ),
        (
            "[server]\nagi_port = true",
            "[server] agi_port: must be a whole number, not true or false; its default is 4573",
        ),
        (
            "[server]\nagi_port = 1.5",
            "[server] agi_port: must be a whole number; its default is 4573",
        ),
        (
            "[server]\nagi_port = []",
            "[server] agi_port: must be a whole number; its default is 4573",
        ),
        (
            "[server]\nagi_host = 'a b'",
            "[server] agi_host: must be a host name or an address; its default is 127.0.0.1",
        ),
        (
            "[server]\nagi_host = 1",
            "[server] agi_host: must be text, in quotes; its default is 127.0.0.1",
        ),
        (
            "[asterisk]\nami_enabled = 'maybe'",
            "[asterisk] ami_enabled: must be true or false; its default is true",
        ),
        (
            "[asterisk]\nami_username = 'a b'",
            "[asterisk] ami_username: must be a name as in manager.conf, without spaces; "
            "its default is turnrec",
        ),
        ("[asterisk]\nami_secret = 53", "[asterisk] ami_secret: must be text, in quotes"),
        (
            '[asterisk]\nami_secret = "s3cret\\nAction: x"',
            "[asterisk] ami_secret: must be one line of printable characters, and not empty",
        ),
        (
            "[asterisk]\nami_secret = 's3cret'\nami_secret_file = '/x'",
            "[asterisk] ami_secret: give ami_secret or ami_secret_file, not both",
        ),
        (
            "[log]\nlevel = 'warnign'",
            "[log] level: must be 'debug', 'info', 'warning' or 'error' (did you mean 'warning'?); "
            "its default is info",
        ),
        (
            "[log]\nformat = 5",
            "[log] format: must be 'json' or 'console'; its default is json",
        ),
        (
            "[flow]\npath = ''",
            "[flow] path: must be a path, not empty; its default is /etc/turnrec/flow.yaml",
        ),
        (
            "[flow]\npath = 5",
            "[flow] path: must be a path, in quotes; its default is /etc/turnrec/flow.yaml",
        ),
        (
            "[flow]\npath = '~/flow.yaml'",
            "[flow] path: '~' is not expanded: write the whole path; "
            "its default is /etc/turnrec/flow.yaml",
        ),
        (
            "[recordings]\nasterisk_spool_dir = 'spool'",
            "[recordings] asterisk_spool_dir: must be the whole path as Asterisk sees it, "
            "beginning with '/'",
        ),
        (
            "[recordings]\ndir = '/s/done'\nspool_dir = '/s'",
            "[recordings] dir: must lie outside of spool_dir, where Asterisk may write",
        ),
        (
            "[recordings]\ndir = '/s/x/../done'\nspool_dir = '/t/../s'",
            "[recordings] dir: must lie outside of spool_dir, where Asterisk may write",
        ),
        (
            "[recordings]\nspool_dir = ''",
            "[recordings] spool_dir: must be a path, not empty; "
            "its default is /var/spool/asterisk/turnrec",
        ),
        (
            "[ledger]\nurl = 'postgres://u:s3cret@h/db'",
            "[ledger] url: must begin with 'sqlite:///' or 'postgresql://'",
        ),
        (
            f"[server]\ncontrol_socket = '/{'x' * 107}'",
            "[server] control_socket: has 108 bytes; a socket's path has 107 at most",
        ),
        (
            "[server",
            "not TOML: Expected ']' at the end of a table declaration (at end of document)",
        ),
        ("a = " + "[" * 100_000, "not TOML: nested too deeply, or a number out of range"),
        ("a = " + "9" * 5_000, "not TOML: nested too deeply, or a number out of range"),
        (b"a = '\xff'", "not UTF-8 text (byte 5)"),
    ],
)
def test_a_mistake_in_the_file_names_file_and_setting(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    environ = {} if "ami_secret" in str(text) else SECRET
    assert mistakes(write(tmp_path, text), **environ) == [f"turnrec.toml: {expected}"]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "TURNREC_SERVER__AGI_PRT",
            "1",
            "unknown setting (did you mean 'TURNREC_SERVER__AGI_PORT'?)",
        ),
        (
            "TURNREC_SERVER__AMI_PORT",
            "1",
            "unknown setting (did you mean 'TURNREC_ASTERISK__AMI_PORT'?)",
        ),
        ("TURNREC_SEVRER__AGI_PORT", "1", "unknown section (did you mean 'server'?)"),
        ("TURNREC_SERVER_AGI_PORT", "1", "unknown (did you mean 'TURNREC_SERVER__AGI_PORT'?)"),
        ("TURNREC_SERVER__AGI_PORT", "", "must be a whole number; its default is 4573"),
        ("TURNREC_SERVER__AGI_PORT", "4573s", "must be a whole number; its default is 4573"),
        ("TURNREC_ASTERISK__AMI_TIMEOUT_MS", "5", "must be at least 10; its default is 500"),
        ("TURNREC_SWEEP__INTERVAL_S", "86401", "must be at most 86400; its default is 30"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    variable: str, value: str, expected: str
) -> None:
    assert mistakes(None, **SECRET, **{variable: value}) == [f"environment: {variable}: {expected}"]


def test_a_missing_secret_is_answered_with_what_to_do(tmp_path: Path) -> None:
    what_to_do = "is missing: give it, or ami_secret_file, or ami_enabled = false"
    assert mistakes(None) == [f"environment: TURNREC_ASTERISK__AMI_SECRET: {what_to_do}"]
    assert mistakes(write(tmp_path, "")) == [f"turnrec.toml: [asterisk] ami_secret: {what_to_do}"]


def test_an_empty_secret_in_the_environment_is_refused() -> None:
    assert len(mistakes(None, TURNREC_ASTERISK__AMI_SECRET="")) == 1


def test_a_file_that_is_not_there_is_named_and_nothing_that_follows_from_it(
    tmp_path: Path,
) -> None:
    assert mistakes(tmp_path / "turnrec.toml") == [
        "turnrec.toml: can't be read: No such file or directory"
    ]


def test_variables_that_are_not_settings_are_left_alone() -> None:
    kubernetes = {"TURNREC_SERVICE_HOST": "10.0.0.1", "TURNREC_PORT_4573_TCP_PORT": "4573"}
    assert load_settings(None, SECRET | kubernetes | {"TURNREC_CONFIG": "x"})


def test_all_mistakes_of_file_and_environment_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nagi_port = 'x'\nagi_prt = 1\n[log]\nlevel = 'x'\n[lgo]\n")
    found = mistakes(path, TURNREC_SWEEP__INTERVAL_S="x", TURNREC_FLOW__PTH="x")
    assert sorted(mistake.split(": ")[1] for mistake in found) == [
        "TURNREC_FLOW__PTH",
        "TURNREC_SWEEP__INTERVAL_S",
        "[asterisk] ami_secret",
        "[lgo]",
        "[log] level",
        "[server] agi_port",
        "[server] agi_prt",
    ]


NAMES = [
    f"TURNREC_{section}__{key}".upper()
    for section, info in Settings.model_fields.items()
    for key in (info.annotation.model_fields if info.annotation else ())
]


@given(st.dictionaries(st.sampled_from(NAMES) | st.text().map("TURNREC_".__add__), st.text()))
def test_no_environment_raises_anything_but_config_error(environ: dict[str, str]) -> None:
    try:
        load_settings(None, environ)
    except ConfigError as error:
        found = error.mistakes
    else:
        return
    assert found


# ---------------------------------------------------------------- the sample


def test_the_example_is_sound_and_changes_no_default() -> None:
    assert load_settings(EXAMPLE, SECRET) == load_settings(None, SECRET)


def test_the_example_documents_every_setting_with_its_default() -> None:
    uncommented = re.sub(r"(?m)^#(?=\w+ = )", "", EXAMPLE.read_text())
    documented = tomllib.loads(uncommented)
    assert documented["asterisk"].pop("ami_secret") == ""  # these two have no default
    assert documented["asterisk"].pop("ami_secret_file") == ""
    assert documented["ledger"].pop("signing_key_file") == ""  # nor these
    assert documented["ledger"].pop("checkpoints_file") == ""
    defaults = {
        name: {
            key: str(plain) if isinstance(plain := revealed(value), Path) else plain
            for key, value in section
            if key not in {"ami_secret", "ami_secret_file", "signing_key_file", "checkpoints_file"}
        }
        for name, section in sections(load_settings(None, SECRET)).items()
    }
    assert documented == defaults
