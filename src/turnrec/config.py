"""Loads the settings from a TOML file and the environment, naming every mistake of both at once.

The environment (`TURNREC_`, section, `__`, key: `TURNREC_ASTERISK__AMI_SECRET`) beats the file,
the file beats the defaults. Relative paths start at the file's folder, without a file at the
working folder. A file that is no TOML is answered alone. No value that could be a secret gets
into a message.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from turnrec.core.errors import TurnrecError
from turnrec.settings import (
    AsteriskSettings,
    RecordingsSettings,
    Section,
    ServerSettings,
    Settings,
    is_one_line,
)
from turnrec.spelling import did_you_mean, nearest

__all__ = ["ConfigError", "SettingMistake", "Settings", "load_settings"]

PREFIX: Final = "TURNREC_"
_SOCKET_PATH_MAX_BYTES: Final = 107  # unix(7): sun_path has 108, the last is the NUL
_SECTIONS: Final[Mapping[str, type[Section]]] = {
    name: info.annotation
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}
_EITHER_OR: Final = {"ami_secret": "ami_secret_file", "ami_secret_file": "ami_secret"}
_ENVIRONMENT: Final = "environment"
_SENTENCES: Final = {  # pydantic's types of error
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "enum": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "path_type": "must be a path, in quotes",
    "string_type": "must be text, in quotes",
}


@dataclass(frozen=True, slots=True)
class SettingMistake:
    """One thing that is wrong with the settings. `setting` is written as its source writes it."""

    source: str
    setting: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.setting, self.message) if part)


class ConfigError(TurnrecError):
    """Settings with mistakes: all of them."""

    id: ClassVar[str] = "config-invalid"

    def __init__(self, mistakes: Iterable[SettingMistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of the file (None: no file) and the environment.

    Raises:
        ConfigError: anything about them is wrong.
    """
    loading = _Loading(path)
    if path is not None:
        loading.add_file(path)
    loading.add_environment(environ)
    loading.add_default_socket(environ.get("XDG_RUNTIME_DIR", ""))
    return loading.settings()


class _Loading:
    """One loading of the settings: what was given, by which source, and what is wrong with it."""

    def __init__(self, path: Path | None) -> None:
        self.mistakes: list[SettingMistake] = []
        self._path = path
        self._from_file: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
        self._from_environment: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}

    # ------------------------------------------------------------ sources

    def add_file(self, path: Path) -> None:
        for section, values in _read_toml(path).items():
            if section not in _SECTIONS:
                self._note(str(path), f"[{section}]", _unknown_section(section))
            elif not isinstance(values, dict):
                self._note(str(path), section, f"must be a section: write it as [{section}]")
            else:
                for key, value in values.items():
                    if key in _SECTIONS[section].model_fields:
                        self._from_file[section][key] = value
                    else:
                        self._note(str(path), _in_file(section, key), _unknown_key(section, key))

    def add_environment(self, environ: Mapping[str, str]) -> None:
        for variable, value in environ.items():
            if not variable.startswith(PREFIX):
                continue
            section, separator, key = variable.removeprefix(PREFIX).lower().partition("__")
            if not separator:
                self._note_single_underscores(variable)
            elif section not in _SECTIONS:
                self._note(_ENVIRONMENT, variable, _unknown_section(section))
            elif key not in _SECTIONS[section].model_fields:
                self._note(_ENVIRONMENT, variable, _unknown_key(section, key, _in_environment))
            else:
                self._from_environment[section][key] = value
                if key in _EITHER_OR:  # beats the file's, whichever of the two that has
                    self._from_file[section].pop(_EITHER_OR[key], None)

    def _note_single_underscores(self, variable: str) -> None:
        """Notice the commonest slip; other names are not ours (Kubernetes makes such ones)."""
        for section, model in _SECTIONS.items():
            for key in model.model_fields:
                meant = _in_environment(section, key)
                if variable == meant.replace("__", "_"):
                    self._note(_ENVIRONMENT, variable, f"unknown (did you mean {meant!r}?)")

    def add_default_socket(self, runtime_dir: str) -> None:
        if runtime_dir.startswith("/"):  # the XDG specification says to ignore any other
            socket = f"{runtime_dir}/turnrec/control.sock"
            self._from_file["server"].setdefault("control_socket", socket)

    # ------------------------------------------------------------ settings

    def settings(self) -> Settings:
        """Return the settings that were given.

        Raises:
            ConfigError: there is any mistake.
        """
        sections = {name: self._section(name, model) for name, model in _SECTIONS.items()}
        if self.mistakes:
            raise ConfigError(self.mistakes)
        return Settings.model_validate(sections)

    def _section(self, name: str, model: type[Section]) -> Section | None:
        base = self._path.absolute().parent if self._path else Path.cwd()
        values = self._from_file[name] | self._from_environment[name]
        try:
            section = model.model_validate(values, context={"base": base})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                key = str(detail["loc"][0])
                if detail["type"] != "default_factory_not_called":  # follows from another
                    self._note_setting(name, key, _sentence(detail, model.model_fields[key]))
            return None
        if isinstance(section, ServerSettings):
            self._check_server(section)
        elif isinstance(section, RecordingsSettings):
            self._check_recordings(section)
        elif isinstance(section, AsteriskSettings):
            return self._with_secret(section)
        return section

    def _check_server(self, server: ServerSettings) -> None:
        length_bytes = len(os.fsencode(server.control_socket))
        if length_bytes > _SOCKET_PATH_MAX_BYTES:
            message = f"has {length_bytes} bytes; a socket's path has {_SOCKET_PATH_MAX_BYTES}"
            self._note_setting("server", "control_socket", f"{message} at most")

    def _check_recordings(self, recordings: RecordingsSettings) -> None:
        joined, spool = (os.path.realpath(path) for path in (recordings.dir, recordings.spool_dir))
        if Path(joined).is_relative_to(spool):
            message = "must lie outside of spool_dir, where Asterisk may write"
            self._note_setting("recordings", "dir", message)

    def _with_secret(self, asterisk: AsteriskSettings) -> AsteriskSettings:
        """Return the section with the secret read from its file, if it is in one."""
        if asterisk.ami_secret is not None and asterisk.ami_secret_file is not None:
            message = "give ami_secret or ami_secret_file, not both"
            self._note_setting("asterisk", "ami_secret", message)
        elif asterisk.ami_secret_file is not None:
            try:
                secret = asterisk.ami_secret_file.read_bytes().decode().rstrip("\r\n")
            except OSError as error:
                message = f"{asterisk.ami_secret_file} can't be read: {error.strerror}"
                self._note_setting("asterisk", "ami_secret_file", message)
            except UnicodeDecodeError:
                self._note_setting("asterisk", "ami_secret_file", "is not UTF-8 text")
            else:
                if not is_one_line(secret):
                    message = "must hold one line of printable characters"
                    self._note_setting("asterisk", "ami_secret_file", message)
                return asterisk.model_copy(update={"ami_secret": SecretStr(secret)})
        elif asterisk.ami_enabled and asterisk.ami_secret is None:
            message = "is missing: give it, or ami_secret_file, or ami_enabled = false"
            self._note_setting("asterisk", "ami_secret", message)
        return asterisk

    # ------------------------------------------------------------ mistakes

    def _note(self, source: str, setting: str, message: str) -> None:
        self.mistakes.append(SettingMistake(source, setting, message))

    def _note_setting(self, section: str, key: str, message: str) -> None:
        """Note a mistake at the source that gave the setting."""
        if key in self._from_environment[section] or self._path is None:
            self._note(_ENVIRONMENT, _in_environment(section, key), message)
        else:
            self._note(str(self._path), _in_file(section, key), message)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        message = f"can't be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text (byte {error.start})"
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
    except (RecursionError, ValueError):  # [[[[..., and numbers too long for int()
        message = "not TOML: nested too deeply, or a number out of range"
    raise ConfigError([SettingMistake(str(path), "", message)])


def _in_file(section: str, key: str) -> str:
    return f"[{section}] {key}"


def _in_environment(section: str, key: str) -> str:
    return f"{PREFIX}{section}__{key}".upper()


def _unknown_section(section: str) -> str:
    for owner, model in _SECTIONS.items():
        if section in model.model_fields:  # a key above the first section, most likely
            return f"unknown section ({section!r} belongs in section {owner!r})"
    return f"unknown section{_hint(section, _SECTIONS)}"


def _unknown_key(section: str, key: str, write: Callable[[str, str], str] = _in_file) -> str:
    """Say that no such key is in the section, and what was meant, in the source's own writing."""
    similar = nearest(key, _SECTIONS[section].model_fields)
    owners = [owner for owner, model in _SECTIONS.items() if key in model.model_fields]
    meant = (owners[0], key) if owners else (section, similar) if similar else None
    if meant is not None:
        return f"unknown setting (did you mean {write(*meant)!r}?)"
    return f"unknown setting (section {section!r} has {', '.join(_SECTIONS[section].model_fields)})"


def _hint(word: str, known: Collection[str]) -> str:
    return did_you_mean(word, known) or f" (use {', '.join(known)})"


def _sentence(detail: ErrorDetails, setting: FieldInfo) -> str:
    """Say what pydantic found, in our words and without the value, which may be secret."""
    kind = detail["type"]
    if kind not in _SENTENCES:
        message = detail["msg"].removeprefix("Value error, ")
    else:
        message = _SENTENCES[kind].format_map(detail.get("ctx", {}))
    if kind == "enum":
        message += did_you_mean(str(detail["input"]), re.findall(r"\w+", message))
    default = setting.get_default()
    if isinstance(default, str | int | Path):  # no secret
        written = str(default).lower() if isinstance(default, bool) else default
        return f"{message}; its default is {written}"
    return message
