"""The dialplan: ours against the shipped one's, and other recorders in it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.doctor.house import RELEASES, House, flow_of
from turnrec.doctor import plan
from turnrec.doctor.answers import STAMP_CONTEXT, Section, Step, plan_of, stamp_of
from turnrec.doctor.finding import Finding, NotCheckedError, Status
from turnrec.pbx.configuration import templates_dir

SHIPPED = plan_of((templates_dir() / "turnrec.conf").read_text("utf-8"))


def step(application: str, data: str, context: str = "from-sip") -> Step:
    return Step(context, "1000", "1", application, data)


# ------------------------------------------------------------------ the stamp


STEPS_OF_STAMP = {1: "666f993efdcfa6b2", 2: "829750b827aeb78f"}


def test_a_change_of_turnrec_conf_raises_its_version() -> None:
    """A new version here, with the digest that is told, whenever a step changes."""
    code = "\n".join(map(repr, (one for one in SHIPPED if one.context != STAMP_CONTEXT)))
    digest = hashlib.sha256(code.encode()).hexdigest()[:16]
    assert STEPS_OF_STAMP.get(stamp_of(SHIPPED) or 0) == digest


@pytest.mark.parametrize("release", RELEASES)
async def test_the_file_is_read_as_asterisk_lists_it(release: str, tmp_path: Path) -> None:
    loaded = await House(tmp_path, release).steps()
    listed = [one for one in loaded if one.context == "turnrec-hangup"]
    assert listed == [one for one in SHIPPED if one.context == "turnrec-hangup"]
    assert stamp_of(loaded) == 1


# ------------------------------------------------------------------ included, current


def current(steps: tuple[Step, ...]) -> Finding:
    return plan.judge_current(steps, SHIPPED, ("cp",))


def test_the_shipped_dialplan_is_current() -> None:
    assert current((*SHIPPED, step("Answer", ""))).status is Status.OK


def test_one_without_a_version_is_older() -> None:
    found = current(tuple(one for one in SHIPPED if one.context != STAMP_CONTEXT))
    assert found.status is Status.PROBLEM
    assert "without a version" in found.sentence


def test_one_of_another_version_is_a_problem() -> None:
    other = tuple(
        replace(one, data="turnrec.conf 99") if one.context == STAMP_CONTEXT else one
        for one in SHIPPED
    )
    assert current(other).status is Status.PROBLEM


def test_an_edited_one_is_a_warning_that_names_the_subroutine() -> None:
    edited = tuple(
        replace(one, application="NoOp") if one.application == "StopMixMonitor" else one
        for one in SHIPPED
    )
    found = current(edited)
    assert found.status is Status.WARNING
    assert "turnrec-settle" in found.sentence


def test_none_at_all_is_the_other_checks_business() -> None:
    with pytest.raises(NotCheckedError):
        current((step("Answer", ""),))


# ------------------------------------------------------------------ TURNREC_AGI


@pytest.mark.parametrize(
    ("text", "host", "port", "is_here", "expected"),
    [
        ("agi://127.0.0.1:4573", "127.0.0.1", 4573, True, Status.OK),
        ("agi://localhost", "127.0.0.1", 4573, True, Status.OK),
        ("agi://[::1]:4573", "::1", 4573, True, Status.OK),
        ("agi://10.0.0.5:4573", "0.0.0.0", 4573, False, Status.OK),
        ("agi://turnrec:4573", "0.0.0.0", 4573, True, Status.OK),
        ("", "127.0.0.1", 4573, True, Status.PROBLEM),
        ("agi://127.0.0.1:4574", "127.0.0.1", 4573, True, Status.PROBLEM),
        ("agi://127.0.0.1", "127.0.0.1", 4574, True, Status.PROBLEM),
        ("agi://127.0.0.1:4573/", "127.0.0.1", 4573, True, Status.PROBLEM),
        ("127.0.0.1:4573", "127.0.0.1", 4573, True, Status.PROBLEM),
        ("agi://127.0.0.1:4573", "10.0.0.5", 4573, False, Status.PROBLEM),
        ("agi://10.0.0.5:4573", "127.0.0.1", 4573, False, Status.PROBLEM),
    ],
)
def test_the_dialplans_address_is_where_turnrec_listens(
    text: str, host: str, port: int, expected: Status, *, is_here: bool
) -> None:
    found = plan.judge_address(text, host, port, is_here=is_here)
    assert found.status is expected, found
    assert expected is Status.OK or found.cure


async def test_with_any_port_and_no_server_the_address_is_not_checked(tmp_path: Path) -> None:
    toml = '[server]\nagi_port = 0\ncontrol_socket = "s"\n[asterisk]\nami_secret = "s3cret"\n'
    house = House(tmp_path, toml=toml)
    with pytest.raises(NotCheckedError):
        await plan.address(house)
    house.status = {"agi_port": 4573}
    assert (await plan.address(house)).status is Status.OK


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("data", "unknown"),
    [
        ("turnrec-start,s,1(kyc)", ""),
        ("turnrec-turn,s,1(ask)", ""),
        ("turnrec-start,s,1(kyc,${UUID})", ""),
        ("turnrec-turn,s,1(${NODE})", ""),
        ("turnrec-turn,s,1(aks)", "node 'aks' in from-sip,1000,1"),
        ("turnrec-start,s,1(kcy)", "bot 'kcy'"),
        ('$["${A}" = "1"]?turnrec-turn,s,1(ask):turnrec-turn,s,1(nix)', "node 'nix'"),
    ],
)
def test_names_that_the_flow_does_not_know_are_told(data: str, unknown: str) -> None:
    found = plan.judge_names([step("Gosub", data)], flow_of())
    assert (found.status is Status.WARNING) is bool(unknown)
    assert unknown in found.sentence


# ------------------------------------------------------------------ who else records


@pytest.mark.parametrize(
    ("application", "data", "what"),
    [
        ("MixMonitor", "x.wav", "MixMonitor"),
        ("Monitor", "wav,x", "Monitor"),
        ("Record", "x.wav,3,60", "Record"),
        ("ExecIf", "$[1]?MixMonitor(x.wav):NoOp()", "MixMonitor"),
        ("Set", "CONFBRIDGE(bridge,record_conference)=yes", "ConfBridge"),
        ("StopMixMonitor", "", ""),
        ("NoOp", "MixMonitor", ""),
    ],
)
def test_a_recorder_of_somebody_elses_is_named_by_its_place(
    application: str, data: str, what: str
) -> None:
    steps = [*SHIPPED, step(application, data)]
    found = plan.judge_others(steps, flow_of(), has_ami=True)
    assert (found.status is Status.WARNING) is bool(what)
    assert (f"{what} at from-sip,1000,1" in found.sentence) is bool(what)


@pytest.mark.parametrize(
    ("policies", "has_ami", "said"),
    [
        ("", True, "hushed in pauses"),
        ("others: ignore", True, "records the pauses of kyc"),
        ("", False, "records pauses without AMI"),
    ],
)
def test_whether_it_is_hushed_is_said(policies: str, said: str, *, has_ami: bool) -> None:
    found = plan.judge_others([step("MixMonitor", "x")], flow_of(policies), has_ami=has_ami)
    assert said in found.sentence


def test_a_queue_that_records_by_itself_is_named() -> None:
    quiet = Section("sales", (("strategy", "ringall"),))
    loud = Section("support", (("monitor-format", "wav"),))
    general = Section("general", (("monitor-type", "MixMonitor"),))
    assert plan.judge_queues([general, quiet]).status is Status.OK
    found = plan.judge_queues([general, quiet, loud])
    assert found.status is Status.WARNING
    assert "support" in found.sentence


@pytest.mark.parametrize(
    ("application", "data", "expected"),
    [
        ("Dial", "PJSIP/a,30,gX", Status.WARNING),
        ("Dial", "PJSIP/a,30,U(turnrec-agent^X)", Status.OK),
        ("Dial", "PJSIP/${EXTEN:x},30,g", Status.OK),
        ("Dial", "PJSIP/x,30", Status.OK),
        ("Queue", "sales,tx", Status.WARNING),
        ("Queue", "sales,t,,,60,,x", Status.OK),
    ],
)
def test_one_touch_recording_counts_where_a_dial_allows_it(
    application: str, data: str, expected: Status
) -> None:
    features = [Section("featuremap", (("automixmon", "*3"),))]
    assert plan.judge_one_touch(features, [step(application, data)]).status is expected
    assert plan.judge_one_touch([], [step(application, data)]).status is Status.OK
