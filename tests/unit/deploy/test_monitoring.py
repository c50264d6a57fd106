"""Alerts and dashboard ask for nothing that turnrec doesn't export, and say what they are about."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from turnrec.config import load_settings
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.policy import Action
from turnrec.core.recorder import Source, State
from turnrec.service import Service

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "turnrec.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "turnrec.json"
OF_PROMETHEUS = {"up", "instance", "job"}
"""What Prometheus itself adds: a metric, and two labels of every series."""
OUTCOMES = {"done", "refused", "failed"}
WORDS: dict[str, set[str]] = {
    "kind": {kind.value for kind in EntryKind},
    "state": {state.value for state in State},
    "outcome": OUTCOMES,
    "result": {"ok"},
    "job": {"turnrec"},
}
"""What a label that is asked for can hold; a word that it never holds would never fire."""
_SELECTOR = re.compile(r"\b(up|(?:turnrec|process)_[a-z_]+)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_BY = re.compile(r"\bby \(([^)]*)\)")
_SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def asked() -> Iterator[tuple[str, str, str]]:
    """Each question: where it stands, the question, and the text that shows its labels."""
    for rule in rules():
        yield rule["alert"], rule["expr"], rule["annotations"]["summary"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that a turnrec put together by `serve` exports, with its labels."""
    folder = tmp_path_factory.mktemp("turnrec")
    (folder / "flow.yaml").write_text("version: 1\nbots: {kyc: {nodes: {hello: }}}\n")
    (folder / "turnrec.toml").write_text(
        '[asterisk]\nami_enabled = false\n[flow]\npath = "flow.yaml"\n'
        '[ledger]\nurl = "sqlite:///ledger.db"\n[api]\nkeys_file = "keys.json"\n'
        '[server]\ncontrol_socket = "control.sock"\n'
        '[recordings]\ndir = "recordings"\nspool_dir = "spool"\n'
    )
    for name in ("recordings", "spool"):
        (folder / name).mkdir()
    return _exported_by(folder)


def _exported_by(folder: Path) -> dict[str, set[str]]:
    import asyncio

    async def measure() -> bytes:
        service = Service(load_settings(folder / "turnrec.toml", {}))
        try:
            for kind in EntryKind:
                service._metrics.entered(
                    Entry(kind=kind, at_us=1, call_id="C", action=Action.PAUSE, source=Source.TURN)
                )
            return service.metrics()
        finally:
            service._closer.shut_down()
            service._transcript_files.shut_down()
            await service.ledger.close()

    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(asyncio.run(measure()).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_and_label_that_is_asked_for_is_exported(
    exported: dict[str, set[str]],
) -> None:
    wrong = []
    for where, expr, _ in asked():
        for metric, matchers in _SELECTOR.findall(expr):
            if metric not in exported and metric not in OF_PROMETHEUS:
                wrong.append(f"{where}: no {metric}")
            labels = exported.get(metric, set()) | OF_PROMETHEUS
            wrong += [
                f"{where}: {metric} has no {label}"
                for label, _, _ in _MATCHER.findall(matchers)
                if label not in labels
            ]
    assert wrong == []


def test_a_label_is_asked_for_by_a_word_that_it_can_hold() -> None:
    wrong = [
        f"{where}: {label} is never {word}"
        for where, expr, _ in asked()
        for label, how, word in _MATCHER.findall(expr)
        if how in ("=", "!=") and word not in WORDS.get(label, set())
    ]
    assert wrong == []


def test_labels_that_are_shown_or_grouped_by_are_exported(exported: dict[str, set[str]]) -> None:
    wrong = []
    for where, expr, shown in asked():
        metrics = {metric for metric, _ in _SELECTOR.findall(expr)}
        known = OF_PROMETHEUS.union(*(exported.get(one, set()) for one in metrics))
        grouped = {name.strip() for names in _BY.findall(expr) for name in names.split(",")}
        left = grouped or known
        wrong += [f"{where}: by {name}" for name in grouped - known]
        wrong += [f"{where}: shows {name}" for name in set(_SHOWN.findall(shown)) - left]
    assert wrong == []


def test_an_alert_of_a_counter_with_labels_fires_at_its_first_event() -> None:
    # increase() of a series that has just appeared is 0.
    for rule in rules():
        counters = {one for one, _ in _SELECTOR.findall(rule["expr"]) if one.endswith("_total")}
        if counters:
            assert "unless" in rule["expr"], rule["alert"]
            assert "offset" in rule["expr"], rule["alert"]


def test_every_alert_says_how_bad_it_is_and_what_it_means_and_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "running.md").read_text("utf-8")
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in page


def test_the_dashboard_is_one_that_grafana_can_place() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert {one["name"] for one in dashboard["templating"]["list"]} == {"datasource", "instance"}
    assert "id" not in dashboard, "an id of somebody's Grafana"


@pytest.mark.promtool
def test_promtool_finds_the_rules_sound() -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is missing: Debian's package prometheus has it"
    for words in (["check", "rules", RULES.name], ["test", "rules", "turnrec.rules.test.yml"]):
        done = subprocess.run(
            [promtool, *words], cwd=RULES.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
