"""A piece cut out of a market trades on the very book that the whole market has there."""

from __future__ import annotations

from bench.generated_market import GeneratedMarket
from trading.adapters.recording.pieces import cut, pieces_of
from trading.engine.book_sync import BookSync
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.model.market import BookDelta, BookSnapshot, BookState, FeedConnected, MarketEvent
from trading.model.units import NS_PER_S

SYMBOL = "ETHUSDT"


def book_after(events: list[tuple[int, MarketEvent]], until_ns: int) -> BookSync:
    sync = BookSync(SYMBOL)
    for now_ns, event in events:
        if now_ns >= until_ns:
            break
        if isinstance(event, FeedConnected):
            sync.on_connected(now_ns)
        elif isinstance(event, BookSnapshot):
            sync.on_snapshot(event, now_ns)
        elif isinstance(event, BookDelta):
            sync.on_delta(event, now_ns)
    return sync


def test_pieces_cover_the_span_once_and_their_books_are_those_of_the_whole() -> None:
    market = GeneratedMarket(SYMBOL, seed=3)
    events = list(market.events(40))
    span = (events[0][0], events[-1][0])
    pieces = pieces_of(span, 4, 3 * NS_PER_S)
    assert [piece.to_ns for piece in pieces[:-1]] == [piece.from_ns for piece in pieces[1:]]
    assert (pieces[0].from_ns, pieces[-1].to_ns) == (span[0], span[1] + 1)
    for piece in pieces:
        part = list(cut(events, SYMBOL, piece))
        traded = [item for item in part if item[0] >= piece.from_ns]
        assert traded == [item for item in events if piece.from_ns <= item[0] < piece.to_ns]
        whole, alone = book_after(events, piece.to_ns), book_after(part, piece.to_ns)
        assert alone.state is whole.state is BookState.PROVEN
        assert (alone.book.version, alone.book.bids(50), alone.book.asks(50)) == (
            whole.book.version, whole.book.bids(50), whole.book.asks(50)
        )  # fmt: skip


def test_piece_trades_from_its_start_on_and_not_in_its_warm_up() -> None:
    market = GeneratedMarket(SYMBOL, seed=3)
    events = list(market.events(60))
    piece = pieces_of((events[0][0], events[-1][0]), 2, 15 * NS_PER_S)[1]
    params = (("warmup_s", "5"),)
    run = ReplayRun(
        market.instrument,
        cut(events, SYMBOL, piece),
        ReplaySettings(params=params, trade_from_ns=piece.from_ns),
    )
    result = run.run()
    assert result.orders > 0
    assert all(int(line.split()[0]) >= piece.from_ns for line in result.order_log)
