"""The book's content: absolute quantities, best first, cuts and bounds."""

from __future__ import annotations

import pytest

from trading.engine import book as book_module
from trading.engine.book import Book
from trading.model.market import BookDelta, BookSnapshot, Level, Side


def snapshot(version: int, bids: list[Level], asks: list[Level]) -> BookSnapshot:
    """A snapshot that has cut off both sides."""
    cuts = (bids[-1][0] if bids else None, asks[-1][0] if asks else None)
    return BookSnapshot("BTCUSDT", version, tuple(bids), tuple(asks), 1, 2, *cuts)


def delta(from_version: int, to_version: int, bids: list[Level], asks: list[Level]) -> BookDelta:
    return BookDelta("BTCUSDT", from_version, to_version, tuple(bids), tuple(asks), 3, 4)


def test_book_snapshot_then_delta_holds_absolute_quantities_best_first() -> None:
    book = Book("BTCUSDT")
    book.apply_snapshot(snapshot(10, [(99, 5), (98, 1), (90, 7)], [(101, 2), (105, 3)]))
    book.apply_delta(delta(11, 13, [(99, 0), (97, 4), (98, 9)], [(100, 6), (105, 0), (300, 0)]))

    assert book.version == 13
    assert book.bids(10) == [(98, 9), (97, 4), (90, 7)]
    assert book.asks(10) == [(100, 6), (101, 2)]
    assert book.bids(1) == [(98, 9)]
    assert book.best_bid == (98, 9)
    assert book.best_ask == (100, 6)
    assert (book.exch_ts_ns, book.recv_ts_ns) == (3, 4)
    assert book.qty_at(Side.BUY, 97) == 4
    assert book.qty_at(Side.SELL, 97) == 0
    assert book.qty_within(Side.BUY, 97) == 13
    assert book.qty_within(Side.SELL, 100) == 6


def test_book_beyond_the_snapshot_cut_is_unknown_not_empty() -> None:
    book = Book("BTCUSDT")
    book.apply_snapshot(snapshot(10, [(99, 5), (90, 7)], [(101, 2), (105, 3)]))
    book.apply_delta(delta(11, 11, [(80, 1)], [(90_000, 1)]))

    assert book.is_known(Side.BUY, 90)
    assert not book.is_known(Side.BUY, 89)
    assert book.is_known(Side.SELL, 105)
    assert not book.is_known(Side.SELL, 106)


def test_book_with_an_empty_snapshot_side_is_known_everywhere_on_it() -> None:
    book = Book("BTCUSDT")
    book.apply_snapshot(snapshot(10, [], [(101, 2)]))

    assert book.best_bid is None
    assert book.is_known(Side.BUY, 1)
    assert not book.is_crossed


@pytest.mark.parametrize(("ask", "is_crossed"), [(98, True), (99, True), (100, False)])
def test_book_is_crossed_when_the_bid_reaches_the_ask(ask: int, is_crossed: bool) -> None:
    book = Book("BTCUSDT")
    book.apply_snapshot(snapshot(1, [(99, 1)], [(ask, 1)]))
    assert book.is_crossed is is_crossed


def test_book_above_its_bound_forgets_the_deepest_and_moves_the_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MAX_LEVELS", 20)
    book = Book("BTCUSDT")
    book.apply_snapshot(
        snapshot(1, [(price, 1) for price in range(120, 100, -1)], [(price, 1) for price in range(200, 220)])
    )
    book.apply_delta(delta(2, 2, [(121, 1)], [(199, 1)]))

    assert book.level_count(Side.BUY) == 19
    assert book.level_count(Side.SELL) == 19
    assert book.deepest_known_bid == 103
    assert book.deepest_known_ask == 217
    assert book.qty_at(Side.BUY, 101) == 0
    assert not book.is_known(Side.BUY, 102)
    assert book.best_bid == (121, 1)
    assert book.best_ask == (199, 1)


def test_book_that_was_whole_and_forgot_its_deepest_is_short_only_once_few_levels_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(book_module, "MAX_LEVELS", 20)
    book = Book("BTCUSDT")
    bids, asks = tuple((price, 1) for price in range(120, 100, -1)), ((200, 1),)
    book.apply_snapshot(BookSnapshot("BTCUSDT", 1, bids, asks, 1, 2))
    book.apply_delta(delta(2, 2, [(121, 1)], []))
    book.apply_delta(delta(3, 3, [(90, 1)], []))
    assert not book.is_running_low
    for version, price in enumerate(range(121, 110, -1), 4):
        book.apply_delta(delta(version, version, [(price, 0)], []))
    assert book.is_running_low
    assert not book.is_outrun
