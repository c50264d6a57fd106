"""Who may import whom (design.md, section 5), read from the sources; nothing is imported for it.

    core        the standard library
    asterisk    core            each of these three knows itself and the rules,
    ledger      core            and no other
    recordings  core
    path        core, spelling  ports, answer, notes, execution, live, calls, talks: the main path;
                                recognisers, transcripts: who else hears the call
    daemon      core, asterisk  net, others, meddling, limits: what happens without being asked,
                path, periodic  and what is asked of the main path because of it
    web         core, path      what HTTP asks of the main path
    panic       core, asterisk  stops every monitor without the server's help
    describe    core, ledger    the JSON shape of calls and recordings
    feed        core, ledger    what entries tell, to who listens
                describe
    webhooks    core, ledger    the same, to who is called
                feed
    rest        core            settings, flow, logs, bots, the test PBX: and each other
    composers   everything      they put the house together

Nobody but a composer may know a composer.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src" / "turnrec"

PATH = {
    "ports",
    "answer",
    "notes",
    "execution",
    "live",
    "calls",
    "talks",
    "recognisers",
    "transcripts",
}
DAEMON = {"net", "others", "meddling", "limits"}
COMPOSERS = {
    "__main__",
    "archive",
    "backup",
    "courier",
    "demo",
    "desk",
    "dialplan",
    "doctor",
    "front",
    "keeping",
    "listening",
    "memory",
    "metrics",
    "proof",
    "recordings_desk",
    "redaction",
    "retention",
    "service",
    "simulate",
    "strays",
    "strangers",
    "telling",
    "transcript_export",
    "verify",
    "watch",
}
LAYERS = {"core", "asterisk", "ledger", "recordings", "feed", "webhooks", "web"}
MAY_IMPORT = {
    "core": {"core"},
    "asterisk": {"core", "asterisk"},
    "ledger": {"core", "ledger"},
    "recordings": {"core", "recordings"},
    "path": {"core", "path", "spelling"},
    "daemon": {"core", "asterisk", "path", "daemon", "periodic"},
    "web": {"core", "path", "web"},
    "panic": {"core", "asterisk"},
    "describe": {"core", "ledger"},
    "feed": {"core", "ledger", "describe", "feed"},
    "webhooks": {"core", "ledger", "feed", "webhooks"},
    "rest": {"core", "rest"},
    "composers": {*LAYERS, "path", "daemon", "panic", "describe", "rest", "composers"},
}


def layer_of(name: str) -> str:
    """Where `turnrec.<name>` belongs; `spelling` and `periodic` are the rest's, with a place."""
    if name in MAY_IMPORT:
        return name
    if name in PATH:
        return "path"
    if name in DAEMON:
        return "daemon"
    # Every group of commands is a module `cli_...`.
    is_composer = name in COMPOSERS or name.partition("_")[0] == "cli"
    return "composers" if is_composer else "rest"


def imports(source: str, package: str) -> Iterator[str]:
    """Every module that a source imports, for types or late as well, as an absolute name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            # `from turnrec import calls` imports turnrec.calls.
            yield from (
                f"{base}.{alias.name}" if base == "turnrec" else base for alias in node.names
            )


def mistakes(name: str, source: str, package: str) -> list[str]:
    """The imports of `turnrec.<name>...` that its layer does not allow."""
    layer = layer_of(name)
    found = []
    for module in imports(source, package):
        top, _, rest = module.partition(".")
        ours = rest.partition(".")[0]
        if top != "turnrec":
            is_wrong = layer == "core" and top not in sys.stdlib_module_names
        else:
            allowed = MAY_IMPORT[layer]
            is_wrong = ours not in allowed and layer_of(ours) not in allowed
        if is_wrong:
            found.append(module)
    return found


MODULES = sorted(path.relative_to(SOURCES) for path in SOURCES.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_what_its_layer_may(module: Path) -> None:
    package = ".".join(["turnrec", *module.parts[:-1]])
    source = (SOURCES / module).read_text(encoding="utf-8")
    assert mistakes(module.parts[0].removesuffix(".py"), source, package) == []


def test_every_layer_that_is_named_is_there() -> None:
    there = {module.parts[0].removesuffix(".py") for module in MODULES}
    assert LAYERS | PATH | {"cli", "service", "dialplan", "memory"} <= there


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core", "import yaml"),
        ("core", "from turnrec.calls import Calls"),
        ("core", "def late():\n    import numpy"),
        ("core", "from ..ports import Path"),
        ("asterisk", "from turnrec.ledger.store import Ledger"),
        ("asterisk", "from turnrec import calls"),
        ("ledger", "import turnrec.recordings.join"),
        ("recordings", "from turnrec.asterisk.spool import Spool"),
        ("calls", "from turnrec.asterisk.agi import AgiSession"),
        ("execution", "if TYPE_CHECKING:\n    from turnrec.ledger.store import Ledger"),
        ("ports", "from turnrec.flow import FlowFile"),
        ("web", "from turnrec.ledger.reader import Reader"),
        ("config", "from turnrec.calls import Calls"),
        ("bots", "from turnrec.service import Service"),
    ],
)
def test_an_import_against_the_direction_is_found(name: str, source: str) -> None:
    assert len(mistakes(name, source, f"turnrec.{name}")) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core", "import enum\nfrom turnrec.core.policy import Bot\nfrom .policy import Bot"),
        ("asterisk", "import panoramisk\nfrom turnrec.core.errors import FaultError"),
        ("calls", "from turnrec.spelling import nearest\nfrom turnrec.execution import Job"),
        ("web", "import fastapi\nfrom turnrec.calls import Calls"),
        ("cli", "from turnrec.web.api import app\nfrom turnrec.asterisk.agi import AgiServer"),
    ],
)
def test_an_import_in_the_direction_is_allowed(name: str, source: str) -> None:
    assert mistakes(name, source, f"turnrec.{name}") == []
