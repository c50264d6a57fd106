"""What is in the wheel and the sdist, and what is not."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built
from turnrec import __version__

PLACES = {"turnrec/_asterisk_conf/": "asterisk-conf/", "turnrec/_deploy/": "deploy/"}
DATA = (
    "turnrec/py.typed",
    "turnrec/web/page/index.html",
    "turnrec/recordings/manifest.schema.json",
    "turnrec/bots/audio/welcome.wav",
    "turnrec/_asterisk_conf/turnrec.conf",
    "turnrec/_asterisk_conf/pbx/extensions.conf",
    "turnrec/_deploy/systemd/turnrec.service",
    "turnrec/_deploy/prometheus/turnrec.rules.yml",
    "turnrec/_deploy/grafana/turnrec.json",
)
LEFT_BEHIND = re.compile(r"(^|/)(\.git|\.venv|var|build|dist|__pycache__|\..*_cache|\.hypothesis)/")


def in_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: archive.read(one) for one in archive.infolist() if not one.is_dir()}


def in_sdist(sdist: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(sdist) as archive:
        for one in archive:
            if one.isfile():
                file = archive.extractfile(one)
                assert file is not None
                found[one.name.partition("/")[2]] = file.read()
    return found


def of_repository(*below: str) -> set[str]:
    """The files that the repository has there, and git doesn't ignore."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *below]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def origin(name: str) -> str:
    """Where a wheel's file lies in the repository."""
    for place, folder in PLACES.items():
        if name.startswith(place):
            return folder + name.removeprefix(place)
    return f"src/{name}"


needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git here: an sdist's tree")


@needs_git
def test_the_wheel_holds_the_packages_files_all_of_them_and_no_others(built: Built) -> None:
    wheel = in_wheel(built.wheel)
    own = {origin(name): data for name, data in wheel.items() if ".dist-info/" not in name}
    assert set(own) == of_repository("src/turnrec", "asterisk-conf", "deploy")
    assert [name for name, data in own.items() if (ROOT / name).read_bytes() != data] == []


@pytest.mark.parametrize("name", DATA)
def test_the_data_that_turnrec_runs_on_are_in_the_wheel(built: Built, name: str) -> None:
    assert name in in_wheel(built.wheel)


@needs_git
def test_the_sdist_holds_what_is_needed_to_build_test_and_read_it(built: Built) -> None:
    there = set(in_sdist(built.sdist))
    folders = ("src", "asterisk-conf", "deploy", "docs", "examples", "tests", "tools", "bench")
    assert there >= of_repository(*folders)
    files = {"README.md", "CHANGELOG.md", "LICENSE", "Makefile", "constraints.txt", "mkdocs.yml"}
    assert there >= files | {"pyproject.toml", "PKG-INFO"}


def test_a_wheel_built_from_the_sdist_is_the_same_wheel(built: Built) -> None:
    assert built.wheel_of_sdist.name == built.wheel.name
    first, second = (
        {name: hashlib.sha256(data).hexdigest() for name, data in in_wheel(wheel).items()}
        for wheel in (built.wheel, built.wheel_of_sdist)
    )
    assert first == second


def test_nothing_of_the_machine_that_built_them_is_inside(built: Built) -> None:
    words = {str(ROOT), str(Path.home()), socket.gethostname(), os.environ.get("USER", "")}
    # A short host name ("vm") stands in many a word.
    secret = [word.encode() for word in words if len(word) > 5 and word != "/root"]
    for found in (in_wheel(built.wheel), in_sdist(built.sdist)):
        assert [name for name in found if LEFT_BEHIND.search(name) or name.endswith(".pyc")] == []
        named = [
            name
            for name, data in found.items()
            if name != "tests/packaging/test_built.py" and any(word in data for word in secret)
        ]
        assert named == []
    with tarfile.open(built.sdist) as archive:
        assert {(one.uname, one.gname) for one in archive} == {("", "")}


def test_the_wheel_says_what_it_is_and_asks_for(built: Built) -> None:
    wheel = in_wheel(built.wheel)
    (name,) = (name for name in wheel if name.endswith(".dist-info/METADATA"))
    metadata = BytesParser().parsebytes(wheel[name])
    assert (metadata["Name"], metadata["Version"]) == ("turnrec", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(one.endswith("/licenses/LICENSE") for one in wheel)
    asked = [one for one in metadata.get_all("Requires-Dist") or [] if "extra ==" not in one]
    assert "panoramisk==1.4" in asked
    assert not any(one.startswith(("pytest", "hatchling", "mypy")) for one in asked)
    (name,) = (name for name in wheel if name.endswith(".dist-info/entry_points.txt"))
    assert b"turnrec = turnrec.cli:main" in wheel[name]
