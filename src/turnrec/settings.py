"""What `turnrec serve` can be told: types, ranges and defaults; it reads no file or variable.

Use `turnrec.config.load_settings`: it alone resolves relative paths and checks settings against
each other.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
)

_RELATIVE_SQLITE: Final = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)(.+)")


class LogLevel(enum.StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.StrEnum):
    """One JSON object a line for collectors, or lines for people."""

    JSON = "json"
    CONSOLE = "console"


def _not_boolean(value: object) -> object:
    if isinstance(value, bool):  # which Python, and so pydantic, takes for 0 or 1
        raise ValueError("must be a whole number, not true or false")  # noqa: TRY004 - pydantic's
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _matching(pattern: str, rule: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(rule)
        return value

    return check


def _path_text(value: object) -> object:
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise ValueError("must be a path, not empty")
    if isinstance(value, str) and value.startswith("~"):
        raise ValueError("'~' is not expanded: write the whole path")
    return value


def _base(info: ValidationInfo) -> Path:
    return Path(info.context["base"]) if info.context else Path.cwd()


def _from_base(path: Path, info: ValidationInfo) -> Path:
    return _base(info) / path


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be the whole path as Asterisk sees it, beginning with '/'")
    return path


def is_one_line(secret: str) -> bool:
    """Say whether it may be sent over AMI, where a line break would begin a second header."""
    return secret != "" and secret.isprintable()


def _one_line(secret: SecretStr) -> SecretStr:
    if not is_one_line(secret.get_secret_value()):
        raise ValueError("must be one line of printable characters, and not empty")
    return secret


def _ledger_url(url: SecretStr, info: ValidationInfo) -> SecretStr:
    value = url.get_secret_value()
    if re.match(r"(sqlite|postgresql)(\+\w+)?://", value) is None:
        raise ValueError("must begin with 'sqlite:///' or 'postgresql://'")
    relative = _RELATIVE_SQLITE.fullmatch(value)
    return SecretStr(f"{relative[1]}{_base(info) / relative[2]}") if relative else url


_Whole = BeforeValidator(_not_boolean)
Port = Annotated[int, Field(ge=1, le=65_535), _Whole]
PortOrAny = Annotated[int, Field(ge=0, le=65_535), _Whole]
Milliseconds = Annotated[int, Field(ge=10, le=60_000), _Whole]
Seconds = Annotated[int, Field(ge=1, le=86_400), _Whole]
Megabytes = Annotated[int, Field(ge=0, le=1_000_000_000), _Whole]

Host = Annotated[
    str, AfterValidator(_matching(r"[A-Za-z0-9_.:-]{1,255}", "must be a host name or an address"))
]
UserName = Annotated[
    str,
    AfterValidator(_matching(r"[!-~]{1,128}", "must be a name as in manager.conf, without spaces")),
]
LocalPath = Annotated[Path, BeforeValidator(_path_text), AfterValidator(_from_base)]
AsteriskPath = Annotated[Path, BeforeValidator(_path_text), AfterValidator(_absolute)]
AmiSecret = Annotated[SecretStr, AfterValidator(_one_line)]
LedgerUrl = Annotated[SecretStr, AfterValidator(_ledger_url)]


class Section(BaseModel):
    """One section of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerSettings(Section):
    """Where the dialplan and the CLI reach turnrec."""

    agi_host: Host = "127.0.0.1"
    agi_port: PortOrAny = 4573
    """0: any free port."""
    control_socket: LocalPath = Path("/run/turnrec/control.sock")
    """`load_settings` puts it under $XDG_RUNTIME_DIR where that is set."""
    recorder_deadline_ms: Milliseconds = 3000
    """How long a command waits for its recorder's lock."""
    agi_timeout_ms: Milliseconds = 5000


class ApiSettings(Section):
    """The HTTP API and its page."""

    enabled: bool = True
    host: Host = "127.0.0.1"
    """Anything but loopback needs an API key that is good."""
    port: PortOrAny = 8077
    """0: any free port."""
    keys_file: LocalPath = Path("/var/lib/turnrec/api-keys.json")
    """The keys' hashes, as `turnrec api-key` makes and revokes them."""
    requests_per_s: Annotated[int, Field(ge=1, le=100_000), _Whole] = 200
    """How many requests one key may make, with bursts of twice as many."""


class AsteriskSettings(Section):
    """How turnrec reaches Asterisk's manager interface."""

    ami_enabled: bool = True
    ami_host: Host = "127.0.0.1"
    ami_port: Port = 5038
    ami_username: UserName = "turnrec"
    ami_secret: AmiSecret | None = None
    """Never None while `ami_enabled`: `load_settings` reads it from `ami_secret_file`."""
    ami_secret_file: LocalPath | None = None
    ami_timeout_ms: Milliseconds = 500


class RecordingsSettings(Section):
    """Where Asterisk writes segments and turnrec the joined files."""

    dir: LocalPath = Path("/var/lib/turnrec/recordings")
    spool_dir: LocalPath = Path("/var/spool/asterisk/turnrec")
    """The spool as turnrec sees it."""
    asterisk_spool_dir: AsteriskPath = Field(default_factory=lambda others: others["spool_dir"])
    """The spool as Asterisk sees it, where that differs (containers)."""
    keep_parts: bool = False
    """Keep the parts after their file is verified and entered: twice the space, for those who
    want to compare them."""
    min_free_mb: Megabytes = 200
    """While less is free in `dir` or `spool_dir`, nothing new is recorded. 0: don't look."""


class LedgerSettings(Section):
    """The ledger's database."""

    url: LedgerUrl = SecretStr("sqlite:////var/lib/turnrec/ledger.db")
    """A secret, because it may hold a password."""
    signing_key_file: LocalPath | None = None
    """The Ed25519 private key that signs checkpoints, as `turnrec key new` makes it, readable by
    its owner alone. Without one nothing is signed."""
    checkpoint_every_s: Seconds = 60
    """How often the chain's head is signed, where it has moved; beside that at each recording's
    close and when the server ends."""
    checkpoints_file: LocalPath | None = None
    """Where the signed heads go, one line each; by default `checkpoints.jsonl` in the
    recordings' folder."""


class FlowSettings(Section):
    """The flow file."""

    path: LocalPath = Path("/etc/turnrec/flow.yaml")


class LogSettings(Section):
    """What is logged, and how."""

    level: Annotated[LogLevel, BeforeValidator(_lower)] = LogLevel.INFO
    format: Annotated[LogFormat, BeforeValidator(_lower)] = LogFormat.JSON


class SweepSettings(Section):
    """How often live recorders are looked over."""

    interval_s: Seconds = 30


class RetentionSettings(Section):
    """Recordings that have been kept for their days (`keep_days` in the flow file)."""

    interval_s: Seconds = 3600
    """How often they are looked for."""


class TranscriptsSettings(Section):
    """Transcripts of what is recorded."""

    halt_timeout_ms: Milliseconds = 500
    """How long a turn waits for recognisers that must acknowledge a halt."""
    keep_late: bool = False
    """Take what was said while it was recorded also where it comes during a pause."""


class Settings(BaseModel):
    """All settings of `turnrec serve`."""

    model_config = Section.model_config

    server: ServerSettings
    api: ApiSettings
    asterisk: AsteriskSettings
    recordings: RecordingsSettings
    ledger: LedgerSettings
    flow: FlowSettings
    log: LogSettings
    sweep: SweepSettings
    retention: RetentionSettings
    transcripts: TranscriptsSettings
