"""Which of a machine's apt sources may be Debian's archive."""

from pathlib import Path

import pytest

from turnrec.pbx.mirrors import (
    AptSource,
    debian_mirrors,
    machine_sources,
    parse_deb822,
    parse_one_line,
    without_credentials,
)

DEB822 = """\
# The main archive
Types: deb deb-src
URIs: https://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://security.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: https://off.example/debian
Suites: sid
Components: main

Types: deb-src
URIs: https://source.example/debian
Suites: sid
Components: main
"""


def test_deb822_gives_enabled_binary_sources_only() -> None:
    uris = [source.uris for source in parse_deb822(DEB822)]
    assert uris == [
        ("https://mirror.example/debian/",),
        ("https://security.example/debian-security",),
    ]


def test_a_deb822_value_may_go_on_in_the_next_line() -> None:
    assert parse_deb822(DEB822)[0].components == ("main", "contrib")


def test_one_line_sources_may_have_options_and_comments() -> None:
    text = (
        "# deb https://no.example/debian sid main\n"
        "deb [arch=amd64 signed-by=/k.gpg] https://a.example/debian sid main contrib # ours\n"
        "deb-src https://b.example/debian sid main\n"
    )
    assert parse_one_line(text) == (
        AptSource(("https://a.example/debian",), ("sid",), ("main", "contrib")),
    )


def test_security_archives_and_third_parties_are_no_mirror() -> None:
    third = parse_one_line(
        "deb https://packages.example/apt tool-bookworm main\n"
        "deb https://docker.example/linux/debian bookworm stable\n"
        "deb https://chrome.example/chrome/deb stable main\n"
    )
    assert debian_mirrors((*parse_deb822(DEB822), *third)) == ("https://mirror.example/debian",)


def test_a_mirror_by_its_path_comes_before_one_by_its_suite_alone() -> None:
    sources = parse_one_line(
        "deb https://proxy.example/debian-remote bookworm main\n"
        "deb https://mirror.example/debian bookworm main\n"
    )
    assert debian_mirrors(sources) == (
        "https://mirror.example/debian",
        "https://proxy.example/debian-remote",
    )


def test_ubuntu_names_no_debian_mirror() -> None:
    sources = parse_one_line("deb http://archive.example/ubuntu noble main universe\n")
    assert debian_mirrors(sources) == ()


def test_both_formats_are_read_from_the_machine(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb https://a.example/debian sid main\n")
    (parts / "b.list").write_text("deb https://b.example/debian sid main\n")
    (parts / "c.sources").write_text(
        "Types: deb\nURIs: https://c.example/debian\nSuites: sid\nComponents: main\n"
    )
    assert debian_mirrors(machine_sources(tmp_path)) == (
        "https://a.example/debian",
        "https://b.example/debian",
        "https://c.example/debian",
    )


def test_a_machine_without_apt_has_no_sources(tmp_path: Path) -> None:
    assert machine_sources(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:secret@mirror.example/debian", "https://mirror.example/debian"),
        ("http://mirror.example/debian", "http://mirror.example/debian"),
    ],
)
def test_a_mirrors_password_is_never_shown(uri: str, shown: str) -> None:
    assert without_credentials(uri) == shown
