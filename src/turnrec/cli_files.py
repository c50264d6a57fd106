"""`turnrec files`: writes out what an operator installs, as it came with this turnrec.

It overwrites nothing, and installs and starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import typer

from turnrec.cli_base import CommandGroup, JsonOption, write_new
from turnrec.cli_show import complain, say, say_json

GROUP = CommandGroup("Server")

FILES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "asterisk-conf/turnrec.conf": "dialplan, for extensions.conf to include",
        "asterisk-conf/turnrec-manager.conf": "AMI account, for manager.conf to include",
        "asterisk-conf/stock-asterisk.sample": "what else a stock Asterisk needs",
        "asterisk-conf/turnrec.example.toml": "settings: /etc/turnrec/turnrec.toml",
        "asterisk-conf/flow.example.yaml": "flow: /etc/turnrec/flow.yaml",
        "deploy/systemd/turnrec.service": "unit: /etc/systemd/system/",
        "deploy/systemd/turnrec-backup.service": "unit of the daily backup",
        "deploy/systemd/turnrec-backup.timer": "its timer",
        "deploy/systemd/turnrec.sysusers.conf": "user and group: /etc/sysusers.d/turnrec.conf",
        "deploy/systemd/turnrec.tmpfiles.conf": "folders: /etc/tmpfiles.d/turnrec.conf",
        "deploy/logrotate/turnrec": "log rotation, without the journal",
        "deploy/prometheus/scrape.example.yml": "how Prometheus reads turnrec",
        "deploy/prometheus/turnrec.rules.yml": "alerts",
        "deploy/prometheus/turnrec.rules.test.yml": "their tests, for promtool",
        "deploy/grafana/turnrec.json": "dashboard",
    }
)
"""Each file and what it is."""
_PACKAGED: Final = {"asterisk-conf": "_asterisk_conf", "deploy": "_deploy"}


def shipped(name: str) -> Path:
    """Where a file lies: in the installed package, or else in the source tree."""
    top, _, rest = name.partition("/")
    packaged = Path(str(resources.files("turnrec"))) / _PACKAGED[top]
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / top
    return folder / rest


@GROUP.command("files", "turnrec files", "turnrec files --to /tmp/turnrec-files")
def files(
    *,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Write them below this folder; without it, list them."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write out what an operator installs: dialplan, samples, units, alerts, dashboard.

    A file that is there already is left as it is, and named if it differs (status 1).
    """
    if to is None:
        if as_json:
            say_json([{"file": name, "about": about} for name, about in FILES.items()])
            return
        width = max(map(len, FILES))
        for name, about in FILES.items():
            say(f"{name:{width}}  {about}")
        return
    written, differing = [], []
    for name in FILES:
        content, target = shipped(name).read_bytes(), to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            write_new(target, content)
            written.append(str(target))
        elif target.read_bytes() != content:
            differing.append(str(target))
    if as_json:
        say_json({"written": written, "differing": differing})
    else:
        for path in written:
            say(path)
    for path in differing:
        complain(f"turnrec: {path} is another one, and was left as it is")
    if differing:
        raise typer.Exit(1)
