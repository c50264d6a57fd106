"""Settings of AMI: checked when made, silent about the secret; the back-off has an end."""

from __future__ import annotations

import random

import pytest

from turnrec.asterisk.ami import AmiConnectionLostError, AmiLoginError, AmiSettings
from turnrec.asterisk.ami_settings import retry_delay_ms

SETTINGS = AmiSettings(
    username="u", secret="hunter2", reconnect_min_ms=250, reconnect_max_ms=10_000
)
LOST = AmiConnectionLostError("lost")


def test_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ping_interval_ms": 0},
        {"action_timeout_ms": -1},
        {"port": 0},
        {"reconnect_min_ms": 2, "reconnect_max_ms": 1},
        {"secret": "a\r\nAction: x"},
        {"username": "a\0"},
    ],
)
def test_wrong_setting_is_refused_by_name(wrong: dict[str, object]) -> None:
    fields: dict[str, object] = {"username": "u", "secret": "s"} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AmiSettings(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failures", "ceiling_ms"), [(1, 250), (2, 500), (3, 1_000), (7, 10_000), (5_000, 10_000)]
)
def test_delay_doubles_up_to_its_maximum_with_jitter(failures: int, ceiling_ms: int) -> None:
    rng = random.Random(1)
    delays = {retry_delay_ms(SETTINGS, LOST, failures, rng) for _ in range(200)}
    assert ceiling_ms / 2 <= min(delays) < max(delays) <= ceiling_ms


def test_after_an_outage_of_a_day_the_next_attempt_comes_within_4_seconds() -> None:
    rng = random.Random(1)
    settings = AmiSettings(username="u", secret="s")
    assert max(retry_delay_ms(settings, LOST, 30_000, rng) for _ in range(200)) <= 4_000


def test_refused_login_waits_half_a_minute_at_least_from_the_first_time_on() -> None:
    rng = random.Random(1)
    refused = AmiLoginError("refused")
    assert min(retry_delay_ms(SETTINGS, refused, 1, rng) for _ in range(200)) >= 30_000
