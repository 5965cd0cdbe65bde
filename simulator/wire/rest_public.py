"""Public REST routes: market data. Pure functions of the venue and the request; they return what JSON shall say."""

from typing import Any

from simulator.exchange.amounts import amount_text
from simulator.exchange.book import BookLevels
from simulator.exchange.pair import Pair
from simulator.exchange.tape import Candle
from simulator.faults import FaultKind
from simulator.venue import Venue
from simulator.wire.errors import bad, bad_interval, bad_symbol
from simulator.wire.intervals import REST_INTERVALS, window_end, window_start
from simulator.wire.requests import Request
from simulator.wire.views import best_view, listing_view, ticker_view

SYMBOLS_LIMIT = 16_000
AVERAGE_MINUTES = 5
# How far behind the book a stale snapshot is, in versions.
STALE_VERSIONS = 120


def pair_of(venue: Venue, request: Request) -> Pair:
    """Return the pair that `symbol` names. Raises WireError."""
    symbol = request.required("symbol")
    pair = venue.exchange.pairs.get(symbol)
    if pair is None:
        raise bad_symbol()
    return pair


def _pairs(venue: Venue, request: Request) -> tuple[list[Pair], bool]:
    """Return the pairs asked for, and whether it was one by `symbol`."""
    if request.text("symbol") is not None:
        return [pair_of(venue, request)], True
    names = request.text("symbols", SYMBOLS_LIMIT)
    if names is None:
        return list(venue.exchange.pairs.values()), False
    chosen = [venue.exchange.pairs.get(name) for name in names.split(",")]
    found = [pair for pair in chosen if pair is not None]
    if len(found) < len(chosen):
        raise bad_symbol()
    return found, False


def ping(venue: Venue, request: Request) -> Any:
    """GET ping."""
    return {}


def time(venue: Venue, request: Request) -> Any:
    """GET time."""
    return {"serverTime": venue.told_ms(request.api_key)}


def tradable_symbols(venue: Venue) -> list[str]:
    """Return the symbols that may be traded by API."""
    return [symbol for symbol, pair in venue.exchange.pairs.items() if pair.listing.is_api_allowed]


def default_symbols(venue: Venue, request: Request) -> Any:
    """GET defaultSymbols. Its code is 200, not 0."""
    return {"code": 200, "data": tradable_symbols(venue), "msg": None}


def offline(venue: Venue, request: Request) -> Any:
    """GET symbol/offline."""
    gone = [symbol for symbol, pair in venue.exchange.pairs.items() if pair.listing.status == "3"]
    return {"code": 200, "data": gone, "msg": None}


def exchange_info(venue: Venue, request: Request) -> Any:
    """GET exchangeInfo."""
    pairs, _ = _pairs(venue, request)
    schedule = venue.exchange.ledger.schedule
    return {
        "timezone": "CST",
        "serverTime": venue.told_ms(),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [listing_view(pair.listing, schedule.standard(pair.listing)) for pair in pairs],
    }


def depth(venue: Venue, request: Request) -> Any:
    """GET depth. `lastUpdateId` is inclusive."""
    pair = pair_of(venue, request)
    book, listing = pair.book, pair.listing
    levels = min(request.limit(100, 5_000), venue.settings.rules.depth_levels_max)
    version, bids, asks = book.version, book.bids.top(levels), book.asks.top(levels)
    if venue.faults.is_any(FaultKind.STALE_SNAPSHOT, FaultKind.SNAPSHOT_INSIDE):
        version, bids, asks = _faulty_snapshot(venue, pair, request.api_key, levels)
    return {
        "lastUpdateId": version,
        "bids": [[listing.price_padded(price), listing.qty_padded(lots)] for price, lots in bids],
        "asks": [[listing.price_padded(price), listing.qty_padded(lots)] for price, lots in asks],
        "timestamp": venue.now_ms(),
    }


def _faulty_snapshot(venue: Venue, pair: Pair, account: str | None, levels: int) -> tuple[int, BookLevels, BookLevels]:
    """Return a true but older state of the book: far behind, or within the delta that is being gathered."""
    book, names = pair.book, (pair.listing.symbol,)
    version = book.version
    if venue.faults.fire(FaultKind.STALE_SNAPSHOT, names, account):
        version = max(book.oldest_version(), version - STALE_VERSIONS)
    elif (inside := book.inside_version()) is not None and venue.faults.fire(FaultKind.SNAPSHOT_INSIDE, names, account):
        version = inside
    state = book.at(version)
    if state is None:
        return book.version, book.bids.top(levels), book.asks.top(levels)
    return version, state[0][:levels], state[1][:levels]


def trades(venue: Venue, request: Request) -> Any:
    """GET trades, newest first."""
    pair = pair_of(venue, request)
    listing = pair.listing
    newest = list(pair.tape.trades)[-request.limit(500, 1_000) :]
    return [
        {
            "id": None,
            "price": listing.price_padded(trade.price_ticks),
            "qty": listing.qty_padded(trade.lots),
            "quoteQty": amount_text(listing.value(trade.price_ticks * trade.lots)),
            "time": trade.time_ms,
            "isBuyerMaker": not trade.is_buyer_taker,
            "isBestMatch": True,
            "tradeType": "BID" if trade.is_buyer_taker else "ASK",
        }
        for trade in reversed(newest)
    ]


def agg_trades(venue: Venue, request: Request) -> Any:
    """GET aggTrades, newest first; startTime and endTime inclusive, both or none."""
    pair = pair_of(venue, request)
    listing = pair.listing
    since, until = request.whole("startTime"), request.whole("endTime")
    if (since is None) != (until is None):
        raise bad(-1128, "Combination of optional parameters invalid: startTime and endTime must be sent together.")
    found = [trade for trade in pair.tape.trades if since is None or until is None or since <= trade.time_ms <= until]
    return [
        {
            "a": None,
            "f": None,
            "l": None,
            "p": listing.price_padded(trade.price_ticks),
            "q": listing.qty_padded(trade.lots),
            "T": trade.time_ms,
            "m": not trade.is_buyer_taker,
            "M": True,
        }
        for trade in reversed(found[-request.limit(500, 1_000) :])
    ]


def klines(venue: Venue, request: Request) -> Any:
    """GET klines, oldest first; eight elements, the close time is the next candle's start."""
    pair = pair_of(venue, request)
    name = request.required("interval")
    interval = REST_INTERVALS.get(name)
    if interval is None or (name == "8h" and not venue.settings.rules.answers_8h):
        raise bad_interval()
    limit = request.limit(500, 1_000)
    since, until = request.whole("startTime"), request.whole("endTime")
    length_ms = window_end(interval, 0)
    if since is not None:
        from_ms = since - length_ms
    else:
        from_ms = (venue.now_ms() if until is None else until) - (limit + 2) * length_ms
    candles = [
        candle
        for candle in pair.tape.candles(venue.now_ms(), window_start(interval), length_ms, from_ms)
        if (since is None or candle.start_ms >= since) and (until is None or candle.start_ms <= until)
    ]
    chosen = candles[:limit] if since is not None else candles[-limit:]
    return [_kline(pair, candle, window_end(interval, candle.start_ms)) for candle in chosen]


def _kline(pair: Pair, candle: Candle, end_ms: int) -> list[Any]:
    listing = pair.listing
    return [
        candle.start_ms,
        listing.price_padded(candle.open),
        listing.price_padded(candle.high),
        listing.price_padded(candle.low),
        listing.price_padded(candle.close),
        listing.qty_trimmed(candle.lots),
        end_ms,
        amount_text(listing.value(candle.ticks_lots)),
    ]


def average_price(venue: Venue, request: Request) -> Any:
    """GET avgPrice: of the last five minutes, weighted by volume."""
    pair = pair_of(venue, request)
    minutes = list(pair.tape.minutes(venue.now_ms()))[-AVERAGE_MINUTES:]
    lots = sum(candle.lots for candle in minutes)
    price = sum(candle.ticks_lots for candle in minutes) // lots if lots else pair.tape.last_price
    return {"mins": AVERAGE_MINUTES, "price": pair.listing.price_padded(price)}


def ticker_24h(venue: Venue, request: Request) -> Any:
    """GET ticker/24hr: an object for one symbol, else an array."""
    pairs, is_one = _pairs(venue, request)
    now_ms = venue.now_ms()
    views = [ticker_view(pair, now_ms) for pair in pairs]
    return views[0] if is_one else views


def ticker_price(venue: Venue, request: Request) -> Any:
    """GET ticker/price."""
    pairs, is_one = _pairs(venue, request)
    views = [
        {"symbol": pair.listing.symbol, "price": pair.listing.price_padded(pair.tape.last_price)} for pair in pairs
    ]
    return views[0] if is_one else views


def book_ticker(venue: Venue, request: Request) -> Any:
    """GET ticker/bookTicker."""
    pairs, is_one = _pairs(venue, request)
    views = [best_view(pair) for pair in pairs]
    return views[0] if is_one else views


def contract_detail(venue: Venue, request: Request) -> Any:
    """GET /api/v1/contract/detail: no contracts here, but ccxt asks whenever it loads markets."""
    return {"success": True, "code": 0, "data": []}
