"""The sample recording, imported: its book is proven from the snapshot to the end, and right where that shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.depth_frames import recorded
from tests.faulty_line import assert_never_wrong_and_all_noticed
from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.importer import ImportReport, import_public
from trading.adapters.recording.parquet import read_recording
from trading.engine.book_sync import BookSync
from trading.model.market import (
    BestQuote,
    BookDelta,
    BookSnapshot,
    BookState,
    FeedConnected,
    Level,
    MarketEvent,
    MarketTrade,
)


@pytest.fixture(scope="module")
def imported(sample_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ImportReport, Path]:
    out = tmp_path_factory.mktemp("sample") / "sample.parquet"
    return import_public(sample_path, out), out


@pytest.fixture(scope="module")
def events(imported: tuple[ImportReport, Path]) -> list[tuple[int, MarketEvent]]:
    return list(market_events(read_recording(imported[1])))


def test_recording_sample_keeps_every_event(
    imported: tuple[ImportReport, Path], events: list[tuple[int, MarketEvent]]
) -> None:
    report, _ = imported
    kinds = [type(event) for _, event in events]
    assert kinds.count(BookDelta) == report.depth > 0
    assert kinds.count(MarketTrade) == report.trades > 0
    assert kinds.count(BestQuote) == report.quotes > 0
    assert kinds.count(BookSnapshot) == report.snapshots > 0
    assert report.rows == report.depth + report.trades + report.quotes + report.snapshots + 1
    assert kinds.count(FeedConnected) == 1
    assert kinds[0] is FeedConnected


def test_recording_sample_book_is_proven_from_the_snapshot_to_the_end(events: list[tuple[int, MarketEvent]]) -> None:
    """At each push the book's best prices and quantities equal those of the last quote at or below its version.

    The source pushes a quote on each change of its best, so that this quote holds at the push's version; pushes before
    the first such quote are not compared.
    """
    sync = BookSync(events[0][1].symbol)
    quotes: list[BestQuote] = []
    last: BestQuote | None = None
    pushes = compared = exact = unproven = 0
    for now_ns, event in events:
        match event:
            case FeedConnected():
                sync.on_connected(now_ns)
            case BookSnapshot():
                sync.on_snapshot(event, now_ns)
            case BestQuote():
                sync.on_best_quote(event, now_ns)
                quotes.append(event)
            case BookDelta():
                sync.on_delta(event, now_ns)
                if sync.state is not BookState.PROVEN:
                    unproven += 1
                    continue
                pushes += 1
                while quotes and quotes[0].version <= sync.book.version:
                    last = quotes.pop(0)
                if last is not None:
                    compared += 1
                    exact += last.version == sync.book.version
                    assert (sync.book.best_bid, sync.book.best_ask) == (last.bid, last.ask), sync.book.version
            case _:
                pass
        sync.on_timer(now_ns)

    assert sync.state is BookState.PROVEN
    assert (sync.counters.gaps, sync.counters.overlaps, sync.counters.stale, sync.counters.crossed) == (0, 0, 0, 0)
    assert sync.counters.resyncs == 1, "the connection itself"
    assert unproven < 10
    assert compared >= pushes - 5
    assert exact > 100
    assert sync.quote_check.mismatches == 0
    assert sync.quote_check.checks >= exact


def test_recording_sample_book_equals_a_plain_dict(events: list[tuple[int, MarketEvent]]) -> None:
    sync = BookSync(events[0][1].symbol)
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    buffered: list[BookDelta] = []
    has_snapshot = False
    compared = 0

    def update(levels: dict[int, int], changes: tuple[Level, ...]) -> None:
        levels.update(changes)
        for price, _ in changes:
            if not levels[price]:
                del levels[price]

    for now_ns, event in events:
        if isinstance(event, FeedConnected):
            sync.on_connected(now_ns)
        elif isinstance(event, BookSnapshot):
            sync.on_snapshot(event, now_ns)
            bids, asks, has_snapshot = dict(event.bids), dict(event.asks), True
            for delta in buffered:
                if delta.to_version > event.version:
                    update(bids, delta.bids)
                    update(asks, delta.asks)
        elif isinstance(event, BookDelta):
            sync.on_delta(event, now_ns)
            if not has_snapshot:
                buffered.append(event)
                continue
            update(bids, event.bids)
            update(asks, event.asks)
            compared += 1
            if compared % 50 == 0:
                assert sync.book.bids(10**6) == sorted(bids.items(), reverse=True)
                assert sync.book.asks(10**6) == sorted(asks.items())
    assert compared > 3000


def test_recording_sample_over_a_faulty_line_equals_a_plain_dict(imported: tuple[ImportReport, Path]) -> None:
    """The whole file, transcoded to MEXC's wire, with frames lost, repeated, swapped and broken among them."""
    given = recorded(read_recording(imported[1]), recording_instrument(imported[1]))
    assert_never_wrong_and_all_noticed(given.instrument, given.snapshot, given.frames, seed=7, check_every=5)
