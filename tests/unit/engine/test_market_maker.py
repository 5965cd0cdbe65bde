"""market_maker: both sides, leaning against inventory, within its limits; the model's figures by hand."""

from __future__ import annotations

from decimal import Decimal
from math import e, exp, log, sqrt

import pytest

from tests.market_scenes import MS, SYMBOL, S, book, instrument, trade
from trading.engine.edge import HORIZONS_NS
from trading.engine.parameters import parse
from trading.engine.strategy.glft import quotes
from trading.engine.strategy.market_maker import MarketMaker
from trading.engine.strategy.market_maker_parameters import MarketMakerParameters
from trading.engine.strategy.measures import MarketMeasures
from trading.engine.strategy.order_flow import HALF_LIFE_S, Intensity, OrderFlow
from trading.engine.strategy.protocol import DesiredQuote, Desires, OwnOrder, StrategyView
from trading.model.market import Level, Side
from trading.model.orders import OrderStatus, OrderType, Purpose, Refusal
from trading.model.position import Position

START = 1_000 * S
BID: Level = (9_990, 1_000)
ASK: Level = (10_010, 1_000)  # 20 bps wide around 100.00; a tick is one bp, a lot is worth 0.1
BUY, SELL = Side.BUY, Side.SELL


def warm_measures(bid: Level = BID, ask: Level = ASK, seconds: int = 60, swing_ticks: int = 0) -> MarketMeasures:
    """A market that was watched for a while: takers come from both sides, once a second, and reach the best price."""
    measures = MarketMeasures()
    for step in range(seconds * 10 + 1):
        now_ns = START - (seconds * 10 - step) * 100 * MS
        swing = swing_ticks if step // 10 % 2 else 0
        measures.before_book(now_ns)
        measures.on_book((bid[0] + swing, bid[1]), (ask[0] + swing, ask[1]), now_ns)
        if step % 10 == 0:
            measures.on_trade(trade(ask[0] + swing, 1, BUY), now_ns)
            measures.on_trade(trade(bid[0] + swing, 1, SELL), now_ns)
    return measures


def view(
    held_lots: int = 0,
    avg_ticks: int = 9_995,
    orders: tuple[OwnOrder, ...] = (),
    bid: Level = BID,
    ask: Level = ASK,
    now_ns: int = START,
    measures: MarketMeasures | None = None,
    maker: str = "0",
    allocation: str = "1000",
) -> StrategyView:
    made = instrument(maker=maker)
    qty = made.qty(held_lots)
    return StrategyView(
        now_ns=now_ns,
        instrument=made,
        book=book([bid], [ask]),
        bid=bid,
        ask=ask,
        measures=measures or warm_measures(),
        orders=orders,
        position=Position(SYMBOL, qty, qty * made.price(avg_ticks), Decimal(0), Decimal(0), START),
        held_lots=held_lots,
        allocation_quote=Decimal(allocation),
    )


def strategy(**values: str) -> MarketMaker:
    return MarketMaker(instrument(), parse(MarketMakerParameters, values))


def order(side: Side, price_ticks: int, qty_lots: int, filled_lots: int = 0) -> OwnOrder:
    purpose = Purpose.ENTRY if side is BUY else Purpose.EXIT
    status = OrderStatus.PARTIALLY_FILLED if filled_lots else OrderStatus.OPEN
    return OwnOrder(
        f"mx-{side}", side, OrderType.LIMIT_MAKER, price_ticks, qty_lots, filled_lots, purpose, status, START, 0
    )


def sides(desires: Desires) -> dict[Side, DesiredQuote]:
    return {quote.side: quote for quote in desires.quotes}


# --- the model ------------------------------------------------------------------------------------------------------


def test_model_equals_the_closed_form_of_the_paper_in_its_own_units() -> None:
    gamma_over_k, sigma, base, decay = 0.25, 1.5, 0.8, 0.2
    found = quotes(gamma_over_k, sigma, Intensity(base, decay))
    gamma = gamma_over_k * decay
    c1 = log(1 + gamma / decay) / gamma
    c2 = sqrt(gamma / (2 * base * decay) * (1 + gamma / decay) ** (decay / gamma + 1))
    assert found.half_spread == pytest.approx(c1 + sigma * c2 / 2)
    assert found.skew == pytest.approx(sigma * c2)


def test_model_without_risk_aversion_asks_the_monopolist_margin() -> None:
    found = quotes(1e-3, 0.0, Intensity(1.0, 0.5))
    assert found.half_spread == pytest.approx(2.0, rel=1e-3)  # 1 / k
    assert found.skew == 0.0
    risky = quotes(1e-3, 1.0, Intensity(1.0, 0.5))
    assert risky.skew == pytest.approx(sqrt(1e-3 / 2 * e), rel=1e-3)


def test_reservation_leans_against_inventory_and_is_bounded() -> None:
    found = quotes(0.1, 2.0, Intensity(1.0, 0.2))
    assert found.reservation(2, 100) == pytest.approx(-2 * found.skew)
    assert found.reservation(-2, 100) == pytest.approx(2 * found.skew)
    assert found.reservation(10**6, 7.0) == -7.0


def test_order_flow_learns_rate_and_mean_reach_and_counts_a_sweep_once() -> None:
    flow = OrderFlow()
    assert flow.intensity(1.0, START) is None
    for second in range(600):  # a sweep of two trades a second to 4 bps, and one to 12 bps, alternating
        at_ns, reach = START + second * S, 4 if second % 2 else 12
        flow.on_trade(trade(10_000 + reach // 2, 1, BUY), 10_000.0, at_ns)
        flow.on_trade(trade(10_000 + reach, 1, BUY), 10_000.0, at_ns + MS)
    found = flow.intensity(1.0, START + 600 * S)
    assert found is not None
    assert found.base_per_s == pytest.approx(0.5, rel=0.05)  # one a second, half of it a side
    assert 1 / found.decay_per_bps == pytest.approx(8.0, rel=0.05)
    floored = flow.intensity(20.0, START + 600 * S)
    assert floored is not None
    assert floored.decay_per_bps == pytest.approx(1 / 20)
    later = flow.intensity(1.0, START + int((600 + HALF_LIFE_S) * S))
    assert later is not None
    assert later.base_per_s == pytest.approx(found.base_per_s * exp(-log(2)), rel=0.05)


# --- quotes ---------------------------------------------------------------------------------------------------------


def test_maker_with_inventory_quotes_both_sides_passively_and_keeps_its_terms() -> None:
    desires = strategy().decide(view(300))
    found = sides(desires)
    assert set(found) == {BUY, SELL}
    assert all(quote.type is OrderType.LIMIT_MAKER for quote in desires.quotes)
    assert (found[BUY].purpose, found[SELL].purpose) == (Purpose.ENTRY, Purpose.EXIT)
    assert found[BUY].price_ticks < ASK[0]
    assert found[SELL].price_ticks > BID[0]
    assert found[BUY].edge is not None
    assert found[BUY].edge.net >= 0.2
    assert {"half_spread_bps", "skew_bps", "reservation_bps", "inventory_orders"} <= dict(found[BUY].terms).keys()
    assert desires.machine_state == "QUOTING"


def test_maker_that_holds_nothing_offers_nothing() -> None:
    for held in (0, 5):  # nothing, and less than the minimum order
        assert set(sides(strategy().decide(view(held)))) == {BUY}


def test_maker_never_offers_more_than_it_holds() -> None:
    for held in (10, 11, 60, 199, 200, 201, 250, 900):
        ask = sides(strategy().decide(view(held)))[SELL]
        assert 10 <= ask.qty_lots <= held
        assert held - ask.qty_lots == 0 or held - ask.qty_lots >= 10  # no rest that could not be sold


def test_inventory_moves_both_quotes_down_and_its_absence_up() -> None:
    measures = warm_measures(swing_ticks=4)
    prices = [
        {side: quote.price_ticks for side, quote in sides(strategy(improve_spreads="0.5").decide(seen)).items()}
        for seen in (view(310, measures=measures), view(600, measures=measures), view(790, measures=measures))
    ]
    assert [item[BUY] for item in prices] == sorted((item[BUY] for item in prices), reverse=True)
    assert [item[SELL] for item in prices] == sorted((item[SELL] for item in prices), reverse=True)
    assert prices[0][BUY] > prices[2][BUY]
    assert prices[0][SELL] > prices[2][SELL]


def test_volatility_widens_the_quotes() -> None:
    calm = strategy(improve_spreads="0.5").decide(view(310))
    wild = strategy(improve_spreads="0.5").decide(view(310, measures=warm_measures(swing_ticks=8)))
    assert sides(wild)[BUY].price_ticks < sides(calm)[BUY].price_ticks
    assert sides(wild)[SELL].price_ticks > sides(calm)[SELL].price_ticks


def test_full_inventory_ends_the_bid_and_not_the_ask() -> None:
    desires = strategy().decide(view(1_000))
    assert set(sides(desires)) == {SELL}
    assert desires.refusals == (Refusal.INVENTORY,)


def test_bid_is_cut_to_the_room_that_inventory_and_allocation_leave() -> None:
    nearly_full = sides(strategy().decide(view(900)))[BUY]
    assert 0 < instrument().notional(nearly_full.price_ticks, nearly_full.qty_lots) <= Decimal("10.1")
    small = sides(strategy().decide(view(300, allocation="35")))[BUY]
    assert instrument().notional(small.price_ticks, small.qty_lots) <= Decimal("35") - view(300).position.cost


def test_fees_and_markouts_push_the_bid_away_from_the_mid() -> None:
    free = sides(strategy().decide(view(300)))[BUY]
    dear = sides(strategy().decide(view(300, maker="0.002")))[BUY]
    assert dear.price_ticks <= 10_000 - 20
    assert dear.price_ticks < free.price_ticks
    measures = warm_measures()
    for step in range(60):
        now_ns = START + step * S
        measures.markouts.on_own_fill(BUY, 10_000.0, now_ns)
        measures.markouts.advance(9_970.0, now_ns + HORIZONS_NS[2])
    toxic = sides(strategy().decide(view(300, measures=measures)))[BUY]
    assert toxic.price_ticks < free.price_ticks
    assert toxic.edge is not None
    assert toxic.edge.net >= 0.2


def test_bid_that_would_have_to_be_far_away_is_not_worth_its_operations() -> None:
    desires = strategy(min_edge_bps="500").decide(view(300))
    assert set(sides(desires)) == {SELL}
    assert desires.refusals == (Refusal.EDGE_BELOW_FLOOR,)


@pytest.mark.parametrize(
    ("values", "changes", "reason"),
    [
        ({"max_spread_bps": "19"}, {}, Refusal.SPREAD_TOO_WIDE),
        ({"gone_spread_bps": "1", "gone_spread_ratio": "1"}, {"ask": (10_030, 1_000)}, Refusal.MAKER_GONE),
        ({"min_imbalance": "0.4"}, {"bid": (9_990, 100)}, Refusal.IMBALANCE),
        ({"min_trades_per_minute": "9999"}, {}, Refusal.TRADE_RATE),
        ({"warmup_s": "600"}, {}, Refusal.NOT_READY),
    ],
)
def test_bid_is_refused_with_its_reason_while_the_ask_stays(
    values: dict[str, str], changes: dict[str, Level], reason: Refusal
) -> None:
    desires = strategy(**values).decide(view(300)._replace(**changes))  # type: ignore[arg-type]
    assert set(sides(desires)) == {SELL}
    assert desires.refusals == (reason,)


def test_volatile_market_gets_no_bid() -> None:
    desires = strategy(max_volatility_bps="3").decide(view(300, measures=warm_measures(swing_ticks=8)))
    assert Refusal.VOLATILITY in desires.refusals
    assert set(sides(desires)) == {SELL}


def test_market_without_takers_gets_no_bid_and_is_offered_what_is_held() -> None:
    measures = MarketMeasures()
    for step in range(100):
        measures.on_book(BID, ASK, START - (100 - step) * 100 * MS)
    desires = strategy().decide(view(300, measures=measures))
    assert set(sides(desires)) == {SELL}
    assert sides(desires)[SELL].price_ticks <= ASK[0]
    assert desires.refusals.count(Refusal.NOT_READY) == 1
    without = strategy().decide(view(measures=measures))
    assert (without.quotes, without.machine_state) == ((), "WAITING")


# --- giving up and re-quoting ---------------------------------------------------------------------------------------


def test_stop_sells_everything_by_a_bounded_taker_and_pauses_the_bids() -> None:
    machine = strategy(stop_loss_bps="50", stop_loss_spreads="0", stop_pause_s="10")
    stopped = machine.decide(view(300, avg_ticks=10_045))  # the bid is 55 bps below cost
    (quote,) = stopped.quotes
    assert (quote.type, quote.qty_lots, quote.is_urgent, quote.reason) == (OrderType.IOC, 300, True, "stop_loss")
    assert quote.price_ticks == 9_971  # 9970.02, rounded up
    assert stopped.machine_state == "STOPPING"
    still = machine.decide(view(100, avg_ticks=9_995, now_ns=START + S))
    assert [item.reason for item in still.quotes] == ["stop_loss"]  # what was begun is ended
    flat = machine.decide(view(0, now_ns=START + 2 * S))
    assert (flat.quotes, flat.machine_state) == ((), "COOLDOWN")
    assert Refusal.COOLDOWN in flat.refusals
    assert set(sides(machine.decide(view(0, now_ns=START + 12 * S)))) == {BUY}


def test_partly_filled_bid_keeps_its_rest_until_little_is_left() -> None:
    machine = strategy()
    half = sides(machine.decide(view(300, orders=(order(BUY, 9_990, 200, 80),))))[BUY]
    assert half.qty_lots == 120
    little = sides(machine.decide(view(300, orders=(order(BUY, 9_990, 200, 150),))))[BUY]
    assert little.qty_lots > 150


def test_working_bid_that_became_too_generous_is_taken_back_at_once() -> None:
    machine = strategy()
    price = sides(machine.decide(view(300)))[BUY].price_ticks
    near = machine.decide(view(300, orders=(order(BUY, price + 3, 200),)))
    assert BUY in sides(near)
    stale = machine.decide(view(300, orders=(order(BUY, price + 9, 200),)))
    assert BUY not in sides(stale)
    timid = machine.decide(view(300, orders=(order(BUY, price - 30, 200),)))
    assert BUY in sides(timid)


def test_rest_of_an_ask_below_the_minimum_stays_where_it_is() -> None:
    ask = sides(strategy().decide(view(5, orders=(order(SELL, 10_030, 200, 195),))))[SELL]
    assert (ask.price_ticks, ask.qty_lots) == (10_030, 5)


def test_stop_is_not_tried_with_less_than_a_bounded_taker_may_sell() -> None:
    machine = strategy(stop_loss_bps="50", stop_loss_spreads="0")
    near, near_ask = (10_000, 1_000), (10_020, 1_000)
    too_few = machine.decide(view(10, 10_200, bid=near, ask=near_ask))  # 1.0 at the bid, less at the bound
    assert too_few.machine_state == "QUOTING"
    assert machine.decide(view(11, 10_200, bid=near, ask=near_ask)).machine_state == "STOPPING"


def test_inventory_is_offered_before_the_order_flow_is_known_and_nothing_is_bought() -> None:
    measures = MarketMeasures()
    measures.on_book(BID, ASK, START)
    desires = strategy().decide(view(200, measures=measures))
    (ask,) = desires.quotes
    assert (ask.side, ask.type, ask.qty_lots) == (SELL, OrderType.LIMIT_MAKER, 200)
    assert BID[0] < ask.price_ticks
    assert Refusal.NOT_READY in desires.refusals
    assert strategy().decide(view(measures=measures)).quotes == ()
