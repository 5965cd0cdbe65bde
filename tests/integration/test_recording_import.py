"""Importing public recordings: what comes out, and one sentence for everything that is wrong with what goes in."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from actors import cli_verbs
from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.importer import import_public
from trading.adapters.recording.parquet import read_recording
from trading.adapters.recording.rows import REST_DEPTH, REST_EXCHANGE_INFO
from trading.model.errors import ConfigError
from trading.model.market import BestQuote, BookDelta, BookSnapshot, FeedConnected, MarketTrade, Side

T0 = 1_700_000_000_000_000_000
T0_MS = 1_700_000_000_000


def line(offset_ms: int, body: object) -> str:
    return f"{T0 + offset_ms * 1_000_000} {orjson.dumps(body).decode()}"


def push(kind: str, **data: object) -> dict[str, object]:
    return {"stream": f"abcusdt@{kind}", "data": {"s": "ABCUSDT", **data}}


def depth(first: int, last: int, bids: object = (), asks: object = (), **more: object) -> dict[str, object]:
    return push("depth@100ms", e="depthUpdate", E=T0_MS + 500, U=first, u=last, b=list(bids), a=list(asks), **more)  # type: ignore[call-overload]


SNAPSHOT = {"lastUpdateId": 101, "bids": [["10.50000000", "3.00000000"]], "asks": [["10.60000000", "4.10000000"]]}
TRADE = push("trade", e="trade", E=T0_MS, t=77, p="10.55000000", q="0.20000000", T=T0_MS + 1, m=True)
QUOTE = push("bookTicker", u=104, b="10.50000000", B="2.50000000", a="10.60000000", A="4.10000000")
GOOD: tuple[str, ...] = (
    line(0, depth(100, 101, [["10.50000000", "3.00000000"]])),
    line(10, SNAPSHOT),
    line(20, TRADE),
    line(25, {"result": None, "id": 1}),
    line(30, depth(102, 104, [["10.50000000", "2.50000000"]], [["10.70000000", "0.00000000"]])),
    line(31, QUOTE),
)


def write(path: Path, lines: Sequence[str]) -> Path:
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
def test_recording_import_of_spot_lines_puts_them_on_mexcs_wire(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.parquet"
    report = import_public(write(tmp_path / name, GOOD), out)

    assert (report.symbol, report.rows, report.depth, report.trades, report.quotes) == ("ABCUSDT", 6, 2, 1, 1)
    assert (report.snapshots, report.gaps, report.tick_size, report.lot_size) == (1, 0, "0.01", "0.1")
    rows = list(read_recording(out))
    assert [row.stream for row in rows] == [
        REST_EXCHANGE_INFO,
        "spot@public.aggre.depth.v3.api.pb@100ms@ABCUSDT",
        REST_DEPTH,
        "spot@public.aggre.deals.v3.api.pb@100ms@ABCUSDT",
        "spot@public.aggre.depth.v3.api.pb@100ms@ABCUSDT",
        "spot@public.aggre.bookTicker.v3.api.pb@100ms@ABCUSDT",
    ]
    assert rows[2].payload.startswith(b'{"symbol":"ABCUSDT",')
    instrument = recording_instrument(out)
    assert (instrument.base, instrument.quote, instrument.tick_size, instrument.lot_size) == (
        "ABC",
        "USDT",
        Decimal("0.01"),
        Decimal("0.1"),
    )
    assert (instrument.maker_fee_rate, instrument.taker_fee_rate) == (Decimal(0), Decimal("0.0005"))
    assert instrument.exclusion is None

    ms = 1_000_000
    sent_ns = (T0_MS + 500) * ms
    assert list(market_events(rows)) == [
        (T0, FeedConnected("ABCUSDT", T0)),
        (T0, BookDelta("ABCUSDT", 100, 101, ((1050, 30),), (), sent_ns, T0)),
        (T0 + 10 * ms, BookSnapshot("ABCUSDT", 101, ((1050, 30),), ((1060, 41),), sent_ns + 10 * ms, T0 + 10 * ms)),
        (T0 + 20 * ms, MarketTrade("ABCUSDT", 1055, 2, Side.SELL, (T0_MS + 1) * ms, T0 + 20 * ms)),
        (T0 + 30 * ms, BookDelta("ABCUSDT", 102, 104, ((1050, 25),), ((1070, 0),), sent_ns, T0 + 30 * ms)),
        (T0 + 31 * ms, BestQuote("ABCUSDT", 104, (1050, 25), (1060, 41), sent_ns + 31 * ms, T0 + 31 * ms)),
    ]


def test_recording_import_takes_given_symbol_steps_and_fees(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    other = line(5, {"stream": "xyzusdt@trade", "data": {**TRADE["data"], "s": "XYZUSDT"}})  # type: ignore[dict-item]
    lines = [item for item in GOOD if "lastUpdateId" not in item]
    with pytest.raises(ConfigError, match="several symbols"):
        import_public(write(tmp_path / "in.jsonl", [*GOOD, other]), out)
    with pytest.raises(ConfigError, match="no order book snapshot of XYZUSDT"):
        import_public(write(tmp_path / "in.jsonl", [*GOOD, other]), out, symbol="XYZUSDT")
    with pytest.raises(ConfigError, match="no order book snapshot"):
        import_public(write(tmp_path / "in.jsonl", lines), out)
    assert not out.exists()

    import_public(write(tmp_path / "in.jsonl", GOOD), out, "ABCUSDT", "0.001", "0.0001", "-0.0001", "0.001")
    instrument = recording_instrument(out)
    assert (instrument.tick_size, instrument.lot_size) == (Decimal("0.001"), Decimal("0.0001"))
    assert (instrument.maker_fee_rate, instrument.taker_fee_rate) == (Decimal("-0.0001"), Decimal("0.001"))


def test_recording_import_chains_futures_by_the_push_before(tmp_path: Path) -> None:
    futures = [
        line(0, depth(90, 101, [["10.5", "3"]], pu=85)),
        line(1, SNAPSHOT),
        line(2, depth(110, 115, [["10.5", "2"]], pu=101)),
    ]
    out = tmp_path / "out.parquet"
    report = import_public(write(tmp_path / "in.jsonl", futures), out)
    deltas = [event for _, event in market_events(read_recording(out)) if isinstance(event, BookDelta)]
    assert [(delta.from_version, delta.to_version) for delta in deltas] == [(86, 101), (102, 115)]
    assert report.gaps == 0


def test_recording_import_twice_gives_the_same_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", GOOD)
    import_public(source, tmp_path / "a.parquet")
    import_public(source, tmp_path / "b.parquet")
    assert list(read_recording(tmp_path / "a.parquet")) == list(read_recording(tmp_path / "b.parquet"))


BROKEN: dict[str, tuple[Sequence[str], str]] = {
    "broken JSON": ([*GOOD, "1700000000000000000 {oops"], "line 7 is broken: expected JSON"),
    "no time": ([*GOOD, '{"e":"trade"}'], "line 7 is broken: expected a receive time"),
    "field missing": (
        [*GOOD, line(40, push("trade", e="trade", t=1, p="1"))],
        "line 7 is broken: field 'm' is missing",
    ),
    "number as JSON number": ([line(0, depth(1, 2, [[10.5, 1]])), *GOOD], "line 1 is broken: expected price"),
    "no decimal number": ([line(0, depth(1, 2, [["1e5", "1"]])), *GOOD], "line 1 is broken: expected a plain decimal"),
    "only unknown events": ([line(0, push("kline", e="kline"))], "no market data of any symbol (only kline)"),
    "a time beyond 64 bits": (
        [*GOOD, '9999999999999999999 {"e":"trade"}'],
        "line 7 is broken: expected a receive time",
    ),
    "too many decimals": ([line(0, depth(1, 2, [["1.0000000000000000001", "1"]])), *GOOD], "at most 18 decimals"),
    "versions backwards": ([*GOOD, line(40, depth(9, 8))], "line 7 is broken: expected versions in order"),
    "another form": (["timestamp,price,qty", "1,2,3"], "its first lines are of no known form"),
    "a broken first line": (["[1, 2]", *GOOD], "line 1 is broken: expected a receive time"),
    "empty": ([], "is empty"),
    "no market data": ([line(0, SNAPSHOT)], "no market data"),
    "quote asset unknown": ([item.replace("ABCUSDT", "ABCXYZ") for item in GOOD], "its quote asset is none of"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_recording_import_of_a_broken_file_is_one_sentence_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    lines, words = BROKEN[name]
    out = tmp_path / "out.parquet"
    out.write_bytes(b"what was here before")
    with pytest.raises(ConfigError) as caught:
        import_public(write(tmp_path / "in.jsonl", lines), out)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert out.read_bytes() == b"what was here before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.parquet"]


def test_recording_import_leaves_out_what_it_has_no_use_for_and_counts_it(tmp_path: Path) -> None:
    extra = [
        line(32, push("kline_1m", e="kline", k={})),
        line(33, {"stream": "abcusdt@depth20@100ms", "data": {"lastUpdateId": 9, "bids": [], "asks": []}}),
        line(34, {"stream": "!miniTicker@arr", "data": [1, 2]}),
        line(35, push("trade", e="trade", E=T0_MS, t=78, p="0", q="0", T=T0_MS, m=True)),
    ]
    report = import_public(write(tmp_path / "in.jsonl", [*GOOD, *extra]), tmp_path / "out.parquet")
    assert report.skipped == {"kline": 1, "depth20@100ms": 1, "arr": 1, "trade of nothing": 1}
    import_public(write(tmp_path / "plain.jsonl", GOOD), tmp_path / "plain.parquet")
    assert list(read_recording(tmp_path / "out.parquet")) == list(read_recording(tmp_path / "plain.parquet"))


def test_recording_import_leaves_broken_lines_out_when_asked_and_counts_the_gaps(tmp_path: Path) -> None:
    lines = [*GOOD[:4], line(28, depth(102, 104))[:-9], "garbage", line(29, depth(105, 106)), *GOOD[5:]]
    source = write(tmp_path / "in.jsonl", lines)
    with pytest.raises(ConfigError, match=r"line 5 is broken: .*; --skip-broken leaves such lines out"):
        import_public(source, tmp_path / "out.parquet")
    report = import_public(source, tmp_path / "out.parquet", is_lenient=True)
    assert (report.skipped, report.gaps, report.depth) == ({"broken": 2}, 1, 2)

    whole = write(tmp_path / "in.jsonl.gz", GOOD * 200).read_bytes()
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    assert import_public(tmp_path / "cut.gz", tmp_path / "cut.parquet", is_lenient=True).depth > 100


def test_recording_import_of_several_symbols_gives_each_its_own_steps_gaps_and_snapshot(tmp_path: Path) -> None:
    def other(body: dict[str, object]) -> dict[str, object]:
        data = body["data"]
        assert isinstance(data, dict)
        return {"stream": "xyzbtc@depth", "data": {**data, "s": "XYZBTC"}}

    mixed = [
        *GOOD[:2],
        line(11, other(depth(9001, 9002, [["0.00001234", "7"]]))),
        line(12, {"lastUpdateId": 9002, "bids": [["0.00001234", "7"]], "asks": [["0.00001300", "9"]]}),
        *GOOD[2:],
        line(40, other(depth(9004, 9005, [["0.00001234", "8"]]))),
    ]
    source, out = write(tmp_path / "in.jsonl", mixed), tmp_path / "out.parquet"
    report = import_public(source, out, symbol="ABCUSDT")
    assert (report.tick_size, report.lot_size, report.gaps, report.snapshots) == ("0.01", "0.1", 0, 1)
    report = import_public(source, out, symbol="XYZBTC")
    assert (report.tick_size, report.lot_size, report.gaps, report.snapshots) == ("0.00000001", "1", 1, 1)
    instrument = recording_instrument(out)
    assert (instrument.base, instrument.quote, instrument.min_notional) == ("XYZ", "BTC", Decimal("0.000005"))

    twins = [*mixed, line(50, other(depth(100, 200)))]
    with pytest.raises(ConfigError, match=r"line 3: .* its version fits several \(ABCUSDT, XYZBTC\)"):
        import_public(write(tmp_path / "in.jsonl", [twins[-1], *twins[:-1]]), out, symbol="ABCUSDT")


def test_recording_import_of_a_clock_that_was_set_back_keeps_the_order_of_arrival(tmp_path: Path) -> None:
    lines = [*GOOD[:4], GOOD[4].replace(str(T0 + 30_000_000), str(T0 + 5)), GOOD[5]]
    import_public(write(tmp_path / "in.jsonl", lines), tmp_path / "out.parquet")
    times = [row.recv_ts_ns for row in read_recording(tmp_path / "out.parquet")]
    assert times == sorted(times)


def test_recording_import_off_the_given_grid_names_line_and_flag(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", GOOD), tmp_path / "out.parquet"
    with pytest.raises(ConfigError, match=r"line 3: price 10\.55000000 is off the tick 0\.1; choose a finer --tick"):
        import_public(source, out, tick="0.1")
    with pytest.raises(ConfigError, match=r"line 2: quantity 4\.10000000 is off the lot 1; choose a finer --lot"):
        import_public(source, out, lot="1")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"symbol": "NOPEUSDT"}, "holds ABCUSDT, not NOPEUSDT"),
        ({"tick": "0.05"}, "--tick: expected 1, 0.1, 0.01"),
        ({"tick": "x"}, "--tick: expected a decimal number"),
        ({"lot": "0"}, "--lot: expected 1, 0.1, 0.01"),
        ({"maker": "5"}, "--maker-fee: expected a fraction"),
        ({"taker": "inf"}, "--taker-fee: expected a finite number"),
    ],
)
def test_recording_import_with_a_bad_argument_says_which(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        import_public(write(tmp_path / "in.jsonl", GOOD), tmp_path / "out.parquet", **arguments)
    assert words in str(caught.value)


def test_recording_import_of_missing_cut_off_or_unwritable_places_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file at"):
        import_public(tmp_path / "nothing", tmp_path / "out.parquet")
    whole = write(tmp_path / "in.jsonl.gz", GOOD * 200).read_bytes()
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole[:-20])
    with pytest.raises(ConfigError, match="its compressed data ends or fails after line"):
        import_public(cut, tmp_path / "out.parquet")
    with pytest.raises(ConfigError, match="cannot write"):
        import_public(tmp_path / "in.jsonl.gz", tmp_path / "no" / "such" / "folder.parquet")
    with pytest.raises(ConfigError, match="cannot read"):
        import_public(tmp_path, tmp_path / "out.parquet")


@pytest.mark.parametrize("name", ["in.jsonl", "./in.jsonl", "link", "hard", "sub/../in.jsonl"])
def test_recording_import_onto_its_own_source_is_refused_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = write(Path("in.jsonl"), GOOD)
    Path("link").symlink_to("in.jsonl")
    Path("hard").hardlink_to("in.jsonl")
    Path("sub").mkdir()
    before = source.read_bytes()
    assert cli_verbs.run(["import", "in.jsonl", "-o", name]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "is the file to be read itself" in err
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hard", "in.jsonl", "link", "sub"]


def test_recording_import_into_a_place_that_cannot_be_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", ["broken from the first line on"])
    (tmp_path / "folder").mkdir()
    for out, words in (
        (tmp_path / "no" / "such" / "out.parquet", "there is no folder"),
        (tmp_path / "folder", "it is a folder: name a file"),
        (Path("/dev/null"), "it is no regular file"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "in.jsonl" / "out.parquet", "there is no folder"),
    ):
        with pytest.raises(ConfigError, match=words):
            import_public(source, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "in.jsonl"]


def test_recording_import_over_an_older_recording_replaces_it_also_behind_a_link(tmp_path: Path) -> None:
    source, real, link = write(tmp_path / "in.jsonl", GOOD), tmp_path / "real.parquet", tmp_path / "link.parquet"
    real.write_bytes(b"an older one")
    link.symlink_to(real.name)
    import_public(source, link)
    assert link.is_symlink()
    assert len(list(read_recording(real))) == 6
    import_public(source, real)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "link.parquet", "real.parquet"]


def test_recording_import_reads_times_in_microseconds_and_refuses_what_is_no_time(tmp_path: Path) -> None:
    def timed(depth_at: int, trade_at: int) -> list[str]:
        return [
            *GOOD[:2],
            line(20, push("trade", e="trade", E=1, t=77, p="10.5", q="0.2", T=trade_at, m=True)),
            line(30, {"stream": "s", "data": {**depth(102, 104)["data"], "E": depth_at}}),  # type: ignore[dict-item]
        ]

    out = tmp_path / "out.parquet"
    import_public(write(tmp_path / "in.jsonl", timed(T0_MS * 1000 + 501_999, T0_MS * 1000 + 1_000)), out)
    events = [event for _, event in market_events(read_recording(out))]
    assert [event.exch_ts_ns for event in events if isinstance(event, MarketTrade)] == [(T0_MS + 1) * 1_000_000]
    assert [event.exch_ts_ns for event in events if isinstance(event, BookDelta)][-1] == (T0_MS + 501) * 1_000_000
    for value in (9_223_372_036_855, 10**14 - 1, T0, 2**63 - 1):
        with pytest.raises(ConfigError, match=r"line 4 is broken: expected E in ms or µs since 1970"):
            import_public(write(tmp_path / "in.jsonl", timed(value, T0_MS)), out)


def test_recording_import_with_steps_too_fine_for_its_figures_says_which(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", [*GOOD[:2], line(20, depth(102, 103, [["10.5", "30"]]))]), tmp_path / "o"
    with pytest.raises(
        ConfigError, match=r"line 3: quantity 30 is beyond 2\^63 lots of 0\.000000000000000001; choose a coars"
    ):
        import_public(source, out, lot="0.000000000000000001")
    with pytest.raises(ConfigError, match=r"line 1: price 10\.50000000 is beyond 2\^63 ticks of 0\.000000000000000001"):
        import_public(source, out, tick="1E-18")
    assert not out.exists()
    import_public(source, out, lot="1E-17")
    assert [type(event) for _, event in market_events(read_recording(out))][-1] is BookDelta


def test_recording_import_of_a_line_without_end_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1 is broken: it is longer than \d+ bytes"):
        import_public("/dev/zero", tmp_path / "out.parquet")
