"""Writes docs/doctor.md anew from the doctor's own table; it checks nothing.

Run it at the top of the repository: `.venv/bin/python -m tools.draw_doctor`.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Final

from turnrec.doctor.checks import CHECKS

DOCS: Final = Path(__file__).parents[1] / "docs" / "doctor.md"
_INTRO: Final = """# The doctor

<!-- made by tools/draw_doctor.py from src/turnrec/doctor/checks.py: change that, and run it -->

```console
$ sudo -u turnrec turnrec doctor
Dialplan
  ✘ agi-address          TURNREC_AGI is agi://127.0.0.1:4574, and turnrec listens on port 4573
                         → in extensions.conf: [globals] TURNREC_AGI = agi://127.0.0.1:4573
                         → asterisk -rx 'dialplan reload'

1 problem; 42 checks in order
```

`turnrec doctor` looks the whole installation over and says what to do, with lines to paste. It
changes nothing and places no call, and works with turnrec running or not. Where all is well it says
so in one line; `--verbose` shows every check, `--json` is for scripts. Exit status 0: no problem
(warnings perhaps), 1: a problem, 2: wrong usage, or settings that can't be read.

- **A problem**: something that turnrec promises doesn't hold, or a secret or a recording is open to
  others. **A warning**: it works, but is weaker than it should be. **Not checked**: with why, and
  how it could be. A check that fails is never a traceback.
- Run it **as turnrec's own user**: rights to files are judged for who asks.
- It logs in to AMI once, with turnrec's account, and needs no other right than turnrec does. What
  AMI doesn't tell, it asks Asterisk's own command for; where that has another name, say
  `--asterisk 'docker exec pbx asterisk'`. Without it, `spool-shared` and `ami-sessions` aren't
  checked.
- What is as it is on purpose: `--skip other-recorders`, as often as needed.
- What it can't see: a firewall, who else has AMI accounts, whether a recording has both voices
  (`turnrec verify` and the manifest say that of each recording).

## All checks
"""
_ROWS: Final = "\n| check | what it makes sure of | where it isn't so |\n|---|---|---|\n"


def drawn() -> str:
    """The page, as it should be."""
    parts = [_INTRO]
    for area, checks in groupby(CHECKS, key=lambda one: one.area):
        rows = "\n".join(f"| `{one.id}` | {one.asks} | {one.cure} |" for one in checks)
        parts.append(f"\n### {area.value}\n{_ROWS}{rows}\n")
    return "".join(parts)


if __name__ == "__main__":
    DOCS.write_text(drawn(), "utf-8")
