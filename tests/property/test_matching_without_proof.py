"""Paper fills while proofs come and go, quotes are all there is, and trades are told late by the venue's stamps."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market_scenes import MS, SYMBOL, S, book, delta, instrument, intent, trade
from trading.engine.book import Book
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import (
    DEFAULT_RULES,
    QUOTE_MAX_AGE_NS,
    LatencyModel,
    LogCancels,
    MatchingRules,
    PowerCancels,
    QueueModel,
    ShareCancels,
)
from trading.model.market import BestQuote, Side
from trading.model.orders import Fill, OrderType, VenueEvent, VenueTrade

LOW, HIGH = 9_990, 10_010
FEED_NS = 10 * MS
TYPES = {
    "post": OrderType.LIMIT_MAKER,
    "limit": OrderType.LIMIT,
    "take": OrderType.IOC,
    "all": OrderType.FOK,
    "market": OrderType.MARKET,
}


@dataclass(frozen=True)
class Step:
    """One thing that happens `after_ms` later; a trade is stamped `late_ms` before it could have been told."""

    kind: str
    price_ticks: int
    qty_lots: int
    side: Side
    after_ms: int
    late_ms: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["level", "level", "trade", "trade", "lost", "found", "quote", *TYPES, "cancel"]),
        st.integers(LOW, HIGH),
        st.integers(1, 60),
        st.sampled_from(list(Side)),
        st.sampled_from([0, 1, 40, 120, 3_000]),
        st.sampled_from([0, 0, 5, 90, 300]),
    ),
    max_size=60,
)


class Ledger:
    """Keeps, knowing nothing of queues, what was told to trade or be on offer at each price, and what ours got there.

    A lot on offer counts once however long it is shown: what counts is what a level gains.
    """

    def __init__(self) -> None:
        self.shown: dict[tuple[Side, int], int] = {}  # (side of the book, price) -> lots told last
        self.came: dict[tuple[Side, int], int] = {}  # (side that ours traded with, price) -> lots printed or gained
        self.got: dict[tuple[Side, int], int] = {}  # (our side, price of the fill) -> lots

    def on_book(self, market: Book) -> None:
        """Take a whole book."""
        told = {(Side.BUY, price): lots for price, lots in market.bids(10**6)}
        told |= {(Side.SELL, price): lots for price, lots in market.asks(10**6)}
        for place in self.shown.keys() - told.keys():
            self.shown[place] = 0
        for place, lots in told.items():
            self._show(place, lots)

    def on_quote(self, quote: BestQuote) -> None:
        """Take the best of each side alone."""
        for side, level in ((Side.BUY, quote.bid), (Side.SELL, quote.ask)):
            if level is not None:
                self._show((side, level[0]), level[1])

    def on_trade(self, taker_side: Side, price_ticks: int, lots: int) -> None:
        """Take a print: its taker is whom a resting order of the other side trades with."""
        self.came[(taker_side, price_ticks)] = self.came.get((taker_side, price_ticks), 0) + lots

    def on_fill(self, fill: Fill) -> None:
        """Take one of ours."""
        place = (fill.side, fill.price_ticks)
        self.got[place] = self.got.get(place, 0) + fill.qty_lots

    def overdrawn(self) -> list[tuple[Side, int]]:
        """Return the levels up to which ours got more than ever came there: whoever sells to our bid sells at or
        below it, whoever buys our ask buys at or above it.
        """
        return [
            (side, price)
            for side, price in self.got
            if self._sum(self.got, side, price, side.sign) > self._sum(self.came, side.opposite, price, side.sign)
        ]

    def _show(self, place: tuple[Side, int], lots: int) -> None:
        gained = lots - self.shown.get(place, 0)
        self.shown[place] = lots
        if gained > 0:
            self.came[place] = self.came.get(place, 0) + gained

    @staticmethod
    def _sum(lots: dict[tuple[Side, int], int], side: Side, price_ticks: int, sign: int) -> int:
        return sum(item for (own, price), item in lots.items() if own is side and (price - price_ticks) * sign <= 0)


class Scene:
    """A venue, the market it sees, and what each step gave. Nothing is checked here but what one step may fill."""

    def __init__(self, model: QueueModel, latency: LatencyModel, rules: MatchingRules = DEFAULT_RULES) -> None:
        self.venue = PaperVenue(instrument(min_notional="0"), model, latency, rules=rules)
        self.market = book([(9_995, 40), (9_994, 40)], [(10_005, 40), (10_006, 40)])
        self.now_ns = 100 * S
        self.version = 1
        self.is_proven = True
        self.quote: BestQuote | None = None
        self.arrived_ns: dict[str, int] = {}  # venue time
        self.types: dict[str, OrderType] = {}
        self.ended: set[str] = set()
        self.filled: dict[str, int] = {}
        self.ledger = Ledger()
        self._tell_book()

    def play(self, step: Step) -> tuple[list[Fill], list[VenueEvent]]:
        """Play a step and return its fills and all of its events."""
        self.now_ns += step.after_ms * MS
        self.venue.on_timer(self.now_ns)
        price = step.price_ticks
        match step.kind:
            case "level":
                self._level(step)
            case "trade":
                stamp_ns = self.now_ns - FEED_NS - step.late_ms * MS
                self.venue.on_trade(trade(price, step.qty_lots, step.side, self.now_ns, stamp_ns), self.now_ns)
                self.ledger.on_trade(step.side, price, step.qty_lots)
            case "lost":
                self.is_proven = False
                self.venue.on_book_lost(self.now_ns)
            case "found":
                self.is_proven = True
                self._tell_book()
            case "quote":
                quoted = ((price - 1, step.qty_lots), (price + 1, step.qty_lots))
                self.quote = BestQuote(SYMBOL, 0, *quoted, self.now_ns - FEED_NS, self.now_ns)
                self.venue.quote = self.quote
                self.ledger.on_quote(self.quote)
            case "cancel" if self.types:
                self.venue.cancel(f"o{1 + step.qty_lots % len(self.types)}", self.now_ns)
            case kind if kind in TYPES:
                name = f"o{len(self.types) + 1}"
                self.types[name] = TYPES[kind]
                self.arrived_ns[name] = self.now_ns - FEED_NS
                self.venue.place(intent(name, step.side, price, step.qty_lots, TYPES[kind]), self.now_ns)
            case _:
                pass  # nothing to cancel yet
        events = list(self.venue.drain_events())
        fills = [event.fill for event in events if isinstance(event, VenueTrade)]
        for fill in fills:
            self.filled[fill.client_order_id] = self.filled.get(fill.client_order_id, 0) + fill.qty_lots
            self.ledger.on_fill(fill)
        return fills, events

    def _level(self, step: Step) -> None:
        """Change a level, and take away what it crosses: unseen while the proof is lost."""
        price, side = step.price_ticks, step.side
        others = self.market.asks(99) if side is Side.BUY else self.market.bids(99)
        gone = tuple((level, 0) for level, _ in others if (price - level) * side.sign >= 0)
        own = ((price, step.qty_lots),)
        self.version += 1
        bids, asks = (own, gone) if side is Side.BUY else (gone, own)
        self.market.apply_delta(delta(self.version, bids, asks, at_ns=self.now_ns - FEED_NS))
        if self.is_proven:
            self._tell_book()

    def _tell_book(self) -> None:
        self.market.exch_ts_ns = self.now_ns - FEED_NS
        self.venue.on_book(self.market, self.now_ns)
        self.ledger.on_book(self.market)


def reaches(price_ticks: int, fill: Fill) -> bool:
    """Tell whether something at a price reached the order of a fill."""
    return (fill.price_ticks - price_ticks) * fill.side.sign >= 0


@settings(max_examples=80)
@given(STEPS, st.sampled_from(list(QueueModel)))
def test_every_fill_has_a_trade_a_cross_or_a_displayed_size_behind_it(steps: list[Step], model: QueueModel) -> None:
    scene = Scene(model, LatencyModel(0, 0, 0))
    for step in steps:
        was_proven, others = scene.is_proven, {Side.BUY: scene.market.asks(99), Side.SELL: scene.market.bids(99)}
        fills, _ = scene.play(step)
        makers = [fill for fill in fills if fill.is_maker]
        takers = [fill for fill in fills if not fill.is_maker]
        assert not {fill.client_order_id for fill in fills} & scene.ended, "a fill after the end"
        if step.kind == "trade":
            stamp_ns = scene.now_ns - FEED_NS - step.late_ms * MS
            assert not takers
            assert sum(fill.qty_lots for fill in makers) <= step.qty_lots
            for fill in makers:
                assert fill.side is step.side.opposite
                assert reaches(step.price_ticks, fill)
                assert stamp_ns >= scene.arrived_ns[fill.client_order_id], "a trade older than the order"
        elif step.kind in ("level", "found") and scene.is_proven:
            assert not takers
            for fill in makers:
                best = scene.market.best_ask if fill.side is Side.BUY else scene.market.best_bid
                assert best is not None
                assert reaches(best[0], fill)
        elif step.kind in TYPES and takers:
            assert not makers
            if was_proven:
                offered = others[step.side]
            else:
                quote = scene.quote
                assert step.side is Side.SELL, "an entry without a proof"
                assert quote is not None
                assert quote.bid is not None
                assert scene.now_ns - quote.recv_ts_ns <= QUOTE_MAX_AGE_NS
                offered = [quote.bid]
            shown = dict(offered)
            for fill in takers:
                assert fill.qty_lots <= shown[fill.price_ticks]
                assert (step.price_ticks - fill.price_ticks) * step.side.sign >= 0
            if step.kind == "all":
                assert sum(fill.qty_lots for fill in takers) == step.qty_lots
        else:
            assert not fills
        still = {order.client_order_id for order in scene.venue.open_orders()}
        scene.ended = set(scene.types) - still
        resting = (OrderType.LIMIT, OrderType.LIMIT_MAKER)
        assert all(scene.types[name] in resting for name in still), "a taker that waits"


LATENCIES = st.sampled_from([LatencyModel(0, 0, 0), LatencyModel(5 * MS, 10 * MS, 20 * MS)])
QUEUES = [
    (QueueModel.PESSIMISTIC, LogCancels()),
    (QueueModel.PROBABILISTIC, LogCancels()),
    (QueueModel.PROBABILISTIC, PowerCancels(2.0)),
    (QueueModel.PROBABILISTIC, ShareCancels(0.25)),
    (QueueModel.PROBABILISTIC, ShareCancels(8.0)),
]


@settings(max_examples=60)
@given(STEPS, LATENCIES)
def test_ours_get_no_more_up_to_any_level_than_was_printed_or_offered_up_to_it(
    steps: list[Step], latency: LatencyModel
) -> None:
    for model, cancels in QUEUES:
        scene = Scene(model, latency, MatchingRules(cancels=cancels))
        for step in (*steps, Step("lost", LOW, 1, Side.BUY, 3_000, 0)):
            scene.play(step)
            assert scene.ledger.overdrawn() == []


@settings(max_examples=60)
@given(STEPS)
def test_pessimist_has_at_no_moment_more_than_any_probabilist(steps: list[Step]) -> None:
    scenes = [Scene(model, LatencyModel(0, 0, 0), MatchingRules(cancels=cancels)) for model, cancels in QUEUES]
    for step in steps:
        for scene in scenes:
            scene.play(step)
        pessimist, *others = (sum(scene.filled.values()) for scene in scenes)
        assert all(pessimist <= other for other in others)


@settings(max_examples=80)
@given(STEPS, LATENCIES)
def test_pessimist_never_fills_more_where_proofs_come_and_go(steps: list[Step], latency: LatencyModel) -> None:
    found = []
    for model in (QueueModel.PESSIMISTIC, QueueModel.PROBABILISTIC):
        scene = Scene(model, latency)
        for step in (*steps, Step("lost", LOW, 1, Side.BUY, 3_000, 0)):
            scene.play(step)
        found.append(sum(scene.filled.values()))
    assert found[0] <= found[1]
