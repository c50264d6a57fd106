"""Draws docs/demo.svg: what `make demo` prints, from a run of it."""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from turnrec.demo.run import demo
from turnrec.demo.show import Screen


def main() -> None:
    """Run the demo once and save what it printed."""
    console = Console(record=True, width=92, force_terminal=True)
    with tempfile.TemporaryDirectory(prefix="turnrec-draw-") as folder:
        asyncio.run(demo(Path(folder), Screen(console)))
        svg = console.export_svg(title="make demo")
        # A picture shows no machine's folders.
        svg = svg.replace(folder, "var/demo")
    Path(sys.argv[1]).write_text(re.sub(r"[ \t]+\n", "\n", svg), "utf-8")


if __name__ == "__main__":
    main()
