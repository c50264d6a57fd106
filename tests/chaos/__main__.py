"""`python -m tests.chaos --seed 1 --calls 100`: one chaos run, judged; status 0 only if clean."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import BY_NAME, FAULTS
from tests.chaos.run import Plan, run, summary
from turnrec.pbx.packages import Release, ensure


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=12)
    parser.add_argument("--faults", help="names, by comma; all but clock by default", default="")
    parser.add_argument("--release", choices=[one.value for one in Release], default="22")
    parser.add_argument("--only-alone", action="store_true", help="never several together")
    parser.add_argument("--gap-marks", type=int, nargs=2, default=(10, 60))
    parser.add_argument(
        "--within-s", type=float, help="fail if turns aren't served so soon after a fault's end"
    )
    parser.add_argument("--dir", type=Path, help="kept; a folder of its own is made otherwise")
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    given = parser.parse_args()
    if given.list:
        for fault in FAULTS:
            print(f"{fault.name:18} {fault.says}")
        return 0
    by_default = tuple(fault for fault in FAULTS if fault.needs != "clock")
    chosen = tuple(BY_NAME[name] for name in given.faults.split(",") if name) or by_default
    plan = Plan(
        seed=given.seed,
        calls=given.calls,
        at_once=given.at_once,
        faults=chosen,
        together=not given.only_alone and len(chosen) > 1,
        gap_marks=tuple(given.gap_marks),
        serves_within_s=given.within_s,
    )
    installation = ensure(Release(given.release), say=lambda text: print(text, file=sys.stderr))
    folder = given.dir or Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"seed {plan.seed}, in {folder}", flush=True)
    outcome = asyncio.run(run(installation, folder.absolute(), plan))
    print(summary(plan, outcome))
    if outcome.report.is_clean and given.dir is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if outcome.report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
