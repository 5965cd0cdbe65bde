"""Results of a sweep survive a kill, and never mix with another sweep's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trading.adapters.recording.pieces import pieces_of
from trading.adapters.sweep_store import SweepStore
from trading.engine.sweep.ranking import PieceResult
from trading.model.errors import ConfigError

RESULT = PieceResult(0, 0, 3, 2, 10.0, 1.0, 0.5, 0.5, 0.6, 0.1, (0.25, 0.25))
PIECES = pieces_of((0, 10 * 10**9), 2, 10**9)


def test_torn_journal_goes_on_with_what_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    store = SweepStore(out, "d", False)
    store.append(RESULT)
    store.append(replace(RESULT, piece=1))
    store.close()
    content = store.journal.read_bytes()
    store.journal.write_bytes(content[:-20])
    again = SweepStore(out, "d", False)
    assert again.results == {(0, 0): RESULT}
    again.append(replace(RESULT, piece=1))
    again.close()
    assert store.journal.read_bytes() == content


def test_other_sweep_is_refused_unless_fresh(tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    store = SweepStore(out, "d", False)
    store.append(RESULT)
    with pytest.raises(ConfigError, match="another sweep writes"):
        SweepStore(out, "d", False)
    store.close()
    with pytest.raises(ConfigError, match="something else"):
        SweepStore(out, "e", False)
    fresh = SweepStore(out, "e", True)
    assert fresh.results == {}
    fresh.close()


@pytest.mark.parametrize("is_fresh", [False, True])
def test_file_that_is_no_result_of_a_sweep_stays_and_gets_no_journal(is_fresh: bool, tmp_path: Path) -> None:
    strange = tmp_path / "b.parquet"
    strange.write_text("mine")
    recording = tmp_path / "c.parquet"
    pq.write_table(pa.table({"recv_ts_ns": [1]}), recording)
    before = recording.read_bytes()
    for path in (strange, recording):
        with pytest.raises(ConfigError, match="name another file"):
            SweepStore(path, "d", is_fresh)
    assert strange.read_text() == "mine"
    assert recording.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["b.parquet", "c.parquet"]


@pytest.mark.parametrize("is_fresh", [False, True])
@pytest.mark.parametrize("content", ["my notes\n", '{"tasks": []}\n'])
def test_journal_that_is_none_of_a_sweep_stays(content: str, is_fresh: bool, tmp_path: Path) -> None:
    notes = tmp_path / "a.parquet.journal"
    notes.write_text(content)
    with pytest.raises(ConfigError, match="is no journal of a sweep and stays"):
        SweepStore(tmp_path / "a.parquet", "d", is_fresh)
    assert notes.read_text() == content


def test_result_of_another_sweep_is_thrown_away_when_fresh(tmp_path: Path) -> None:
    store = SweepStore(tmp_path / "a.parquet", "d", False)
    store.append(RESULT)
    store.seal([(("x", "1"),)], PIECES)
    store.close()
    fresh = SweepStore(store.out, "e", True)
    fresh.close()
    assert (fresh.results, store.out.exists()) == ({}, False)


def test_parquet_holds_a_row_a_replay_with_its_parameters(tmp_path: Path) -> None:
    store = SweepStore(tmp_path / "a.parquet", "d", False)
    store.append(replace(RESULT, piece=1))
    store.append(RESULT)
    store.seal([(("x", "1"), ("y", "2"))], PIECES)
    store.close()
    rows = pq.read_table(store.out).to_pylist()
    assert [(row["piece"], row["is_out_of_sample"]) for row in rows] == [(0, False), (1, True)]
    assert {row["param_x"] + row["param_y"] for row in rows} == {"12"}
    assert rows[0]["periods"] == [0.25, 0.25]
    assert (rows[1]["from_ns"], rows[1]["net"]) == (5 * 10**9, 0.5)
