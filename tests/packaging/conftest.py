"""Wheel and sdist, built once, and an environment that holds the wheel and what it asks for only.

Nothing is downloaded: the dependencies of the environment are links to those of this one, and only
to those that turnrec's own requirements lead to.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.pbx.conftest import asterisk_22

__all__ = ["asterisk_22"]

ROOT = Path(__file__).parents[2]


def build(source: Path, target: Path, *what: str) -> None:
    """Have hatchling build from a tree, as `pip wheel` would."""
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    for one in what:
        words += ["-t", one]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Built:
    """What was built from the repository, and the wheel from its sdist."""

    wheel: Path
    sdist: Path
    unpacked: Path
    """The sdist's own tree."""
    wheel_of_sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder, "wheel", "sdist")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "tree", filter="data")
    (unpacked,) = (folder / "tree").iterdir()
    build(unpacked, folder / "again", "wheel")
    (again,) = (folder / "again").glob("*.whl")
    return Built(wheel, sdist, unpacked, again)


def requirements(name: str, seen: set[str]) -> Iterator[str]:
    """All that a distribution asks for, directly or not, without its extras."""
    for text in distribution(name).requires or ():
        wanted = Requirement(text)
        key = canonicalize_name(wanted.name)
        if key in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(key)
        try:
            distribution(wanted.name)
        except PackageNotFoundError:
            continue  # `pip check` says it, if it is missed
        yield wanted.name
        yield from requirements(wanted.name, seen)


def link_dependencies(target: Path) -> None:
    """Give an environment turnrec's dependencies, and no other package."""
    here = Path(sysconfig.get_path("purelib"))
    for name in requirements("turnrec", set()):
        files = distribution(name).files or ()
        tops = {file.parts[0] for file in files} - {"..", "__pycache__"}
        for top in tops:
            if not (target / top).exists():
                (target / top).symlink_to(here / top)


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a folder to work in; far from the repository."""

    prefix: Path
    folder: Path

    @property
    def environ(self) -> Mapping[str, str]:
        """Nothing of this process's environment that could lead back."""
        kept = ("HOME", "LANG", "TURNREC_CACHE", "TURNREC_DEBIAN_MIRROR")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        return environ | {"PATH": f"{self.prefix / 'bin'}:/usr/bin:/bin", "PYTHONNOUSERSITE": "1"}

    def run(self, *words: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment."""
        return subprocess.run(
            [str(self.prefix / "bin" / words[0]), *words[1:]],
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    prefix = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(prefix, with_pip=False, symlinks=True)
    (site,) = prefix.glob("lib/python3*/site-packages")
    link_dependencies(site)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(prefix)]
    for words in (["install", "--no-index", "--no-deps", str(built.wheel)], ["check"]):
        done = subprocess.run([*pip, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return Installed(prefix, tmp_path_factory.mktemp("elsewhere"))
