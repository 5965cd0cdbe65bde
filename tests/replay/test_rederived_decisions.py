"""A recorded session gives every decision again (promise 10), and a changed one is found out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bench.generated_market import GeneratedMarket
from trading.adapters.clock import SystemClock
from trading.adapters.mexc.codec import PublicCodec
from trading.adapters.recording.plain_values import dumps, loads
from trading.adapters.recording.recorded_engine import (
    ENGINE_EVENT,
    ENGINE_INTENT,
    ENGINE_START,
    ENGINE_STEP,
    InputRecorder,
)
from trading.adapters.recording.recorder import SegmentRecorder
from trading.adapters.recording.rederive import rederive, session_rows
from trading.adapters.recording.rows import Row
from trading.adapters.recording.seal import recover
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.messages import (
    DrainRequested,
    EngineEvent,
    OrdersReopened,
    PaperCancelRequested,
    PaperOrderPlaced,
    ParametersChanged,
    PlaceOrder,
    ReportPaper,
    TimerFired,
    TradingSwitched,
)
from trading.engine.watched_engine import WatchedEngine
from trading.model.errors import ConfigError, DecodeError
from trading.model.instrument import Instrument
from trading.model.market import BookSnapshot, FeedAlive, FeedConnected, FeedDisconnected, SnapshotFailed
from trading.model.orders import (
    Delivery,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderStatus,
    Refusal,
    VenueOrder,
    VenueTrade,
)
from trading.model.position import Position

SYMBOL = "ETHUSDT"
PARAMS = (
    ("warmup_s", "1"),
    ("cooldown_s", "0.2"),
    ("timeout_s", "3"),
    ("min_edge_bps", "-5"),
    ("risk_order_ops_per_s", "5"),
)


class Shell:
    """A symbol's shell and its executor in one: orders go to the paper venue, reports come back as deliveries."""

    def __init__(self, instrument: Instrument, recorder: SegmentRecorder) -> None:
        config = SymbolConfig(
            instrument=instrument,
            strategy_name="spread_capture",
            params=PARAMS,
            run_number=7,
            owner_epoch=3,
            is_paper=True,
            allocation_quote=Decimal(500),
        )
        bootstrap = SymbolBootstrap(Position(instrument.symbol), last_seq=4)
        self.recorder = recorder
        self.codec = PublicCodec(instrument)
        self.engine = WatchedEngine(config, bootstrap, [InputRecorder(config, bootstrap, recorder)])
        self.seq = 4
        self.placed = 0
        self.left: dict[str, int] = {}

    def step(self, event: EngineEvent, now_ns: int) -> None:
        for action in self.engine.step(event, now_ns):
            if isinstance(action, PlaceOrder):
                self.placed += 1
                self.left[action.intent.client_order_id] = action.intent.qty_lots
                if self.placed % 7 == 0:
                    denied = OrderDenied(
                        action.intent.symbol, action.intent.client_order_id, Refusal.ORDER_RATE, "x", now_ns
                    )
                    self.deliver(denied, now_ns)
                    continue
                self.step(PaperOrderPlaced(action.intent, now_ns), now_ns)
            elif isinstance(action, ReportPaper):
                for report in action.events:
                    self.report(report, now_ns)
            elif hasattr(action, "cancel"):
                self.step(PaperCancelRequested(action.cancel.client_order_id, now_ns), now_ns)

    def report(self, report: object, now_ns: int) -> None:
        if isinstance(report, VenueTrade):
            fill = report.fill
            self.left[fill.client_order_id] -= fill.qty_lots
            status = OrderStatus.PARTIALLY_FILLED if self.left[fill.client_order_id] else OrderStatus.FILLED
            self.deliver(OrderFilled(fill.symbol, fill.client_order_id, fill, status, now_ns), now_ns)
        elif isinstance(report, VenueOrder):
            name = report.client_order_id
            if report.status in (OrderStatus.CANCELLED, OrderStatus.PARTIALLY_CANCELLED):
                ended = OrderCancelled(report.symbol, name, report.filled_lots, report.reason, now_ns)
                self.deliver(ended, now_ns)
            elif report.status is OrderStatus.OPEN:
                self.deliver(OrderAccepted(report.symbol, name, report.venue_order_id, now_ns), now_ns)

    def deliver(self, event: object, now_ns: int) -> None:
        self.seq += 1
        self.step(Delivery(self.seq, event), now_ns)  # type: ignore[arg-type]  # one of the closed set

    def frame(self, recv_ts_ns: int, payload: bytes) -> None:
        self.recorder.on_frame(recv_ts_ns, payload)
        for event in self.codec.read(payload, recv_ts_ns):
            self.step(event, recv_ts_ns + 30_000)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Record a session on a minute of the generated market; give its folder and how many orders it placed."""
    folder = tmp_path_factory.mktemp("session") / "rec"
    market = GeneratedMarket(SYMBOL, seed=7)
    recorder = SegmentRecorder(folder, market.instrument, (), SystemClock())
    shell = Shell(market.instrument, recorder)
    timer_ns = changed_ns = 0
    for now_ns, item in market.frames(60):
        changed_ns = changed_ns or now_ns + 30 * 10**9
        if now_ns >= changed_ns > 1:
            changed_ns = 1
            shell.step(ParametersChanged((("order_quote", "30"),), now_ns), now_ns)
        if now_ns - timer_ns >= 100_000_000:
            timer_ns = now_ns
            shell.step(TimerFired(timer_ns), timer_ns)
        if isinstance(item, bytes):
            shell.frame(now_ns, item)
        else:
            shell.step(item, now_ns)
    recorder.close()
    return folder, shell.placed


def rows_of(folder: Path) -> Iterator[Row]:
    return session_rows(folder, SYMBOL, 10**19)


def test_every_decision_of_a_recorded_session_is_derived_again_the_same(session: tuple[Path, int]) -> None:
    folder, placed = session
    found = list(rederive(rows_of(folder)))
    assert len(found) == placed > 10
    assert all(item.is_equal for item in found)
    assert {dict(item.params)["order_quote"] for item in found} == {"25", "30"}
    assert {item.recorded.purpose.value for item in found} == {"ENTRY", "EXIT"}


def test_sealed_session_gives_the_same_as_its_segments(session: tuple[Path, int]) -> None:
    folder, _ = session
    before = list(rederive(rows_of(folder)))
    recover(folder)
    assert [path.suffix for path in folder.iterdir()] == [".parquet"]
    assert list(rederive(rows_of(folder))) == before
    with pytest.raises(ConfigError, match="no recording of NONE"):
        next(session_rows(folder, "NONE", 10**19))


def test_decision_that_was_not_the_engines_is_found_out(session: tuple[Path, int]) -> None:
    rows = list(rows_of(session[0]))
    place = next(number for number, row in enumerate(rows) if row.stream == ENGINE_INTENT)
    intent, steps = loads(rows[place].payload)
    forged = (replace(intent, price_ticks=1), steps)
    changed = [*rows[:place], Row(rows[place].recv_ts_ns, ENGINE_INTENT, dumps(forged)), *rows[place + 1 :]]
    first = next(rederive(changed))
    assert not first.is_equal
    assert [name for name, _, _ in first.differences] == ["price_ticks"]
    extra = [*rows[: place + 1], rows[place], *rows[place + 1 :]]
    second = list(rederive(extra))[1]
    assert second.derived is None
    assert not second.is_equal


def test_input_that_was_changed_changes_what_follows(session: tuple[Path, int]) -> None:
    """The comparison is worth something: with one clock reading of the session moved, decisions differ."""
    rows = list(rows_of(session[0]))
    steps = [number for number, row in enumerate(rows) if row.stream == ENGINE_STEP]
    middle = steps[len(steps) // 2]
    (now_ns,) = struct.unpack("<q", rows[middle].payload)
    rows[middle] = rows[middle]._replace(payload=struct.pack("<q", now_ns + 3_600 * 10**9))
    assert not all(item.is_equal for item in rederive(rows))


def test_lost_frame_is_said_and_not_derived_over(session: tuple[Path, int]) -> None:
    rows = list(rows_of(session[0]))
    frame = next(number for number, row in enumerate(rows) if row.stream == ENGINE_STEP) - 1
    with pytest.raises(DecodeError, match="has no frame"):
        list(rederive([*rows[:frame], *rows[frame + 1 :]]))


def test_intent_that_was_taken_out_is_said_and_named(session: tuple[Path, int]) -> None:
    rows = list(rows_of(session[0]))
    places = [number for number, row in enumerate(rows) if row.stream == ENGINE_INTENT]
    gone, _ = loads(rows[places[2]].payload)
    found = list(rederive([*rows[: places[2]], *rows[places[2] + 1 :]]))
    assert [item.recorded.client_order_id for item in found if not item.is_equal] == [gone.client_order_id]
    assert found[2].differences == (("intent", "(not recorded)", gone.client_order_id),)
    older = [row._replace(payload=dumps(loads(row.payload)[0])) if row.stream == ENGINE_INTENT else row for row in rows]
    assert all(item.is_equal for item in rederive(older))


@pytest.mark.parametrize("stream", [ENGINE_STEP, ENGINE_EVENT])
def test_step_that_was_taken_out_is_said_though_it_decided_nothing(session: tuple[Path, int], stream: str) -> None:
    rows = list(rows_of(session[0]))
    last = max(number for number, row in enumerate(rows) if row.stream == ENGINE_INTENT)
    place = max(number for number, row in enumerate(rows[: last - 5]) if row.stream == stream)
    with pytest.raises(DecodeError, match=r"not whole: \d+ steps were taken before mx-7-3-"):
        list(rederive([*rows[:place], *rows[place + 1 :]]))


def test_row_of_a_kind_that_no_version_wrote_is_said(session: tuple[Path, int]) -> None:
    rows = list(rows_of(session[0]))
    middle = len(rows) // 2
    with pytest.raises(DecodeError, match="not whole: this version knows no row 'engine:verdict'"):
        list(rederive([*rows[:middle], Row(rows[middle].recv_ts_ns, "engine:verdict", b"1"), *rows[middle:]]))


@pytest.mark.parametrize("stream", [ENGINE_START, ENGINE_STEP, ENGINE_EVENT, ENGINE_INTENT])
@pytest.mark.parametrize("payload", [b"[]", b"7", b'[1,"a"]', b'[1,{"d":"2"}]'], ids=bytes.decode)
def test_row_that_is_not_what_its_stream_says_is_said(session: tuple[Path, int], stream: str, payload: bytes) -> None:
    rows = list(rows_of(session[0]))
    place = next(number for number, row in enumerate(rows) if row.stream == stream)
    with pytest.raises(DecodeError, match="the recording is not whole"):
        list(rederive([*rows[:place], rows[place]._replace(payload=payload), *rows[place + 1 :]]))


def test_every_input_of_the_engine_is_read_back_equal() -> None:
    market = GeneratedMarket("ETHUSDT", seed=1)
    snapshot = next(event for _, event in market.events(1) if isinstance(event, BookSnapshot))
    config = SymbolConfig(market.instrument, "x", (("a", "1"),), 1, 2, True, Decimal("1.50"))
    events: list[object] = [
        snapshot,
        FeedConnected("A", 1),
        FeedDisconnected("龙虾USDT", "why", 2),
        FeedAlive("A", 3),
        SnapshotFailed("A", "no", 4),
        TimerFired(5),
        PaperCancelRequested("id", 6),
        ParametersChanged((("a", "1"),), 7),
        TradingSwitched(False, "p", 8),
        DrainRequested(True, 9),
        OrdersReopened(9),
        Delivery(3, OrderDenied("A", "id", Refusal.BALANCE, "t", 10)),
        (config, SymbolBootstrap(Position("A", Decimal("0.10")))),
    ]
    for event in events:
        assert loads(dumps(event)) == event
    assert str(loads(dumps(config)).allocation_quote) == "1.50"
    with pytest.raises(DecodeError, match="expected a value of the core"):
        dumps({"a": 1})
    for broken in (b"{", b'{"c":"Nobody","f":{}}', b'{"d":"x"}'):
        with pytest.raises(DecodeError):
            loads(broken)
