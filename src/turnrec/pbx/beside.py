"""Writes the settings of a turnrec that runs beside a test PBX; it starts neither."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from turnrec.pbx.configuration import PbxSettings, templates_dir
from turnrec.pbx.instance import Pbx

SOUNDS_DIR = Path(__file__).parents[1] / "bots" / "audio"


def pbx_settings(run_dir: Path, spool_dir: Path, agi_url: str) -> PbxSettings:
    """The test PBX with turnrec's dialplan and the sample bot (extension 1000)."""
    conf = templates_dir()
    return PbxSettings(
        run_dir=run_dir,
        spool_dir=spool_dir,
        agi_url=agi_url,
        dialplan_globals={"TURNREC_SOUNDS": str(SOUNDS_DIR)},
        extra_dialplan=(conf / "turnrec.conf", conf / "sample-bot.conf"),
    )


def write_settings(folder: Path, pbx: Pbx, spool_dir: Path, *, agi_port: int) -> Path:
    """Write `turnrec.toml` and a flow file into `folder`; return the former's path.

    The AMI secret is in a file of its own that only this user can read. A flow file that is there
    already stays: it may have been edited.
    """
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flow = folder / "flow.yaml"
    if not flow.exists():
        shutil.copyfile(templates_dir() / "flow.sample-bot.yaml", flow)
    secret = folder / "ami.secret"
    secret.touch(mode=0o600)
    secret.write_text(pbx.secrets.ami, "utf-8")
    sections: dict[str, dict[str, str | int]] = {
        "server": {"agi_port": agi_port, "control_socket": str(pbx.run_dir / "turnrec.sock")},
        "api": {"port": 0, "keys_file": "api-keys.json"},
        "asterisk": {
            "ami_port": pbx.ports.ami_tcp,
            "ami_username": pbx.ami_user,
            "ami_secret_file": secret.name,
        },
        "recordings": {"dir": "recordings", "spool_dir": str(spool_dir.absolute())},
        "ledger": {"url": "sqlite:///ledger.db"},
        "flow": {"path": flow.name},
        "log": {"level": "warning", "format": "console"},
    }
    path = folder / "turnrec.toml"
    lines = [f"# turnrec beside the test PBX in {pbx.run_dir}"]
    for name, pairs in sections.items():
        # A JSON string is a TOML string.
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(pairs[key])}" for key in pairs)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
