"""Which Asterisk is taken: the machine's, the cache's, or none with a cure."""

import json
from pathlib import Path

import pytest

from turnrec.pbx.apt import Package, complaint, parse_plan
from turnrec.pbx.errors import PbxInstallError
from turnrec.pbx.packages import (
    Release,
    default_cache_dir,
    ensure,
    from_path,
    version_numbers,
)

MODULES = ("app_mixmonitor.so", "chan_pjsip.so", "res_agi.so")


def machine_asterisk(usr: Path, version: str, modules: tuple[str, ...] = MODULES) -> str:
    """Put an `asterisk` that only tells its version below a /usr; give its PATH."""
    folder = usr / "lib" / "asterisk" / "modules"
    folder.mkdir(parents=True)
    for name in modules:
        (folder / name).touch()
    binary = usr / "sbin" / "asterisk"
    binary.parent.mkdir()
    binary.write_text(f"#!/bin/sh\necho Asterisk {version}\n")
    binary.chmod(0o755)
    return str(binary.parent)


def test_a_fitting_asterisk_on_the_path_is_taken(tmp_path: Path) -> None:
    path = machine_asterisk(tmp_path / "usr", "22.9.0~dfsg-1")
    found = from_path(Release.V22, path)
    assert found is not None
    assert found.prefix is None
    assert found.version_tuple == (22, 9, 0)
    assert found.modules_dir == tmp_path / "usr/lib/asterisk/modules"
    assert found.argv(Path("/run/asterisk.conf"))[1:] == ("-C", "/run/asterisk.conf")


def test_an_asterisk_of_another_release_is_left_alone(tmp_path: Path) -> None:
    assert from_path(Release.V16, machine_asterisk(tmp_path / "usr", "22.9.0")) is None


def test_an_asterisk_that_cannot_record_is_left_alone(tmp_path: Path) -> None:
    path = machine_asterisk(tmp_path / "usr", "22.9.0", modules=("res_agi.so",))
    assert from_path(Release.V22, path) is None


def test_no_asterisk_on_the_path_is_no_error(tmp_path: Path) -> None:
    assert from_path(Release.V22, str(tmp_path)) is None


def test_a_cached_one_is_taken_without_any_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "asterisk-16-layout1"
    home.mkdir()
    facts = {"version": "16.28.0~dfsg-0", "modules": "usr/lib/asterisk/modules"}
    (home / "installation.json").write_text(json.dumps(facts))
    monkeypatch.setenv("PATH", "")
    found = ensure(Release.V16, cache_dir=tmp_path)
    assert found.executable == home / "bin" / "asterisk"
    assert found.modules_dir == home / "root/usr/lib/asterisk/modules"


def test_without_apt_the_error_says_to_install_asterisk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PbxInstallError, match=r"apt-get.*is missing.*on the PATH"):
        ensure(Release.V16, cache_dir=tmp_path, mirror="http://mirror.invalid/debian")


@pytest.mark.parametrize(
    ("turnrec_cache", "xdg", "expected"),
    [
        ("/c", "/x", Path("/c")),
        (None, "/x", Path("/x/turnrec")),
        (None, None, Path("/home/me/.cache/turnrec")),
    ],
)
def test_the_cache_is_where_the_machine_wants_it(
    turnrec_cache: str | None, xdg: str | None, expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in (("TURNREC_CACHE", turnrec_cache), ("XDG_CACHE_HOME", xdg)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert default_cache_dir() == expected


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("22.10.1+dfsg+~cs6.17.60671434-1", (22, 10, 1)),
        ("1:16.28.0~dfsg-0+deb11u4", (16, 28, 0)),
        ("GIT-master", ()),
    ],
)
def test_a_version_is_its_leading_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(version) == numbers


def test_a_plan_names_what_apt_would_install() -> None:
    simulation = (
        "NOTE: This is only a simulation!\n"
        "Inst libc6 (2.43-7 Debian:unstable [amd64]) []\n"
        "Inst asterisk (1:22.10.1-1 Debian:unstable [amd64])\n"
        "Conf libc6 (2.43-7 Debian:unstable [amd64])\n"
    )
    assert parse_plan(simulation) == (
        Package("libc6", "2.43-7"),
        Package("asterisk", "1:22.10.1-1"),
    )


def test_apts_complaint_is_its_errors_without_passwords() -> None:
    stderr = "W: never mind\nE: Failed to fetch http://me:secret@mirror.example/debian/x\n"
    assert complaint(stderr) == "E: Failed to fetch http://mirror.example/debian/x"
    assert complaint("") == "it gave no reason"
