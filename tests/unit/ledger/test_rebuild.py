"""The tables of calls and recordings are what the entries come to, however those came."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from tests.unit.ledger.helpers import QUICK, url_of
from tests.unit.ledger.test_entries import details
from turnrec.core.entry import Entry, EntryKind
from turnrec.core.recorder import Source, State
from turnrec.ledger import Ledger

ids = st.sampled_from(["a", "b", "c"])
telling = st.fixed_dictionaries(
    {},
    optional={
        "bot": st.sampled_from(["kyc", "survey", "caf\udce9\0"]),
        "external_id": st.just("ext"),
        "channel": st.just("PJSIP/1"),
        "status": st.sampled_from(["done", "failed", "odd"]),
        "file": st.just("x.wav"),
        "samples": st.sampled_from([0, 800, -1, 2**70, "many"]),
        "rate_hz": st.sampled_from([8000, True]),
        "sha256": st.just("ab"),
    },
)
histories = st.lists(
    st.builds(
        Entry,
        kind=st.sampled_from(EntryKind),
        at_us=st.integers(0, 1000),
        call_id=st.none() | ids,
        uniqueid=st.none() | ids,
        recording_id=st.none() | ids,
        node=st.none() | ids,
        turn=st.none() | st.integers(0, 9),
        state=st.none() | st.sampled_from(State),
        holds=st.sets(st.sampled_from(Source)).map(tuple),
        detail=telling | details,
    ),
    max_size=20,
)


async def tables(ledger: Ledger) -> tuple[object, object]:
    return await ledger.calls(limit=99), await ledger.recordings(limit=99)


def clear(file: Path) -> None:
    engine = create_engine(url_of(file))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM calls"))
        connection.execute(text("UPDATE recordings SET status = 'done', file = 'wrong'"))
    engine.dispose()


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.sets(st.integers(0, 19)))
async def test_rebuilt_tables_equal_the_live_ones(history: list[Entry], flushes: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "ledger.sqlite")
        ledger = Ledger.open(url_of(file), limits=QUICK)
        for number, each in enumerate(history):
            ledger.append(each)
            if number in flushes:
                await ledger.flush()
        await ledger.flush()
        live = await tables(ledger)
        clear(file)

        await ledger.rebuild()

        assert await tables(ledger) == live
        assert (await ledger.verify_chain()).intact
        await ledger.close()


async def test_writing_goes_on_after_a_rebuild(ledger: Ledger) -> None:
    ledger.append(Entry(kind=EntryKind.CALL_STARTED, at_us=1, call_id="a"))
    await ledger.rebuild()
    ledger.append(Entry(kind=EntryKind.CALL_ENDED, at_us=2, call_id="a"))
    await ledger.flush()

    call = await ledger.call("a")

    assert call is not None
    assert (call.started_us, call.ended_us) == (1, 2)
