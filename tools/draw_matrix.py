"""Writes docs/agents.md's table anew from the data of tests/pbx/matrix; it plays no call.

Run it at the top of the repository: `.venv/bin/python -m tools.draw_matrix`.
"""

from tests.pbx.matrix.table import DOCS, drawn
from tests.pbx.matrix.ways import WAYS

if __name__ == "__main__":
    DOCS.write_text(drawn(DOCS.read_text("utf-8"), WAYS.values()), "utf-8")
