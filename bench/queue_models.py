"""Our two queue models beside hftbacktest's, on the sample recording: same orders, same latency, what filled.

May import trading. Our additions are switched off (`PLAIN_RULES`): no window for late trades, every order alone. The
peer plays in its own interpreter (`.venv-bench`); events and orders are handed over in files, in ticks and lots.
"""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import log1p
from pathlib import Path
from random import Random

from bench.depth_frames import sample_path
from bench.figures import Benchmark, CannotRunError, Effort, Figure
from bench.report import ROOT
from trading.adapters.recording.events import market_events, recording_instrument
from trading.adapters.recording.importer import import_public
from trading.adapters.recording.parquet import read_recording
from trading.engine.book import Book
from trading.engine.book_sync import BookSync
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import PLAIN_RULES, LatencyModel, LogCancels, PowerCancels, QueueModel
from trading.model.instrument import Instrument
from trading.model.market import BookDelta, BookState, Level, MarketEvent, MarketTrade, Side
from trading.model.orders import OrderIntent, OrderType, Purpose, VenueTrade
from trading.model.units import NS_PER_MS, NS_PER_S, ZERO

PEER = Path(__file__).with_name("hftbacktest_peer.py")
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PEER_TIMEOUT_S = 240
ENTRY_NS, RESPONSE_NS = 12 * NS_PER_MS, 9 * NS_PER_MS
LATENCY = LatencyModel(0, ENTRY_NS, RESPONSE_NS)

# hftbacktest's event format and flags (its `types.py` and documentation "Data", read 2026-11-28).
_ROW = struct.Struct("<QqqddQqd")
_DEPTH, _TRADE, _BOTH_SIDES_SEE, _BUY, _SELL = 1, 2, (1 << 31) | (1 << 30), 1 << 29, 1 << 28


@dataclass(frozen=True, slots=True)
class Tape:
    """A market to play: the book at the first instant, then changes and trades in order of their times."""

    instrument: Instrument
    start_ns: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    events: tuple[tuple[int, BookDelta | MarketTrade], ...]


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """A post-only order that is cancelled after a while."""

    number: int
    place_ns: int
    cancel_ns: int
    side: Side
    price_ticks: int
    qty_lots: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What filled of one order: lots, and the venue's time of the last fill (0: none)."""

    lots: int
    at_ns: int


def tape_of(instrument: Instrument, events: Iterable[tuple[int, MarketEvent]]) -> Tape:
    """Take the proven part of a recording. Raises: CannotRunError when its book is never proven, or is lost."""
    sync = BookSync(instrument.symbol)
    kept: list[tuple[int, BookDelta | MarketTrade]] = []
    start: tuple[int, tuple[Level, ...], tuple[Level, ...]] | None = None
    for now_ns, event in events:
        kind = type(event).__name__
        if start is not None:
            if isinstance(event, (BookDelta, MarketTrade)):
                kept.append((now_ns, event))
            continue
        if isinstance(event, BookDelta):
            sync.on_delta(event, now_ns)
        elif kind == "BookSnapshot":
            sync.on_snapshot(event, now_ns)  # type: ignore[arg-type]
        elif kind == "FeedConnected":
            sync.on_connected(now_ns)
        if sync.state is BookState.PROVEN:
            start = (now_ns, tuple(sync.book.bids(10**6)), tuple(sync.book.asks(10**6)))
    if start is None:
        raise CannotRunError("the recording's book is never proven")
    return Tape(instrument, *start, tuple(kept))


def order_list(tape: Tape, seed: int, gap_ms: int = 400) -> tuple[ListedOrder, ...]:
    """Place an order every now and then: at, behind or inside the best price, of any size, for some seconds."""
    draw, book = Random(seed), _book(tape)
    orders: list[ListedOrder] = []
    next_ns = tape.start_ns + NS_PER_S
    last_ns = tape.events[-1][0] - 2 * NS_PER_S  # the peer ends with its data: every answer has to come before
    for now_ns, event in tape.events:
        while next_ns < min(now_ns, last_ns):
            bid, ask = book.best_bid, book.best_ask
            if bid is not None and ask is not None:
                side = draw.choice((Side.BUY, Side.SELL))
                offset = draw.choice((0, 0, 0, 1, -1, -2, -5, -20, -60))  # ticks inside (+) or behind (-)
                price = bid[0] + offset if side is Side.BUY else ask[0] - offset
                lots = max(1, round(draw.lognormvariate(6.0, 2.0)))
                life_ns = round(draw.uniform(0.2, 20.0) * NS_PER_S)
                # An odd nanosecond, so that no action falls on an event: who comes first is then no question.
                at_ns = next_ns | 1
                cancel_ns = min(at_ns + life_ns, last_ns) | 1
                orders.append(ListedOrder(len(orders) + 1, at_ns, cancel_ns, side, price, lots))
            next_ns += round(draw.uniform(0.2, 1.8) * gap_ms) * NS_PER_MS
        if isinstance(event, BookDelta):
            book.apply_delta(event)
    return tuple(orders)


def play_ours(
    tape: Tape, orders: tuple[ListedOrder, ...], model: QueueModel, power: float | None
) -> dict[int, Outcome]:
    """Play the list in our paper venue, plain."""
    cancels = LogCancels() if power is None else PowerCancels(power)
    instrument = replace(tape.instrument, min_notional=ZERO, min_qty=ZERO)
    venue = PaperVenue(instrument, model, LATENCY, rules=replace(PLAIN_RULES, cancels=cancels))
    book = _book(tape)
    venue.on_book(book, tape.start_ns)
    actions = sorted(
        [(order.place_ns, 0, order) for order in orders] + [(order.cancel_ns, 1, order) for order in orders],
        key=lambda action: (action[0], action[1], action[2].number),
    )
    found = {order.number: Outcome(0, 0) for order in orders}
    index = 0
    for now_ns, event in (*tape.events, (tape.events[-1][0] + 2 * NS_PER_S, None)):
        while index < len(actions) and actions[index][0] < now_ns:
            at_ns, is_cancel, order = actions[index]
            index += 1
            venue.on_timer(at_ns)
            if is_cancel:
                venue.cancel(str(order.number), at_ns)
            else:
                venue.place(_intent(order, instrument.symbol), at_ns)
        venue.on_timer(now_ns)
        if isinstance(event, MarketTrade):
            venue.on_trade(event, now_ns)
        elif isinstance(event, BookDelta):
            book.apply_delta(event)
            venue.on_book(book, now_ns)
        for report in venue.drain_events():
            if isinstance(report, VenueTrade):
                number = int(report.fill.client_order_id)
                found[number] = Outcome(found[number].lots + report.fill.qty_lots, report.fill.exch_ts_ns)
    return found


def play_theirs(tape: Tape, orders: tuple[ListedOrder, ...], model: str) -> dict[int, Outcome]:
    """Play the list in hftbacktest. Raises: CannotRunError when it is not installed or does not answer."""
    if not PEER_PYTHON.exists():
        raise CannotRunError("hftbacktest is not installed here; `make bench` installs it into .venv-bench")
    with tempfile.TemporaryDirectory(prefix="mxb") as folder:
        events_path, orders_path = Path(folder) / "events", Path(folder) / "orders"
        events_path.write_bytes(b"".join(_rows(tape)))
        flat = array("q")
        for order in orders:
            flat.extend((order.place_ns, order.cancel_ns, order.number, order.side.sign, order.price_ticks))
            flat.extend((order.qty_lots, 0, 0))
        orders_path.write_bytes(flat.tobytes())
        command = [str(PEER_PYTHON), str(PEER), str(events_path), str(orders_path), model]
        try:
            done = subprocess.run(
                [*command, str(ENTRY_NS), str(RESPONSE_NS)],
                capture_output=True,
                text=True,
                timeout=PEER_TIMEOUT_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise CannotRunError(f"hftbacktest failed: {error.stderr.strip().splitlines()[-1:]}") from None
        except subprocess.TimeoutExpired:
            raise CannotRunError(f"hftbacktest took longer than {PEER_TIMEOUT_S} s") from None
    answer = json.loads(done.stdout)
    if answer["wrong"]:
        raise CannotRunError(f"hftbacktest refused {answer['wrong']} actions")
    return {int(number): Outcome(lots, at_ns if lots else 0) for number, (lots, at_ns) in answer["orders"].items()}


def leaves_the_formula(tape: Tape, order: ListedOrder) -> bool:
    """Tell whether hftbacktest's queue position of this order falls below -1 lot under its logarithmic formula.

    Nothing holds the position at zero where many cancels meet few lots in front of us. Below -1 lot the logarithm has
    no value, and the minimum of that and the level's size then puts the order at the back of the queue. Ours stays at
    zero: at the front, which is where such an order is.
    """
    book, front, traded, has_arrived = _book(tape), 0.0, 0, False
    own, arrives_ns = order.side, order.place_ns + ENTRY_NS
    for now_ns, event in tape.events:
        if now_ns > order.cancel_ns + ENTRY_NS:
            break
        if now_ns > arrives_ns and not has_arrived:
            has_arrived, front = True, float(book.qty_at(own, order.price_ticks))
        if isinstance(event, MarketTrade):
            if has_arrived and event.taker_side is not own and event.price_ticks == order.price_ticks:
                front, traded = front - event.qty_lots, traded + event.qty_lots
            continue
        before = book.qty_at(own, order.price_ticks)
        book.apply_delta(event)
        after = book.qty_at(own, order.price_ticks)
        if has_arrived and after != before:
            front, traded = _literal_front(front, before, after, traded), 0
            if front < -1.0:
                return True
    return False


def _literal_front(front: float, before: int, after: int, traded: int) -> float:
    change, behind = before - after - traded, before - front
    if change < 0:
        return min(front, after)
    ahead_log, behind_log = log1p(max(front, -0.999)), log1p(max(behind, -0.999))
    chance = behind_log / (behind_log + ahead_log) if behind_log + ahead_log else 1.0
    return min(front - (1.0 - chance) * change + min(behind - chance * change, 0.0), after)


def _book(tape: Tape) -> Book:
    book = Book(tape.instrument.symbol)
    first = BookDelta(tape.instrument.symbol, 1, 1, tape.bids, tape.asks, tape.start_ns, tape.start_ns)
    book.apply_delta(first)
    return book


def _intent(order: ListedOrder, symbol: str) -> OrderIntent:
    purpose = Purpose.ENTRY if order.side is Side.BUY else Purpose.EXIT
    return OrderIntent(
        str(order.number),
        symbol,
        order.side,
        OrderType.LIMIT_MAKER,
        order.price_ticks,
        order.qty_lots,
        purpose,
        order.place_ns,
        order.place_ns + NS_PER_S,
        1,
        "list",
    )


def _rows(tape: Tape) -> Iterator[bytes]:
    """Write the tape in hftbacktest's format. Deletions go first: no row crosses the book in passing."""
    for side, levels in ((_BUY, tape.bids), (_SELL, tape.asks)):
        for price, lots in levels:
            yield _row(_DEPTH | side, tape.start_ns, price, lots)
    for now_ns, event in tape.events:
        if isinstance(event, MarketTrade):
            side = _BUY if event.taker_side is Side.BUY else _SELL
            yield _row(_TRADE | side, now_ns, event.price_ticks, event.qty_lots)
            continue
        changes = [(lots, _BUY, price) for price, lots in event.bids] + [
            (lots, _SELL, price) for price, lots in event.asks
        ]
        for lots, side, price in sorted(changes, key=lambda change: change[0] > 0):
            yield _row(_DEPTH | side, now_ns, price, lots)


def _row(kind: int, at_ns: int, price: int, lots: int) -> bytes:
    return _ROW.pack(kind | _BOTH_SIDES_SEE, at_ns, at_ns, float(price), float(lots), 0, 0, 0.0)


MODELS: tuple[tuple[str, str, QueueModel, float | None], ...] = (
    ("pessimistic", "risk_adverse", QueueModel.PESSIMISTIC, None),
    ("probabilistic_log", "log", QueueModel.PROBABILISTIC, None),
    ("probabilistic_power_1", "power:1", QueueModel.PROBABILISTIC, 1.0),
    ("probabilistic_power_3", "power:3", QueueModel.PROBABILISTIC, 3.0),
)


def measure(effort: Effort) -> Iterator[Figure]:
    """Compare, model by model."""
    with tempfile.TemporaryDirectory(prefix="mxb") as folder:
        path = Path(folder) / "sample.parquet"
        import_public(sample_path(), path)
        instrument = recording_instrument(path)
        tape = tape_of(instrument, market_events(read_recording(path), instrument))
    orders = order_list(tape, seed=1, gap_ms=effort.choose(400, 2_000))
    for name, peer_name, model, power in MODELS:
        ours, theirs = play_ours(tape, orders, model, power), play_theirs(tape, orders, peer_name)
        yield from compare(tape, name, orders, ours, theirs)


def compare(
    tape: Tape, name: str, orders: tuple[ListedOrder, ...], ours: dict[int, Outcome], theirs: dict[int, Outcome]
) -> Iterator[Figure]:
    """Count the orders that differ by more than one lot, and those of them that nothing explains."""
    nothing = Outcome(0, 0)
    differing = [order for order in orders if abs(ours[order.number].lots - theirs[order.number].lots) > 1]
    filled = sum(outcome.lots > 0 for outcome in theirs.values())
    same = sum(ours[order.number] == theirs[order.number] != nothing for order in orders)
    total_ours, total_theirs = (sum(item.lots for item in found.values()) for found in (ours, theirs))
    note = f"{len(orders)} orders, {filled} of them filled there, {same} with the same lots at the same nanosecond; "
    yield Figure(f"{name}_differ", "orders", len(differing), note=f"{note}lots {total_ours} / {total_theirs}")
    strange = [order for order in differing if not leaves_the_formula(tape, order)]
    shown = "; ".join(
        f"#{order.number} {order.side} {order.qty_lots}: {ours[order.number].lots} / {theirs[order.number].lots}"
        for order in strange[:5]
    )
    if differing:
        shown = f"explained: their queue position falls below -1 lot, whose logarithm is no number; {shown}".rstrip(
            "; "
        )
    yield Figure(f"{name}_differ_unexplained", "orders", len(strange), 0, shown)


BENCHMARKS = (Benchmark("queue_models", "fills of our queue models beside hftbacktest's, same orders", measure),)
