"""spread_capture: when it enters, how it leaves, and in which order of priority."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.market_scenes import MS, SYMBOL, S, book, instrument, trade
from trading.engine.edge import HORIZONS_NS
from trading.engine.parameters import parse
from trading.engine.strategy.measures import MarketMeasures
from trading.engine.strategy.protocol import DesiredQuote, Desires, OwnOrder, StrategyView
from trading.engine.strategy.spread_capture import SpreadCapture
from trading.engine.strategy.spread_capture_parameters import SpreadCaptureParameters
from trading.model.market import Level, Side
from trading.model.orders import OrderStatus, OrderType, Purpose, Refusal
from trading.model.position import Position

START = 1_000 * S
BID: Level = (9_990, 1_000)
ASK: Level = (10_010, 1_000)  # 20 bps wide around 100.00; a tick is one bp


def warm_measures(bid: Level = BID, ask: Level = ASK, seconds: int = 5) -> MarketMeasures:
    """A calm market that was watched for a while and trades."""
    measures = MarketMeasures()
    for step in range(seconds * 10 + 1):
        now_ns = START - (seconds * 10 - step) * 100 * MS
        measures.before_book(now_ns)
        measures.on_book(bid, ask, now_ns)
        measures.on_trade(trade(bid[0], 1, Side.BUY), now_ns)
    return measures


def view(
    held_lots: int = 0,
    avg_ticks: int = 9_991,
    orders: tuple[OwnOrder, ...] = (),
    bid: Level = BID,
    ask: Level = ASK,
    now_ns: int = START,
    bought_ns: int = START,
    measures: MarketMeasures | None = None,
    realized: str = "0",
) -> StrategyView:
    made = instrument()
    qty = made.qty(held_lots)
    return StrategyView(
        now_ns=now_ns,
        instrument=made,
        book=book([bid, (bid[0] - 1, 5_000)], [ask]),
        bid=bid,
        ask=ask,
        measures=measures or warm_measures(),
        orders=orders,
        position=Position(SYMBOL, qty, qty * made.price(avg_ticks), Decimal(realized), Decimal(0), bought_ns),
        held_lots=held_lots,
        allocation_quote=Decimal(1000),
    )


def strategy(**values: str) -> SpreadCapture:
    return SpreadCapture(instrument(), parse(SpreadCaptureParameters, values))


def order(side: Side, price_ticks: int, qty_lots: int, filled_lots: int = 0) -> OwnOrder:
    purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
    status = OrderStatus.PARTIALLY_FILLED if filled_lots else OrderStatus.OPEN
    return OwnOrder(
        "mx-0-1-1", side, OrderType.LIMIT_MAKER, price_ticks, qty_lots, filled_lots, purpose, status, START, 0
    )


def only(desires: Desires) -> DesiredQuote:
    (quote,) = desires.quotes
    return quote


# --- entries --------------------------------------------------------------------------------------------------------


def test_entry_in_a_wide_calm_market_is_passive_inside_the_bid_and_carries_its_edge() -> None:
    desires = strategy().decide(view())
    quote = only(desires)
    assert (quote.side, quote.type, quote.purpose) == (Side.BUY, OrderType.LIMIT_MAKER, Purpose.ENTRY)
    assert quote.price_ticks == BID[0] + 1
    assert quote.qty_lots == int(Decimal(25) / Decimal("99.91") / Decimal("0.001"))
    assert quote.edge is not None
    assert quote.edge.net >= 0.5
    assert desires.machine_state == "ENTERING"


def test_entry_joins_the_bid_when_only_that_clears_the_floor() -> None:
    at_bid = strategy(entry_improve_ticks="0").decide(view())
    inside = strategy().decide(view())
    floors = (only(inside).edge, only(at_bid).edge)
    assert floors[0] is not None
    assert floors[1] is not None
    between = (floors[0].net + floors[1].net) / 2
    assert only(strategy(min_edge_bps=str(between)).decide(view())).price_ticks == BID[0]


def test_entry_leaves_no_room_to_improve_in_a_one_tick_market() -> None:
    tight = strategy(min_spread_bps="0", min_edge_bps="-10")
    assert only(tight.decide(view(bid=(9_990, 10), ask=(9_991, 10)))).price_ticks == 9_990


@pytest.mark.parametrize(
    ("values", "changes", "reason"),
    [
        ({"min_spread_bps": "21"}, {}, Refusal.SPREAD_TOO_TIGHT),
        ({"max_spread_bps": "19"}, {}, Refusal.SPREAD_TOO_WIDE),
        ({"min_edge_bps": "25"}, {}, Refusal.EDGE_BELOW_FLOOR),
        ({"min_imbalance": "0.4"}, {"bid": (9_990, 100)}, Refusal.IMBALANCE),
        ({"max_imbalance": "0.6"}, {"ask": (10_010, 100)}, Refusal.IMBALANCE),
        ({"min_depth_quote": "10000"}, {}, Refusal.DEPTH_TOO_THIN),
        ({"min_trades_per_minute": "9999"}, {}, Refusal.TRADE_RATE),
        ({"warmup_s": "60"}, {}, Refusal.NOT_READY),
        ({"window_start_min": "0", "window_end_min": "16"}, {}, Refusal.SCHEDULE),
        ({"order_quote": "1"}, {}, Refusal.MIN_NOTIONAL),
    ],
)
def test_entry_filter_refuses_with_its_reason(
    values: dict[str, str], changes: dict[str, Level], reason: Refusal
) -> None:
    desires = strategy(**values).decide(view()._replace(**changes))  # type: ignore[arg-type]
    assert desires.quotes == ()
    assert desires.refusals == (reason,)


def test_entry_into_a_volatile_market_is_refused() -> None:
    measures = warm_measures()
    for step in range(1, 60):
        mid = 9_900 if step % 2 else 10_100
        measures.on_book((mid - 10, 1), (mid + 10, 1), START + step * S)
    desires = strategy().decide(view(measures=measures, now_ns=START + 60 * S))
    assert Refusal.VOLATILITY in desires.refusals


def test_entry_after_bad_markouts_is_refused_by_the_edge() -> None:
    measures = warm_measures()
    for step in range(60):
        now_ns = START + step * 10 * S
        measures.markouts.on_own_fill(Side.BUY, 10_000.0, now_ns)
        measures.markouts.advance(9_980.0, now_ns + HORIZONS_NS[2])
    assert strategy().decide(view()).quotes
    assert strategy().decide(view(measures=measures)).refusals == (Refusal.EDGE_BELOW_FLOOR,)


def test_resting_entry_stays_within_the_hysteresis_of_the_floor() -> None:
    edge = only(strategy(entry_improve_ticks="0").decide(view())).edge
    assert edge is not None
    values = {"entry_improve_ticks": "0", "min_edge_bps": str(edge.net + 0.2), "edge_hysteresis_bps": "0.3"}
    assert strategy(**values).decide(view()).quotes == ()
    resting = order(Side.BUY, 9_990, 250)
    assert only(strategy(**values).decide(view(orders=(resting,)))).qty_lots == 250


@pytest.mark.parametrize(("order_quote", "lots"), [("25", 250), ("40", 250), ("15", 150), ("10", 100), ("0.5", None)])
def test_resting_entry_larger_than_what_is_wanted_now_is_cut_and_any_other_stays(
    order_quote: str, lots: int | None
) -> None:
    machine, resting = strategy(), order(Side.BUY, 9_991, 250)
    assert only(machine.decide(view(orders=(resting,)))).qty_lots == 250
    machine.parameters = parse(SpreadCaptureParameters, {"order_quote": order_quote})
    desires = machine.decide(view(orders=(resting,)))
    assert [quote.qty_lots for quote in desires.quotes] == ([lots] if lots else [])
    assert desires.refusals == (() if lots else (Refusal.MIN_NOTIONAL,))


# --- exits ----------------------------------------------------------------------------------------------------------


def test_position_is_offered_inside_the_ask_above_cost_and_fees() -> None:
    quote = only(strategy().decide(view(held_lots=250)))
    assert (quote.side, quote.type, quote.purpose) == (Side.SELL, OrderType.LIMIT_MAKER, Purpose.EXIT)
    assert (quote.price_ticks, quote.qty_lots, quote.reason) == (ASK[0] - 1, 250, "passive")


def test_patient_exit_asks_cost_plus_profit_and_an_impatient_one_the_ask() -> None:
    falling = {"bid": (9_985, 1_000), "ask": (9_991, 1_000)}
    patient = strategy(take_profit_bps="5").decide(view(250, 9_991, now_ns=START + S, **falling))  # type: ignore[arg-type]
    assert only(patient).price_ticks == 9_996
    late = strategy(take_profit_bps="5").decide(view(250, 9_991, now_ns=START + 7 * S, **falling))  # type: ignore[arg-type]
    assert only(late).price_ticks == 9_990


@pytest.mark.parametrize(
    ("bid_ticks", "spread", "age_s", "reason"),
    [
        (9_991, 20, 1.0, "passive"),
        (9_991, 200, 1.0, "market_maker_gone"),
        (9_938, 200, 1.0, "market_maker_gone"),  # before the hard stop
        (9_938, 20, 0.1, "hard_stop"),  # 53 bps below cost, although just bought
        (9_965, 20, 0.1, "passive"),  # a stop loss waits for the least hold
        (9_965, 20, 1.0, "stop_loss"),
        (9_965, 20, 50.0, "stop_loss"),  # before the timeout
        (9_991, 20, 46.0, "timeout"),
        (9_993, 20, 46.0, "take_profit"),  # before the timeout
    ],
)
def test_exit_reason_is_the_first_in_order_of_priority(bid_ticks: int, spread: int, age_s: float, reason: str) -> None:
    bid, ask = (bid_ticks, 1_000), (bid_ticks + spread, 1_000)
    seen = view(250, 9_991, bid=bid, ask=ask, now_ns=START + int(age_s * S))
    quote = only(strategy(take_profit_bps="2").decide(seen))
    assert quote.reason == reason
    is_taker = reason not in ("passive", "take_profit")
    assert (quote.type is OrderType.IOC, quote.is_urgent) == (is_taker, is_taker)


def test_taker_exit_is_bounded_below_the_bid() -> None:
    quote = only(strategy(taker_bound_bps="20").decide(view(250, 9_991, now_ns=START + 46 * S)))
    assert quote.price_ticks == 9_971  # 9970.02, rounded up


def test_window_close_sells_at_once() -> None:
    inside = strategy(window_start_min="0", window_end_min="1000")
    seconds_of_minute_1000 = 1_000 * 60
    seen = view(250, 9_991, now_ns=seconds_of_minute_1000 * S, bought_ns=seconds_of_minute_1000 * S - S)
    assert only(inside.decide(seen)).reason == "window_close"


def test_trailing_exit_fires_on_the_fall_from_the_best_bid_since_entry() -> None:
    running = strategy(trailing_start_bps="12", trailing_gap_bps="5", take_profit_bps="100")
    reasons = []
    for second, bid_ticks in enumerate((9_991, 10_004, 10_010, 10_006, 10_004), start=1):
        seen = view(250, 9_991, bid=(bid_ticks, 100), ask=(bid_ticks + 20, 100), now_ns=START + second * S)
        reasons.append(only(running.decide(seen)).reason)
    assert reasons == ["passive", "passive", "passive", "passive", "trailing"]


def test_hard_stop_widens_with_the_normal_spread() -> None:
    bid, ask = (9_930, 1_000), (10_030, 1_000)  # 100 bps wide is normal here
    measures = warm_measures(bid, ask)
    seen = view(250, 9_991, bid=bid, ask=ask, now_ns=START + S, measures=measures)
    assert only(strategy().decide(seen)).reason == "passive"


# --- the cycle ------------------------------------------------------------------------------------------------------


def test_partly_filled_entry_lingers_and_then_makes_way_for_the_exit() -> None:
    machine = strategy(entry_linger_s="1.5")
    resting = order(Side.BUY, 9_991, 250, filled_lots=100)
    first = machine.decide(view(100, orders=(resting,), now_ns=START + S))
    assert (only(first).side, only(first).qty_lots, first.machine_state) == (Side.BUY, 150, "ENTERING")
    later = machine.decide(view(100, orders=(resting,), now_ns=START + 2 * S))
    assert (only(later).side, only(later).qty_lots, later.machine_state) == (Side.SELL, 100, "LONG")


def test_rest_of_an_exit_below_the_minimum_stays_where_it_is() -> None:
    rest = order(Side.SELL, 10_020, 250, filled_lots=245)
    quote = only(strategy().decide(view(5, orders=(rest,), now_ns=START + S)))
    assert (quote.price_ticks, quote.qty_lots) == (10_020, 5)


def test_dust_is_no_position_and_is_sold_with_the_next_one() -> None:
    machine = strategy(min_edge_bps="25")
    assert machine.decide(view(5)).machine_state == "DUST"
    assert only(machine.decide(view(255))).qty_lots == 255


def test_what_a_bounded_taker_could_not_sell_is_dust() -> None:
    # Minimum 1: ten lots are worth it at 10_000, not at a taker's bound of 20 bps below; eleven are at both.
    late = START + 120 * S  # after the timeout
    reasons = []
    for held in (10, 11):
        machine = strategy(min_edge_bps="25")
        machine.decide(view(held, 10_000, bid=(10_000, 1_000), ask=(10_020, 1_000)))
        desires = machine.decide(view(held, 10_000, bid=(10_000, 1_000), ask=(10_020, 1_000), now_ns=late))
        reasons.append((desires.machine_state, [quote.reason for quote in desires.quotes]))
    assert reasons == [("DUST", []), ("LONG", ["timeout"])]


def test_losses_in_a_row_are_not_forgotten_by_a_value_that_flickers_about_the_minimum() -> None:
    machine = strategy(loss_streak="2", loss_cooldown_s="0", streak_pause_s="100")
    low, low_ask = (9_000, 1_000), (9_018, 1_000)
    machine.decide(view(250))
    machine.decide(view(realized="-1"))
    machine.decide(view(11, realized="-1"))
    flicker = machine.decide(view(11, bid=low, ask=low_ask, realized="-1"))  # 0.99 quote units: nothing was sold
    assert all(quote.purpose is Purpose.ENTRY for quote in flicker.quotes)
    machine.decide(view(11, realized="-1"))
    assert machine.decide(view(realized="-2")).refusals == (Refusal.LOSS_STREAK,)


def test_cooldown_after_a_round_trip_is_longer_after_a_loss() -> None:
    for realized, pause_s in (("0.05", 1.0), ("-0.05", 15.0)):
        machine = strategy()
        machine.decide(view())
        machine.decide(view(250))
        end = START + 10 * S
        ended = machine.decide(view(now_ns=end, realized=realized))
        assert (ended.refusals, ended.machine_state) == ((Refusal.COOLDOWN,), "COOLDOWN")
        before, after = end + int(pause_s * S) - MS, end + int(pause_s * S)
        assert machine.decide(view(now_ns=before, realized=realized)).refusals == (Refusal.COOLDOWN,)
        assert machine.decide(view(now_ns=after, realized=realized)).quotes


def test_pause_that_is_made_shorter_or_longer_while_it_runs_is_so_at_once_and_one_that_is_over_stays_over() -> None:
    machine = strategy()
    machine.decide(view())
    machine.decide(view(250))
    machine.decide(view(now_ns=START, realized="-0.05"))
    later = view(now_ns=START + 5 * S, realized="-0.05")
    assert machine.decide(later).refusals == (Refusal.COOLDOWN,)
    for seconds, refusals in ((6.0, (Refusal.COOLDOWN,)), (4.0, ()), (60.0, ())):
        machine.parameters = replace(machine.parameters, loss_cooldown_s=seconds)
        assert machine.decide(later).refusals == refusals, seconds


def test_losses_in_a_row_start_the_long_pause() -> None:
    machine = strategy(loss_streak="2", loss_cooldown_s="0", streak_pause_s="100")
    reasons = []
    for trip in (1, 2):
        machine.decide(view(250, realized=str(-(trip - 1))))
        reasons.append(machine.decide(view(realized=str(-trip))).refusals)
    assert reasons == [(), (Refusal.LOSS_STREAK,)]


def test_restart_with_a_position_goes_on_with_its_exit_and_its_age() -> None:
    quote = only(strategy().decide(view(250, now_ns=START + 46 * S, bought_ns=START)))
    assert quote.reason == "timeout"
