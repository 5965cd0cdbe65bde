"""Whatever books and trades come: no invented fill, the queue models keep their order, same calls, same events."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market_scenes import MS, book, delta, instrument, intent, trade
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import LatencyModel, MatchingRules, QueueModel, ShareCancels
from trading.model.market import Side
from trading.model.orders import Fill, OrderType, VenueEvent, VenueTrade

LOW, HIGH = 9_990, 10_010
MID = 10_000


@dataclass(frozen=True)
class Step:
    """One thing that happens `after_ms` later."""

    kind: str
    price_ticks: int
    qty_lots: int
    side: Side
    after_ms: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["level", "level", "trade", "trade", "place", "cancel"]),
        st.integers(LOW, HIGH),
        st.integers(0, 60),
        st.sampled_from(list(Side)),
        st.integers(0, 120),
    ),
    max_size=60,
)
RULES = st.sampled_from([MatchingRules(), MatchingRules(late_trade_ns=0), MatchingRules(late_trade_ns=20 * MS)])
LATENCIES = st.sampled_from([LatencyModel(0, 0, 0), LatencyModel(5 * MS, 10 * MS, 20 * MS)])


@dataclass
class Outcome:
    """What one run gave, and what the market offered to each side of resting orders."""

    events: list[VenueEvent]
    offered: dict[Side, int]

    def filled(self, side: Side | None = None) -> int:
        """Sum the filled lots."""
        return sum(
            event.fill.qty_lots
            for event in self.events
            if isinstance(event, VenueTrade) and (side is None or event.fill.side is side)
        )


def run(steps: list[Step], model: QueueModel, latency: LatencyModel, rules: MatchingRules) -> Outcome:
    """Play the steps. Levels below MID are bids, above are asks, so that no market is crossed by itself."""
    venue = PaperVenue(instrument(min_notional="0"), model, latency, rules=rules)
    market = book([(9_995, 40), (9_994, 40)], [(10_005, 40), (10_006, 40)])
    venue.on_book(market, 0)
    now_ns, version, placed = 0, 1, 0
    outcome = Outcome([], dict.fromkeys(Side, 0))
    for step in steps:
        now_ns += step.after_ms * MS
        venue.on_timer(now_ns)
        match step.kind:
            case "level":
                version += 1
                level = ((step.price_ticks + (step.price_ticks == MID), step.qty_lots),)
                change = delta(version, bids=level) if step.price_ticks < MID else delta(version, asks=level)
                market.apply_delta(change)
                venue.on_book(market, now_ns)
            case "trade" if step.qty_lots:
                outcome.offered[step.side.opposite] += step.qty_lots
                venue.on_trade(trade(step.price_ticks, step.qty_lots, step.side, now_ns), now_ns)
            case "place":
                price_ticks = min(step.price_ticks, MID) if step.side is Side.BUY else max(step.price_ticks, MID)
                if step.qty_lots:
                    placed += 1
                    order = intent(f"o{placed}", step.side, price_ticks, step.qty_lots, OrderType.LIMIT_MAKER)
                    venue.place(order, now_ns)
            case "cancel" if placed:
                venue.cancel(f"o{1 + step.qty_lots % placed}", now_ns)
        outcome.events.extend(venue.drain_events())
    venue.on_timer(now_ns + 1_000 * MS)
    outcome.events.extend(venue.drain_events())
    return outcome


@given(STEPS, st.sampled_from(list(QueueModel)), LATENCIES, RULES)
def test_passive_fills_are_at_most_what_traded_on_the_other_side(
    steps: list[Step], model: QueueModel, latency: LatencyModel, rules: MatchingRules
) -> None:
    # Bids stay below MID and asks above it, and orders at or inside: the book never crosses one, so trades alone fill.
    outcome = run(steps, model, latency, rules)
    for side in Side:
        assert outcome.filled(side) <= outcome.offered[side]


@given(STEPS, LATENCIES, RULES)
def test_pessimist_never_fills_more_of_the_same_orders_than_the_probabilist(
    steps: list[Step], latency: LatencyModel, rules: MatchingRules
) -> None:
    pessimist = run(steps, QueueModel.PESSIMISTIC, latency, rules)
    probabilist = run(steps, QueueModel.PROBABILISTIC, latency, rules)
    assert pessimist.filled() <= probabilist.filled()


POWERS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 8.0])


@given(STEPS, LATENCIES, st.integers(0, 150), POWERS, POWERS)
def test_more_optimistic_queue_fills_no_later_whenever_one_looks(
    steps: list[Step], latency: LatencyModel, late_ms: int, one: float, two: float
) -> None:
    """At each moment the orders together have filled no less under the smaller n, and no less than the pessimist's."""

    def filled(model: QueueModel, power: float) -> list[tuple[int, int]]:
        rules = MatchingRules(late_trade_ns=late_ms * MS, cancels=ShareCancels(power))
        events = run(steps, model, latency, rules).events
        fills = [event.fill for event in events if isinstance(event, VenueTrade)]
        return [(fill.exch_ts_ns, fill.qty_lots) for fill in fills]

    def by(fills: list[tuple[int, int]], at_ns: int) -> int:
        return sum(lots for filled_ns, lots in fills if filled_ns <= at_ns)

    low, high = filled(QueueModel.PROBABILISTIC, min(one, two)), filled(QueueModel.PROBABILISTIC, max(one, two))
    pessimist = filled(QueueModel.PESSIMISTIC, 1.0)
    for at_ns in {at_ns for at_ns, _ in (*low, *high, *pessimist)}:
        assert by(low, at_ns) >= by(high, at_ns) >= by(pessimist, at_ns)


# --- crossing markets, takers and many orders at one price ----------------------------------------------------------

WILD_STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["level", "level", "shift", "trade", "trade", "post", "limit", "take", "all", "cancel"]),
        st.integers(LOW, HIGH),
        st.integers(0, 60),
        st.sampled_from(list(Side)),
        st.integers(0, 120),
    ),
    max_size=60,
)
TYPES = {"post": OrderType.LIMIT_MAKER, "limit": OrderType.LIMIT, "take": OrderType.IOC, "all": OrderType.FOK}


@dataclass
class WildOutcome:
    """One run of a market that moves through our prices; per step what was offered and what filled."""

    filled: dict[str, int]
    is_explained: bool
    traded: int
    filled_by_trades: int


def run_wild(steps: list[Step], model: QueueModel, latency: LatencyModel) -> WildOutcome:
    """Play the steps. A "shift" moves the best of a side anywhere and takes away what it would cross."""
    venue = PaperVenue(instrument(min_notional="0"), model, latency)
    market = book([(9_995, 40), (9_994, 40)], [(10_005, 40), (10_006, 40)])
    venue.on_book(market, 0)
    now_ns, version, placed = 0, 1, 0
    outcome = WildOutcome({}, True, 0, 0)

    def reaches(price_ticks: int, fill: Fill) -> bool:
        return (fill.price_ticks - price_ticks) * fill.side.sign >= 0

    def take(may_cross: bool, trade_lots: int = 0, trade_side: Side = Side.BUY, trade_ticks: int = 0) -> None:
        fills = [event.fill for event in venue.drain_events() if isinstance(event, VenueTrade)]
        if not latency.report_ns(""):  # else reports are of earlier steps
            for fill in (fill for fill in fills if fill.is_maker):
                best = market.best_ask if fill.side is Side.BUY else market.best_bid
                is_hit = bool(trade_lots) and fill.side is trade_side.opposite and reaches(trade_ticks, fill)
                is_crossed = may_cross and best is not None and reaches(best[0], fill)
                outcome.is_explained &= is_hit or is_crossed
        for fill in fills:
            outcome.filled[fill.client_order_id] = outcome.filled.get(fill.client_order_id, 0) + fill.qty_lots
        lots = sum(fill.qty_lots for fill in fills if fill.is_maker)
        if trade_lots:
            outcome.traded += trade_lots
            outcome.filled_by_trades += lots
            outcome.is_explained &= lots <= trade_lots
        elif not may_cross:
            outcome.is_explained &= lots == 0

    for step in steps:
        now_ns += step.after_ms * MS
        venue.on_timer(now_ns)
        take(may_cross=True)  # what was under way met the book
        price = step.price_ticks
        match step.kind:
            case "level" | "shift":
                best = market.best_ask if step.side is Side.BUY else market.best_bid
                crossed = best is not None and (price - best[0]) * step.side.sign >= 0
                if crossed and step.kind == "level":
                    continue
                others = market.asks(99) if step.side is Side.BUY else market.bids(99)
                gone = tuple((level, 0) for level, _ in others if crossed and (price - level) * step.side.sign >= 0)
                version += 1
                own = ((price, step.qty_lots),)
                change = delta(version, own, gone) if step.side is Side.BUY else delta(version, gone, own)
                market.apply_delta(change)
                venue.on_book(market, now_ns)
                take(may_cross=True)
            case "trade" if step.qty_lots:
                venue.on_trade(trade(price, step.qty_lots, step.side, now_ns), now_ns)
                if not latency.report_ns(""):
                    take(False, step.qty_lots, step.side, price)
            case "cancel" if placed:
                venue.cancel(f"o{1 + step.qty_lots % placed}", now_ns)
                take(may_cross=True)
            case kind if kind in TYPES and step.qty_lots:
                placed += 1
                venue.place(intent(f"o{placed}", step.side, price, step.qty_lots, TYPES[kind]), now_ns)
                take(may_cross=True)
    venue.on_timer(now_ns + 1_000 * MS)
    take(may_cross=True)
    return outcome


@given(WILD_STEPS, st.sampled_from(list(QueueModel)))
def test_no_resting_order_fills_beyond_what_a_trade_brought_however_the_market_moves(
    steps: list[Step], model: QueueModel
) -> None:
    outcome = run_wild(steps, model, LatencyModel(0, 0, 0))
    assert outcome.is_explained, "a fill without a trade that reached its price, or a cross of it"
    assert outcome.filled_by_trades <= outcome.traded


@given(WILD_STEPS, LATENCIES)
def test_pessimist_never_fills_more_in_a_market_that_crosses_and_is_taken(
    steps: list[Step], latency: LatencyModel
) -> None:
    pessimist = run_wild(steps, QueueModel.PESSIMISTIC, latency)
    probabilist = run_wild(steps, QueueModel.PROBABILISTIC, latency)
    assert sum(pessimist.filled.values()) <= sum(probabilist.filled.values())


@given(STEPS, st.sampled_from(list(QueueModel)), LATENCIES, RULES)
def test_same_calls_give_the_same_events(
    steps: list[Step], model: QueueModel, latency: LatencyModel, rules: MatchingRules
) -> None:
    assert run(steps, model, latency, rules).events == run(steps, model, latency, rules).events


@given(STEPS, st.sampled_from(list(QueueModel)))
def test_no_order_fills_beyond_its_quantity_and_trade_ids_are_unique(steps: list[Step], model: QueueModel) -> None:
    events = run(steps, model, LatencyModel(0, 0, 0), MatchingRules()).events
    fills = [event.fill for event in events if isinstance(event, VenueTrade)]
    assert len({fill.trade_id for fill in fills}) == len(fills)
    by_order: dict[str, int] = {}
    for fill in fills:
        by_order[fill.client_order_id] = by_order.get(fill.client_order_id, 0) + fill.qty_lots
    assert all(lots <= 60 for lots in by_order.values())


# --- one order, and a market close around it --------------------------------------------------------------------------


@dataclass(frozen=True)
class Near:
    """A trade, or a new best price of the other side, `away` ticks from our order; above 0 it does not reach us."""

    is_trade: bool
    away: int
    lots: int


NEARS = st.lists(st.builds(Near, st.booleans(), st.integers(-2, 2), st.integers(1, 40)), max_size=12)


@given(NEARS, st.sampled_from(list(Side)), st.sampled_from(list(QueueModel)))
def test_order_alone_at_its_price_fills_by_what_reaches_it_and_by_nothing_else(
    steps: list[Near], side: Side, model: QueueModel
) -> None:
    venue = PaperVenue(instrument(min_notional="0"), model, LatencyModel(0, 0, 0))
    market = book([(9_990, 40)], [(10_010, 40)])
    venue.on_book(market, 0)
    venue.place(intent("o1", side, MID, 10_000, OrderType.LIMIT_MAKER), 0)
    venue.drain_events()
    shown: tuple[tuple[int, int], ...] = ()
    used = 0  # of what is shown now
    for number, step in enumerate(steps, 1):
        price_ticks, now_ns = MID + step.away * side.sign, number * 1_000 * MS
        if step.is_trade:
            venue.on_trade(trade(price_ticks, step.lots, side.opposite, now_ns), now_ns)
            expected = step.lots if step.away <= 0 else 0
        else:
            change = (*((old, 0) for old, _ in shown if old != price_ticks), (price_ticks, step.lots))
            used = min(used, step.lots) if [old for old, _ in shown] == [price_ticks] else 0
            shown = ((price_ticks, step.lots),)
            asks, bids = (change, ()) if side is Side.BUY else ((), change)
            market.apply_delta(delta(number + 1, bids=bids, asks=asks))
            venue.on_book(market, now_ns)
            expected = step.lots - used if step.away <= 0 else 0
            used += expected
        fills = [event.fill for event in venue.drain_events() if isinstance(event, VenueTrade)]
        assert sum(fill.qty_lots for fill in fills) == expected
        assert all(fill.price_ticks == MID and fill.is_maker for fill in fills)


# --- depth and trades come in any order -----------------------------------------------------------------------------

BIDS = (9_996, 9_995, 9_994)


@dataclass(frozen=True)
class Sweep:
    """A seller of `lots` down to `limit_ticks`, whose remainder rests there or goes; told `apart_ms` apart."""

    lots: int
    limit_ticks: int
    is_resting: bool
    cancelled: int
    apart_ms: int


SWEEPS = st.lists(
    st.builds(
        Sweep, st.integers(1, 90), st.sampled_from(BIDS), st.booleans(), st.sampled_from([0, 0, 7]), st.integers(0, 140)
    ),
    min_size=1,
    max_size=4,
)
OURS = st.lists(st.tuples(st.sampled_from(BIDS), st.integers(1, 60)), min_size=1, max_size=3)


def run_sweeps(sweeps: list[Sweep], ours: list[tuple[int, int]], model: QueueModel, is_depth_first: bool) -> int:
    """Return the lots that our bids got of sweeps of which depth and trades were told in one order or the other."""
    venue = PaperVenue(instrument(min_notional="0"), model, LatencyModel(0, 0, 0))
    market = book([(price, 20) for price in BIDS], [(10_010, 50)])
    venue.on_book(market, 0)
    for number, (price_ticks, lots) in enumerate(ours):
        venue.place(intent(f"o{number}", Side.BUY, price_ticks, lots, OrderType.LIMIT_MAKER), 0)
    version, now_ns = 1, 0
    for sweep in sweeps:
        now_ns += 1_000 * MS
        left, trades, levels = sweep.lots, [], []
        for price_ticks in BIDS:
            shown = market.qty_at(Side.BUY, price_ticks)
            taken = min(left, shown) if price_ticks >= sweep.limit_ticks else 0
            left -= taken
            if taken:
                trades.append((price_ticks, taken))
            if taken or sweep.cancelled:
                levels.append((price_ticks, max(0, shown - taken - sweep.cancelled)))
        rest = ((sweep.limit_ticks, left),) if left and sweep.is_resting else ()
        for is_depth in (is_depth_first, not is_depth_first):
            venue.on_timer(now_ns)
            if is_depth:
                version += 1
                gone = tuple((price, 0) for price, _ in levels if rest and price >= sweep.limit_ticks)
                market.apply_delta(delta(version, bids=gone or tuple(levels), asks=rest))
                venue.on_book(market, now_ns)
            else:
                for price_ticks, lots in trades:
                    venue.on_trade(trade(price_ticks, lots, Side.SELL, now_ns), now_ns)
            now_ns += sweep.apart_ms * MS
        now_ns += 1_000 * MS
        venue.on_timer(now_ns)
        version += 1  # the market comes back: 20 lots a level, the seller gone
        market.apply_delta(
            delta(version, bids=tuple((price, 20) for price in BIDS), asks=tuple((p, 0) for p, _ in rest))
        )
        venue.on_book(market, now_ns)
    return sum(event.fill.qty_lots for event in venue.drain_events() if isinstance(event, VenueTrade))


@settings(max_examples=60)
@given(SWEEPS, OURS, st.sampled_from(list(QueueModel)))
def test_fills_do_not_depend_on_whether_depth_or_its_trades_are_told_first(
    sweeps: list[Sweep], ours: list[tuple[int, int]], model: QueueModel
) -> None:
    """Equal for an order alone; several share what comes in another order, and then depth first never gives more."""
    depth_first, trades_first = (run_sweeps(sweeps, ours, model, is_first) for is_first in (True, False))
    assert depth_first == trades_first if len(ours) == 1 else depth_first <= trades_first
