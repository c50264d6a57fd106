"""The wheel in an environment of its own, in a folder far away: it serves, and it demonstrates."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.packaging.conftest import ROOT, Installed
from turnrec import __version__
from turnrec.cli_files import FILES
from turnrec.pbx.packages import Installation

WAIT_S = 120.0


def test_it_is_the_wheels_own_code_that_runs(installed: Installed) -> None:
    done = installed.run("turnrec", "--version")
    assert (done.returncode, done.stdout) == (0, f"turnrec {__version__}\n"), done.stderr
    where = "import turnrec, sys; print(turnrec.__file__); print(*sys.path, sep='\\n')"
    lines = installed.run("python", "-c", where).stdout.splitlines()
    assert Path(lines[0]).is_relative_to(installed.prefix)
    assert not any(Path(line).is_relative_to(ROOT) for line in lines if line)


def test_every_module_can_be_imported_with_what_the_wheel_asks_for(installed: Installed) -> None:
    every = (
        "import importlib, pkgutil, turnrec\n"
        "for one in pkgutil.walk_packages(turnrec.__path__, 'turnrec.'):\n"
        "    if not one.name.endswith('.__main__'): importlib.import_module(one.name)\n"
    )
    done = installed.run("python", "-c", every)
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_wheel_is_there(installed: Installed) -> None:
    for name in ("turnrec", "turnrec-agi"):
        text = (installed.prefix / "bin" / name).read_text("utf-8")
        assert str(installed.prefix) in text.splitlines()[0]
    assert "backup" in installed.run("turnrec", "--help").stdout


def test_it_writes_out_what_an_operator_installs(installed: Installed) -> None:
    listed = installed.run("turnrec", "files")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(FILES)
    done = installed.run("turnrec", "files", "--to", "out")
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (installed.folder / "out" / name).read_bytes() == (ROOT / name).read_bytes(), name
    again = installed.run("turnrec", "files", "--to", "out")
    assert (again.returncode, again.stdout) == (0, "")
    changed = installed.folder / "out" / "asterisk-conf" / "turnrec.conf"
    changed.write_text("mine")
    refused = installed.run("turnrec", "files", "--to", "out")
    assert refused.returncode == 1
    assert "was left as it is" in refused.stderr
    assert changed.read_text() == "mine"


@contextmanager
def serving(installed: Installed, folder: Path) -> Iterator[httpx.Client]:
    """`turnrec serve` from the wheel, with what it has written out for an operator."""
    folder.mkdir()
    assert installed.run("turnrec", "files", "--to", str(folder)).returncode == 0
    conf = folder / "asterisk-conf"
    toml = (conf / "turnrec.example.toml").read_text("utf-8")
    for setting, value in {
        "control_socket": f'"{folder}/control.sock"',
        "agi_port": "0",
        "port": "0",
        "keys_file": '"api-keys.json"',
        "ami_enabled": "false",
        "dir": '"recordings"',
        "spool_dir": '"spool"',
        "url": '"sqlite:///ledger.db"',
        "path": '"flow.example.yaml"',
    }.items():
        toml, count = re.subn(rf"(?m)^#{setting} = .*$", f"{setting} = {value}", toml, count=1)
        assert count == 1, setting
    (conf / "turnrec.toml").write_text(toml)
    log = folder / "turnrec.log"
    words = [str(installed.prefix / "bin" / "turnrec"), "serve", "--config", "turnrec.toml"]
    with log.open("wb") as out:
        process = subprocess.Popen(words, cwd=conf, env=dict(installed.environ), stderr=out)
    try:
        ends_s = time.monotonic() + WAIT_S
        while not _answers(folder / "control.sock"):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < ends_s, log.read_text("utf-8")
            time.sleep(0.05)
        transport = httpx.HTTPTransport(uds=str(folder / "control.sock"))
        with httpx.Client(transport=transport, base_url="http://turnrec", timeout=WAIT_S) as client:
            yield client
        process.terminate()
        assert process.wait(WAIT_S) == 0, log.read_text("utf-8")
    finally:
        process.kill()
        process.wait()


def _answers(door: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(door)) == 0


def test_it_serves_with_its_page_and_the_samples_that_came_with_it(
    installed: Installed, tmp_path: Path
) -> None:
    with serving(installed, tmp_path / "served") as control:
        port = control.get("/v1/status").json()["api_port"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as http:
            page = http.get("/")
            assert page.status_code == 200
            assert "<title>turnrec" in page.text
            linked = re.findall(r'(?:src|href)="(/?[A-Za-z0-9_./-]+\.(?:js|css|svg))"', page.text)
            assert linked
            assert {http.get(f"/{one.lstrip('/')}").status_code for one in linked} == {200}
            assert http.get("/v1/calls").status_code == 401
        assert control.get("/healthz").json() == {"alive": True}
        assert "turnrec_build_info" in control.get("/metrics").text


@pytest.mark.pbx
@pytest.mark.spare
def test_the_demo_runs_from_the_wheel(installed: Installed, asterisk_22: Installation) -> None:
    done = installed.run("turnrec", "demo", "--dir", "demo", timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the ledger's chain is whole" in done.stdout
    assert list((installed.folder / "demo").rglob("*.wav"))
