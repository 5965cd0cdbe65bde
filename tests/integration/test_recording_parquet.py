"""Sealed recordings: whole or not at all, and one sentence for a file that is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.findings import DIGEST_KEY, findings
from trading.adapters.recording.parquet import GROUP_ROWS, read_recording, write_recording
from trading.adapters.recording.rows import Row, depth_payload
from trading.model.errors import ConfigError


def rows(count: int) -> Iterator[Row]:
    return (Row(10**18 + index, f"stream@{index % 3}", index.to_bytes(8)) for index in range(count))


def test_recording_parquet_gives_back_what_was_written_across_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    count = GROUP_ROWS + 17
    assert write_recording(path, rows(count)) == count
    assert list(read_recording(path)) == list(rows(count))
    assert pq.ParquetFile(path).num_row_groups == 2


def test_recording_parquet_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_recording(path, rows(3))

    def failing() -> Iterator[Row]:
        yield from rows(GROUP_ROWS + 1)
        raise ConfigError("the source broke")

    with pytest.raises(ConfigError, match="the source broke"):
        write_recording(path, failing())
    assert list(read_recording(path)) == list(rows(3))
    assert [item.name for item in tmp_path.iterdir()] == ["a.parquet"]


def test_recording_parquet_read_of_no_recording_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recording at"):
        read_recording(tmp_path / "nothing.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("hello")
    with pytest.raises(ConfigError, match="no readable Parquet file"):
        read_recording(text)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"price": [1.0]}), other)
    with pytest.raises(ConfigError, match="column recv_ts_ns is missing"):
        read_recording(other)


def test_recording_parquet_with_damaged_pages_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_recording(path, rows(5_000))
    damaged = bytearray(path.read_bytes())
    damaged[100:2000] = b"\x00" * 1900
    path.write_bytes(damaged)
    with pytest.raises(ConfigError, match=r"a\.parquet is broken"):
        list(read_recording(path))


def test_sealed_recording_that_was_changed_since_says_so_whatever_the_rows_are_cut_into(tmp_path: Path) -> None:
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_recording(path, rows(GROUP_ROWS + 17))
    assert findings(path) == ()
    table = pq.read_table(path)
    pq.write_table(table, other, row_group_size=999)
    assert findings(other) == (
        "b.parquet was written anew by another program: nothing tells whether its rows are those sealed",
    )
    sealed = {DIGEST_KEY: pq.ParquetFile(path).metadata.metadata[DIGEST_KEY]}

    def again(*parts: pa.Table) -> tuple[str, ...]:
        with pq.ParquetWriter(other, table.schema) as writer:
            writer.write_table(pa.concat_tables(parts), row_group_size=999)
            writer.add_key_value_metadata(sealed)
        return findings(other)

    assert again(table) == ()
    count = GROUP_ROWS + 17
    text = f"it was sealed with {count} rows and has {count - 1}"
    assert again(table.slice(0, 5), table.slice(6)) == (f"b.parquet was changed since: {text}",)
    text = "its rows are not those that were sealed"
    swapped = (table.slice(0, 5), table.slice(6, 1), table.slice(5, 1), table.slice(7))
    assert again(*swapped) == (f"b.parquet was changed since: {text}",)


def test_recording_that_runs_backwards_or_holds_unknown_kinds_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    odd = [Row(10**18 + 3 * 10**9, "event:weather", b""), Row(10**18 + 10**9, "spot@some.later.topic@AB", b"")]
    write_recording(path, [*rows(3), *odd, Row(10**18 + 10**9 - 5, "stream@0", b"")])
    assert findings(path) == (
        "the time in a.parquet runs backwards once, by 2,000 ms",
        "a.parquet holds rows of a kind that this version does not know, which were left out: 'event:weather' 1",
    )
    write_recording(path, [Row(10**18, f"event:{number}", b"") for number in range(30)])
    assert findings(path)[0].endswith("'event:17' 1 and 20 kinds more")


def test_recording_of_a_line_that_took_over_from_another_is_not_odd(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    told, heard_beside = list(rows(5)), [row._replace(recv_ts_ns=row.recv_ts_ns - 10**9) for row in rows(5)]
    write_recording(path, [*told, *heard_beside])
    assert findings(path) == ()
    write_recording(path, [*told, *heard_beside, *told, *heard_beside])
    assert findings(path) == ("the time in a.parquet runs backwards 2 times, by up to 1,000 ms",)


@pytest.mark.parametrize("column", ["recv_ts_ns", "stream", "payload"])
def test_recording_with_an_empty_place_is_one_sentence_wherever_it_is_read(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.parquet"
    values = {"recv_ts_ns": [1, 2], "stream": ["a", "b"], "payload": [b"", b""]}
    values[column] = [*values[column][:1], None]
    pq.write_table(pa.table(values), path)
    for read in (findings, lambda place: list(read_recording(place))):
        with pytest.raises(ConfigError, match=f"column {column} has an empty place"):
            read(path)


def test_recording_without_a_listing_has_no_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_recording(path, rows(3))
    with pytest.raises(ConfigError, match="ticks and lots are unknown"):
        recording_instrument(path)
    with pytest.raises(ConfigError, match="the recording has no scale"):
        list(market_events(read_recording(path)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"lastUpdateId":1}', b'{"symbol":"A\\"B","lastUpdateId":1}'),
        (b" {} ", b'{"symbol":"A\\"B"}'),
    ],
)
def test_recording_depth_payload_leads_with_the_symbol(body: bytes, expected: bytes) -> None:
    assert depth_payload('A"B', body) == expected
