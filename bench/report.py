"""Says what was measured: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from bench.plan import GUARD_MS, MEDIAN_AIM, P99_AIM, Arm, Turn
from bench.run import Measured
from bench.stats import Compared


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and on what it was measured."""

    machine: str
    python: str
    asterisk: str
    arms: tuple[Arm, ...]
    command: str


def as_json(setting: Setting, levels: Sequence[Measured]) -> str:
    """Give everything as JSON."""
    aims = {"p50": MEDIAN_AIM, "p99": P99_AIM, "guard_ms": GUARD_MS}
    return json.dumps(
        {"setting": asdict(setting), "aims": aims, "levels": [asdict(one) for one in levels]},
        indent=2,
    )


def show(console: Console, setting: Setting, levels: Sequence[Measured]) -> None:
    """Print the tables."""
    console.print(
        f"\nAsterisk {setting.asterisk}, Python {setting.python}, {setting.machine}\n"
        f"[bold]The time of a turn in the dialplan[/], ms; ratio turnrec : bare, with its 95 %"
        f" interval. Aims: p50 {MEDIAN_AIM}, p99 {P99_AIM}\n"
    )
    console.print(_times(levels))
    console.print("\n[bold]What it costs[/]; turnrec and bare each have their half of the calls\n")
    console.print(_costs(levels))
    for one in levels:
        for what, count in one.failures.items():
            console.print(f"[red]{one.calls} calls: {count} turns ended as: {what or 'nothing'}[/]")


def _times(levels: Sequence[Measured]) -> Table:
    table = _table(
        "calls", "turn", "turns", "bare p50", "p99", "turnrec p50", "p99", "ratio p50", "ratio p99"
    )
    for one in levels:
        rows = {
            "pause": one.turns[Turn.PAUSE],
            "resume": one.turns[Turn.RESUME],
            f"resume - {GUARD_MS} ms": one.resume_less_guard,
        }
        for name, compared in rows.items():
            table.add_row(
                str(one.calls),
                name,
                f"{compared.bare_count} + {compared.turnrec_count}",
                _ms(compared.bare_ms, "p50"),
                _ms(compared.bare_ms, "p99"),
                _ms(compared.turnrec_ms, "p50"),
                _ms(compared.turnrec_ms, "p99"),
                _ratio(compared, "p50"),
                _ratio(compared, "p99"),
            )
        table.add_section()
    return table


def _costs(levels: Sequence[Measured]) -> Table:
    table = _table(
        "calls",
        "up",
        "turns/s",
        "CPU % of a core: Asterisk",
        "turnrec",
        "bare",
        "others",
        "CPU ms a turn: turnrec",
        "bare",
        "MiB: Asterisk",
        "turnrec",
        "bare",
        "load before",
    )
    for one in levels:
        others = one.cpu_shares["others"] + one.cpu_shares["bench"]
        table.add_row(
            str(one.calls),
            f"{one.calls_up:.0f}",
            f"{one.turns_a_second:.1f}",
            *(f"{100 * one.cpu_shares[name]:.1f}" for name in ("asterisk", "turnrec", "bare")),
            f"{100 * others:.1f}",
            *(
                f"{one.cpu_ms_a_turn[arm]:.1f}" if arm in one.cpu_ms_a_turn else "-"
                for arm in (Arm.TURNREC, Arm.BARE)
            ),
            *(f"{one.resident_mb[name]:.0f}" for name in ("asterisk", "turnrec", "bare")),
            f"{one.load_before:.2f}",
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name == "turn" else "right")
    return table


def _ms(quantiles: dict[str, float], name: str) -> str:
    return f"{quantiles[name]:.2f}" if name in quantiles else "-"


def _ratio(compared: Compared, name: str) -> str:
    ratio = compared.ratios.get(name)
    return "-" if ratio is None else f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"
