"""docs/settings.md and docs/flow.md are what the code and the samples say."""

import re

from tools.draw_reference import FLOW_PAGE, SETTINGS_PAGE, flow_page, settings_page


def test_the_reference_is_made_from_the_code() -> None:
    again = "run `.venv/bin/python -m tools.draw_reference`"
    assert SETTINGS_PAGE.read_text("utf-8") == settings_page(), again
    assert FLOW_PAGE.read_text("utf-8") == flow_page(), again


def test_every_setting_and_policy_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` .*\| (.*) \|$", settings_page() + flow_page(), re.MULTILINE)
    assert len(rows) > 40
    assert [name for name, said in rows if len(said) < 10] == []
