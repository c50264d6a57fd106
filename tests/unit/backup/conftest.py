"""A world for each test, copied from one that is built once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.backup.house import World, build_world


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("backup"))


@pytest.fixture
def world(built: World, tmp_path: Path) -> World:
    shutil.copytree(built.folder, tmp_path / "world")
    house = replace(built.house, folder=tmp_path / "world" / "data")
    return World(tmp_path / "world", house)
