"""Files that anybody may have written: a value, or the reader's own error that repeats none."""

# ruff: noqa: PT017 - an error is one of two good outcomes here

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.nasty import fuzzed, mangled, misfit, replayed, spelt
from turnrec.config import ConfigError, load_settings
from turnrec.core.errors import TurnrecError
from turnrec.core.policy import PauseBehavior
from turnrec.core.transcript_text import TranscriptFormat, TranscriptTime
from turnrec.flow import FlowFile
from turnrec.flow_yaml import FlowError
from turnrec.ledger.checkpoints import CheckpointError, read_line, read_lines
from turnrec.ledger.keys import KeyFileError, PublicKey, SigningKey, make_key
from turnrec.recordings.spans import SpanMapError, laid_out_as, layout_from_json, span_to_json
from turnrec.recordings.transcript_export import export_transcripts
from turnrec.recordings.transcript_file import TranscriptFileError, read, redact_transcript
from turnrec.web.access import Right
from turnrec.web.keys import KeyRing, KeysFileError

CONF = Path(__file__).parents[2] / "asterisk-conf"
SECRET = "5557430691284"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documents") / "document"


# ------------------------------------------------------------------ settings and flows


def test_any_settings_are_taken_or_named(place: Path) -> None:
    sample = (CONF / "turnrec.example.toml").read_bytes()
    secret = (
        b'\n[asterisk]\nami_secret = "'
        + SECRET.encode()
        + b'"\n[ledger]\nurl = "postgresql://u:'
        + SECRET.encode()
        + b'@h/d"\n'
    )

    @replayed("settings", mangled([sample, secret, sample + secret]), 80)
    def fuzz(data: bytes) -> None:
        place.write_bytes(data)
        try:
            settings = load_settings(place, {})
        except ConfigError as error:
            said = str(error)
        else:
            said = repr(settings)
        assert SECRET not in said

    fuzz()


@fuzzed(80)
@given(
    st.dictionaries(
        st.text().map("TURNREC_".__add__)
        | st.sampled_from(
            [
                "TURNREC_ASTERISK__AMI_SECRET",
                "TURNREC_API__PORT",
                "XDG_RUNTIME_DIR",
                "TURNREC_RECORDINGS__DIR",
            ]
        ),
        st.text(),
    )
)
def test_any_environment_is_taken_or_named(environ: dict[str, str]) -> None:
    with suppress(ConfigError):
        load_settings(None, environ)


def test_any_flow_is_taken_or_named_with_its_place(place: Path) -> None:
    sample = (CONF / "flow.example.yaml").read_bytes()

    @replayed("flow", mangled([sample]), 80)
    def fuzz(data: bytes) -> None:
        place.write_bytes(data)
        try:
            FlowFile.load(place)
        except FlowError as error:
            assert error.mistakes
            lines = (
                data.count(b"\n")
                + data.count(b"\r")
                + data.count(b"\xc2\x85")
                + data.count(b"\xe2\x80")
                + 2
            )
            assert all(0 <= one.line <= lines for one in error.mistakes)
            assert all(len(one.message) < 2_000 for one in error.mistakes)

    fuzz()


# ------------------------------------------------------------------ keys


def test_any_keys_file_holds_keys_or_opens_nothing(place: Path) -> None:
    place.unlink(missing_ok=True)
    ring = KeyRing(place)
    key = ring.make("desk", frozenset(Right), None, 1)
    ring.make("bot", frozenset({Right.BOT}), frozenset({"kyc"}), 2)
    good = json.loads(place.read_bytes())
    place.chmod(0o600)

    @replayed("keys", misfit(good).map(spelt) | mangled([place.read_bytes()]), 120)
    def fuzz(data: bytes) -> None:
        place.write_bytes(data)
        fresh = KeyRing(place)
        try:
            access = fresh.recognise(key)
            held = fresh.keys()
        except KeysFileError as error:
            assert key[-43:] not in str(error)
            return
        assert all(isinstance(one.name, str) for one in held)
        if access is not None:
            assert access.rights <= frozenset(Right)

    fuzz()


def test_any_key_is_no_key_but_the_very_one(place: Path) -> None:
    place.unlink(missing_ok=True)
    ring = KeyRing(place)
    key = ring.make("desk", frozenset(Right), None, 1)

    @fuzzed(120)
    @given(mangled([key.encode()]).map(lambda data: data.decode("latin-1")) | st.text())
    def fuzz(presented: str) -> None:
        assert (ring.recognise(presented) is not None) == (presented == key)

    fuzz()


def test_any_pem_is_a_key_or_named_and_never_repeated(place: Path) -> None:
    private = place.with_name("signing.key")
    public, _ = make_key(private)
    words = [private.read_bytes(), public.read_bytes()]
    place.write_bytes(b"")
    place.chmod(0o600)

    @replayed("pem", mangled(words), 80)
    def fuzz(data: bytes) -> None:
        place.write_bytes(data)
        for kind in (PublicKey, SigningKey):
            try:
                kind.read(place)
            except KeyFileError as error:
                assert "MC4C" not in str(error)

    fuzz()


# ------------------------------------------------------------------ checkpoints


CHECKPOINT = {
    "v": 1,
    "ledger": "a" * 64,
    "seq": 3,
    "hash": "b" * 64,
    "at_us": 1,
    "key": "c" * 16,
    "signature": "AAAA",
}


@replayed("checkpoint", misfit(CHECKPOINT).map(spelt) | mangled([spelt(CHECKPOINT)]), 150)
def test_any_line_is_a_checkpoint_or_none(data: bytes) -> None:
    try:
        found = read_line(data.decode("latin-1"))
    except CheckpointError:
        return
    assert read_line(found.line) == found
    assert found.message.isascii()


def test_a_file_of_checkpoints_is_read_in_short_pieces(place: Path) -> None:
    place.write_bytes(b"[" * 1_000_000)
    found = list(read_lines(place))
    assert len(found) == -(-1_000_000 // 4096)
    assert all(isinstance(one, CheckpointError) for _, one in found)


@pytest.mark.parametrize("name", ["seq", "at_us"])
def test_a_number_that_no_clock_and_no_ledger_reaches_is_none(name: str) -> None:
    with pytest.raises(CheckpointError):
        read_line(json.dumps({**CHECKPOINT, name: 10**18}))


# ------------------------------------------------------------------ spans


SPANS = [
    {
        "kind": "segment",
        "start_sample": 0,
        "samples": 800,
        "begin_us": 0,
        "end_us": 100_000,
        "segment": 1,
        "part": "R-001.wav",
        "part_samples": 800,
        "sources": [],
    },
    {
        "kind": "gap",
        "start_sample": 800,
        "samples": 800,
        "begin_us": 100_000,
        "end_us": 200_000,
        "sources": ["turn"],
        "node": "ask",
    },
    {
        "kind": "redacted",
        "start_sample": 1600,
        "samples": 8,
        "begin_us": 200_000,
        "end_us": 201_000,
        "segment": 1,
        "part": "R-001.wav",
    },
]
LAYOUT = {"spans": SPANS, "rate_hz": 8000, "behavior": "silence"}


@fuzzed(250)
@given(misfit(LAYOUT))
def test_any_spans_are_a_layout_or_none(document: Any) -> None:
    try:
        layout = layout_from_json(
            document.get("spans"), document.get("rate_hz"), document.get("behavior")
        )
    except SpanMapError:
        return
    again = json.loads(json.dumps([span_to_json(span) for span in layout.spans]))
    assert layout_from_json(again, layout.rate_hz, layout.behavior.value) == layout
    for behavior in PauseBehavior:
        with suppress(SpanMapError):
            laid_out_as(layout, behavior)


# ------------------------------------------------------------------ transcripts


HEAD = {
    "kind": "transcript",
    "version": 1,
    "recording": "R1",
    "call": "C1",
    "opened_us": 1_700_000_000_000_000,
}
LINES = [
    HEAD,
    {
        "kind": "utterance",
        "speaker": "caller",
        "begin_us": 10,
        "end_us": 90,
        "cut": False,
        "text": SECRET,
        "words": [[SECRET, 10, 90]],
    },
    {"kind": "gap", "begin_us": 100_000, "end_us": 200_000, "holds": ["turn"], "node": "ask"},
    {"kind": "closed", "dropped": 0, **LAYOUT},
]


def lines(documents: list[Any]) -> bytes:
    return b"".join(spelt(one) + b"\n" for one in documents)


def exports(path: Path) -> None:
    """Read it, show it in every way, and write it anew as of a redacted copy."""
    found = read(path)
    if found is None:
        return
    for form in TranscriptFormat:
        for time in TranscriptTime:
            with suppress(TurnrecError):
                export_transcripts(
                    [found], started_us=found.opened_us, form=form, time=time
                ).encode()
    if found.layout is not None:
        folder = path.parent.parent
        with suppress(TranscriptFileError):
            redact_transcript(folder, "R1", HEAD["opened_us"], "R2", found.layout)  # type: ignore[arg-type]


def test_any_transcript_is_read_or_named_and_no_word_of_it_logged(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = place.parent / "2023-11-14" / "R1.transcript.jsonl"
    path.parent.mkdir(exist_ok=True)
    caplog.set_level(logging.DEBUG)

    @replayed("transcript", misfit(LINES).map(lines) | mangled([lines(LINES)]), 150)
    def fuzz(data: bytes) -> None:
        caplog.clear()
        path.write_bytes(data)
        try:
            exports(path)
        except TranscriptFileError as error:
            assert SECRET not in str(error)
        assert SECRET not in caplog.text

    fuzz()
