"""The journal's lines: what is written is read again, and nothing else is accepted."""

import json
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fleetdeploy.core.journal_line import (
    KINDS,
    MAX_LINE_BYTES,
    NO_PREV,
    Chain,
    decode_line,
    digest_of,
    encode_line,
    read_journal,
    to_millisecond,
)
from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord, RunStarted, WaveOpened
from fleetdeploy.core.records_table import records_table
from fleetdeploy.errors import ExitCode, JournalDamaged
from tests.unit.journal_samples import HEADER, RECORDS_OF_A_RUN, START, sample_lines

MODELS: tuple[type[RunRecord | AnyAppRecord], ...] = get_args(RunRecord | AnyAppRecord)
FIXED = {"kind", "format"}
MOMENTS = st.datetimes(timezones=st.just(UTC))
DOCS = Path(__file__).parents[2] / "docs" / "journal.md"


def values_of(annotation: object) -> st.SearchStrategy[object]:
    if isinstance(annotation, UnionType):
        return st.one_of([values_of(part) for part in get_args(annotation)])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return models_of(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return st.sampled_from(list(annotation))
    assert isinstance(annotation, type) or get_args(annotation)
    return st.from_type(annotation)  # type: ignore[arg-type]  # a generic alias is no type


def models_of(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    fields = {
        name: values_of(info.annotation)
        for name, info in model.model_fields.items()
        if name not in FIXED
    }
    return st.fixed_dictionaries(fields).map(model.model_validate)


@given(st.one_of([models_of(model) for model in MODELS]), st.integers(1, 10**9), MOMENTS)
def test_every_record_is_read_as_it_was_written(
    record: RunRecord | AnyAppRecord, seq: int, at: datetime
) -> None:
    place = 0 if isinstance(record, RunStarted) else seq
    entry = Entry(place, to_millisecond(at), record)
    line = encode_line(entry, NO_PREV)
    assert decode_line(line, seq=place, prev=NO_PREV) == entry
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_a_line_is_compact_utf8_with_the_envelope_around_the_record() -> None:
    expected = (
        '{"seq":3,"at":"2026-11-24T03:07:00.123Z","kind":"step_failed","app_id":"100000282",'
        '"step":"upload","attempt":1,"error":{"code":"platform.category","message":"no",'
        '"errno":69002,"msg":"服务类目审核通过后"},"settled":true,"prev":"0123456789abcdef"}\n'
    )
    line = encode_line(Entry(3, START, RECORDS_OF_A_RUN[3]), "0123456789abcdef")
    assert line.decode() == expected


def test_a_record_without_fields_is_an_envelope_only() -> None:
    lines = sample_lines()
    assert lines[1].decode().partition(',"prev"')[0] == (
        '{"seq":1,"at":"2026-11-24T03:07:00.123Z","kind":"wave_opened","wave":"all"'
    )


def test_the_header_is_written_whole() -> None:
    """A default of the header may change later; what this run was started with may not."""
    header = json.loads(sample_lines()[0])
    assert set(RunStarted.model_fields) <= set(header)
    assert header["format"] == 1
    assert header["prev"] == NO_PREV


def optional_fields(model: type[BaseModel]) -> dict[str, object]:
    return {
        name: info.get_default(call_default_factory=True)
        for name, info in model.model_fields.items()
        if name not in FIXED and not info.is_required()
    }


@pytest.mark.parametrize("model", [model for model in MODELS if model is not RunStarted])
def test_only_empty_values_are_left_out(model: type[BaseModel]) -> None:
    """Else an older journal would read differently once a default changes."""
    assert not any(optional_fields(model).values())


@pytest.mark.parametrize("model", MODELS)
def test_no_record_has_a_field_of_the_envelope(model: type[BaseModel]) -> None:
    assert {"seq", "at", "prev"} & set(model.model_fields) == set()


def test_unknown_fields_are_ignored() -> None:
    line = sample_lines()[1].replace(b'"wave"', b'"later":{"a":[1]},"wave"')
    found = decode_line(line, seq=1, prev=digest_of(sample_lines()[0]))
    assert found == Entry(1, START, WaveOpened(wave="all"))


HEAD = b'{"seq":0,"at":"2026-11-24T03:07:00.123Z","kind":"run_started"'
DAMAGED_HEADERS = {
    "not JSON": (b"hello\n", "not a JSON object"),
    "an empty line": (b"\n", "not a JSON object"),
    "not an object": (b"[1]\n", "not a JSON object"),
    "too deep": (b"[" * 5000 + b"\n", "not a JSON object"),
    "not UTF-8": (b'{"seq":"\xff"}\n', "not a JSON object"),
    "a lone surrogate": (b'{"seq":"\\ud800"}\n', "not a JSON object"),
    "no header": (sample_lines()[1], "expected the header run_started, found 'wave_opened'"),
    "newer": (HEAD + b',"format":2}\n', "format 2; this version reads format 1"),
    "no format": (HEAD + b"}\n", "format None; this version reads format 1"),
    "wrong start": (sample_lines()[0].replace(b":0,", b":4,", 1), "expected record 0, found 4"),
    "wrong link": (sample_lines()[0].replace(b"00000", b"00001"), "does not follow"),
    "bad time": (sample_lines()[0].replace(b".123Z", b".1234"), "at: not a time"),
    "no time": (sample_lines()[0].replace(b"T03:", b"T33:"), "at: not a time"),
    "bad field": (sample_lines()[0].replace(b'"pid":7', b'"pid":"7"'), "writer.pid: Input should"),
    "no field": (sample_lines()[0].replace(b'"run_id"', b'"run_ie"'), "run_id: Field required"),
}


@pytest.mark.parametrize("name", DAMAGED_HEADERS)
def test_a_damaged_header_is_refused(name: str) -> None:
    line, message = DAMAGED_HEADERS[name]
    with pytest.raises(JournalDamaged) as caught:
        decode_line(line, seq=0, prev=NO_PREV)
    assert caught.value.message.startswith("line 1: ")
    assert message in caught.value.message
    assert (caught.value.line, caught.value.exit_code) == (1, ExitCode.JOURNAL_DAMAGED)
    assert caught.value.hint


def test_an_unknown_kind_is_refused_as_newer() -> None:
    first, second, *_ = sample_lines()
    with pytest.raises(JournalDamaged, match="line 2: unknown kind 'wave_cooked'") as caught:
        read_journal(first + second.replace(b"wave_opened", b"wave_cooked"))
    assert "newer" in caught.value.hint


@pytest.mark.parametrize("kind", [b'{"a":1}', b"[]", b"7", b"null"])
def test_a_kind_that_is_no_text_is_refused_as_an_unknown_one(kind: bytes) -> None:
    first, second, *_ = sample_lines()
    with pytest.raises(JournalDamaged, match="line 2: unknown kind"):
        read_journal(first + second.replace(b'"wave_opened"', kind))


@pytest.mark.parametrize("seq", [b"true", b"1.0", b'"1"', b"null", b"9" * 4000])
def test_a_number_of_a_record_that_is_not_written_as_one_is_refused(seq: bytes) -> None:
    first, second, *_ = sample_lines()
    with pytest.raises(JournalDamaged, match="line 2: expected record 1, found"):
        read_journal(first + second.replace(b'"seq":1', b'"seq":' + seq))


def test_a_second_header_is_refused() -> None:
    first = sample_lines()[0]
    again = first.replace(b'"seq":0', b'"seq":1').replace(
        NO_PREV.encode(), digest_of(first).encode()
    )
    with pytest.raises(JournalDamaged, match="line 2: a second header"):
        read_journal(first + again)


def test_a_message_quotes_only_a_little_of_a_hostile_line() -> None:
    line = json.dumps({"kind": "x" * 1000}).encode() + b"\n"
    with pytest.raises(JournalDamaged) as caught:
        decode_line(line, seq=0, prev=NO_PREV)
    assert len(caught.value.message) < 120


def test_a_message_shows_a_hostile_key_and_does_not_obey_it() -> None:
    first = sample_lines()[0]
    record = {
        "seq": 1,
        "at": "2026-11-24T03:07:00.123Z",
        "kind": "run_finished",
        "calls": {"\x1b[2J\x9b\u202e": "x"},
        "prev": digest_of(first),
    }
    with pytest.raises(JournalDamaged) as caught:
        read_journal(first + json.dumps(record).encode() + b"\n")
    assert 'calls["\\u001b[2J\\u009b\\u202e"]: Input should be' in caught.value.message


def test_j5_lost_and_swapped_lines_are_refused_where_they_stand() -> None:
    lines = sample_lines()
    with pytest.raises(JournalDamaged, match="line 3: expected record 2, found 3"):
        read_journal(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(JournalDamaged, match="line 2: expected record 1, found 2"):
        read_journal(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))


def test_j5_a_changed_line_is_named_and_not_the_one_after_it() -> None:
    lines = sample_lines()
    lines[2] = lines[2].replace(b"100000282", b"100000283")
    with pytest.raises(JournalDamaged, match="line 3: changed after it was written") as caught:
        read_journal(b"".join(lines))
    assert caught.value.line == 3


def test_j5_a_rewritten_tail_is_refused_at_the_line_that_was_replaced() -> None:
    """A line in the middle was made anew, chained to what is before but not to what follows."""
    lines = sample_lines()
    chain = Chain(seq=2, prev=digest_of(lines[1]), at=START)
    lines[2] = chain.stamp(WaveOpened(wave="other"), START)[1]
    with pytest.raises(JournalDamaged, match="line 3: "):
        read_journal(b"".join(lines))


def test_a_journal_that_was_made_anew_to_its_end_is_taken_for_a_sound_one() -> None:
    """The chain has no key: whoever may write the whole file can forge it, and can so by design."""
    chain, lines = Chain(), sample_lines()
    forged = [HEADER, WaveOpened(wave="other"), *RECORDS_OF_A_RUN[2:]]
    data = b"".join(chain.stamp(record, START)[1] for record in forged)
    assert [entry.record for entry in read_journal(data).entries] == forged
    assert data != b"".join(lines)


def test_j5_a_tail_of_zeros_is_torn_and_zeros_before_a_newline_are_damage() -> None:
    """A power cut may leave a file longer than what was written, filled with zeros."""
    data = b"".join(sample_lines()[:2])
    contents = read_journal(data + bytes(700))
    assert (len(contents.entries), contents.torn_bytes) == (2, 700)
    with pytest.raises(JournalDamaged, match="line 3: not a JSON object"):
        read_journal(data + bytes(700) + b"\n")


def test_j5_a_whole_record_without_its_newline_is_torn() -> None:
    """Record and newline go out in one write, so nobody was told that it is durable."""
    lines = sample_lines()
    contents = read_journal(b"".join(lines[:3])[:-1])
    assert (len(contents.entries), contents.torn_bytes) == (2, len(lines[2]) - 1)
    assert contents.last_digest == digest_of(lines[1])


@pytest.mark.parametrize("data", [b"", HEAD, bytes(40)])
def test_a_journal_without_a_whole_header_never_started(data: bytes) -> None:
    contents = read_journal(data)
    assert not contents.started
    assert (contents.entries, contents.torn_bytes, contents.end_offset) == ((), len(data), 0)


def test_a_line_beyond_the_bound_is_refused_and_a_torn_tail_may_be_longer() -> None:
    data = b"".join(sample_lines()[:2])
    tail = bytes(MAX_LINE_BYTES + 5)
    assert read_journal(data + tail).torn_bytes == len(tail)
    with pytest.raises(JournalDamaged, match=f"line 3: longer than {MAX_LINE_BYTES} bytes"):
        read_journal(data + tail + b"\n")


def test_times_are_cut_to_milliseconds_in_utc_and_never_go_backwards() -> None:
    east = timezone(timedelta(hours=8))
    chain = Chain()
    first, _ = chain.stamp(HEADER, START.replace(microsecond=123_999).astimezone(east))
    second, line = chain.stamp(WaveOpened(wave="a"), START - timedelta(hours=1))
    third, _ = chain.stamp(WaveOpened(wave="b"), START + timedelta(seconds=1))
    assert (first.at, second.at) == (START, START)
    assert third.at == START + timedelta(seconds=1)
    assert b'"at":"2026-11-24T03:07:00.123Z"' in line


def test_the_document_describes_the_records_of_the_code() -> None:
    text = DOCS.read_text(encoding="utf-8")
    generated = text.partition("<!-- generated: records -->")[2].partition("<!-- end -->")[0]
    assert generated.strip() == records_table()
    assert all(f"| `{kind}` |" in generated for kind in KINDS)


def test_the_document_shows_a_line_as_it_is_written() -> None:
    text = DOCS.read_text(encoding="utf-8")
    header, started = (line for line in text.splitlines() if line.startswith('{"seq":'))
    first = decode_line(f"{header}\n".encode(), seq=0, prev=NO_PREV)
    prev = digest_of(f"{header}\n".encode())
    second = decode_line(f"{started}\n".encode(), seq=1, prev=prev)
    assert encode_line(first, NO_PREV).decode() == f"{header}\n"
    assert encode_line(second, prev).decode() == f"{started}\n"
