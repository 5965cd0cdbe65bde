"""Symbol risk that holds for every strategy: market conditions, losses in a row, position and order limits."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from tests.engine_desk import Desk, config, engine
from tests.market_scenes import MS, SYMBOL, S, delta, instrument, snapshot, trade
from trading.engine.messages import TimerFired, TradingSwitched
from trading.engine.risk import SymbolRiskLimits, SymbolStanding, judge
from trading.engine.risk_conditions import EntryConditions
from trading.engine.strategy import registry
from trading.engine.strategy.measures import MarketMeasures
from trading.engine.strategy.protocol import DesiredQuote, Desires, OwnOrder, Requote, StrategyView
from trading.engine.strategy.spread_capture_parameters import SpreadCaptureParameters
from trading.model.market import FeedConnected, Level, Side
from trading.model.orders import OrderStatus, OrderType, Purpose, Refusal
from trading.model.position import Position, TripRecord

BID: Level = (9_990, 1_000)
ASK: Level = (10_010, 1_000)  # 20 bps
ENTRY = DesiredQuote(Side.BUY, Purpose.ENTRY, OrderType.LIMIT_MAKER, 9_990, 250, "bid", Requote(0, 1))


class Careless:
    """Wants to buy whatever happens, and to sell what it holds: symbol risk alone holds it back."""

    name: ClassVar[str] = "careless_for_tests"
    summary: ClassVar[str] = "buys"
    parameters_class: ClassVar[type] = SpreadCaptureParameters

    def __init__(self, instrument: Any, parameters: Any) -> None:
        self.parameters = parameters

    def decide(self, view: StrategyView) -> Desires:
        quotes = [ENTRY._replace(price_ticks=view.bid[0])]
        if view.held_lots >= view.instrument.min_lots(view.ask[0]):
            sale = ENTRY._replace(side=Side.SELL, purpose=Purpose.EXIT, price_ticks=view.ask[0])
            quotes.append(sale._replace(qty_lots=view.held_lots, reason="ask"))
        return Desires(tuple(quotes), (), "BUYING")


registry.register(Careless.name, Careless)


def measures(volatility_ticks: int = 0) -> MarketMeasures:
    made = MarketMeasures()
    for step in range(300):
        shift = volatility_ticks if step // 10 % 2 else 0
        made.on_book((BID[0] + shift, 1), (ASK[0] + shift, 1), S + step * 100 * MS)
    return made


@pytest.mark.parametrize(
    ("limits", "ask", "reasons"),
    [
        ({}, ASK, ()),
        ({"risk_min_spread_bps": 21.0}, ASK, (Refusal.SPREAD_TOO_TIGHT,)),
        ({"risk_max_spread_bps": 19.0}, ASK, (Refusal.SPREAD_TOO_WIDE,)),
        ({"risk_gone_spread_ratio": 2.0}, (10_050, 5), (Refusal.MAKER_GONE,)),
        ({"risk_gone_spread_ratio": 4.0}, (10_050, 5), ()),
        ({"risk_window_start_min": 1, "risk_window_end_min": 2}, ASK, (Refusal.SCHEDULE,)),
        ({"risk_window_start_min": 1439, "risk_window_end_min": 5}, ASK, ()),
    ],
)
def test_market_conditions_refuse_with_their_reason(
    limits: dict[str, Any], ask: Level, reasons: tuple[Refusal, ...]
) -> None:
    conditions = EntryConditions(TripRecord(), SymbolRiskLimits())
    assert conditions.refusals(SymbolRiskLimits(**limits), measures(), BID, ask, 40 * S) == reasons


def test_volatility_above_its_bound_refuses() -> None:
    conditions, wild = (
        EntryConditions(TripRecord(), SymbolRiskLimits()),
        measures(volatility_ticks=30),
    )
    assert wild.volatility_bps > 10
    assert conditions.refusals(SymbolRiskLimits(risk_max_volatility_bps=10), wild, BID, ASK, 40 * S) == (
        Refusal.VOLATILITY,
    )


def test_losses_in_a_row_pause_entries_and_a_gain_between_them_does_not() -> None:
    limits, made = SymbolRiskLimits(risk_loss_streak=2, risk_streak_pause_s=100, risk_cooldown_s=1), instrument()
    flat = Position(SYMBOL)

    def trips(*gains: int) -> tuple[Refusal, ...]:
        conditions, net = EntryConditions(TripRecord(), limits), Decimal(0)
        for number, gain in enumerate(gains, start=1):
            net += gain
            conditions.on_sale(9_990)
            conditions.on_position(replace(flat, realized_pnl=net), False, made, limits, number * 10 * S)
        return conditions.refusals(limits, measures(), BID, ASK, (len(gains) * 10 + 5) * S)

    assert trips(-1, -1) == (Refusal.LOSS_STREAK,)
    assert trips(-1, 1, -1) == ()
    assert trips(-1) == ()


@pytest.mark.parametrize("lots", [0, 3], ids=["less than a lot", "lots that cannot be sold"])
def test_round_trip_counts_net_of_fees_and_dust_is_no_position(lots: int) -> None:
    limits, made = SymbolRiskLimits(risk_loss_streak=1, risk_streak_pause_s=100), instrument()
    conditions = EntryConditions(TripRecord(), SymbolRiskLimits())
    left = made.qty(lots) + Decimal("0.0009")
    conditions.on_position(Position(SYMBOL, qty=left), False, made, limits, S)  # bought in part: no trip has ended
    assert conditions.refusals(limits, measures(), BID, ASK, S) == ()
    dust = Position(SYMBOL, qty=left, realized_pnl=Decimal("0.01"), fees=Decimal("0.02"))
    conditions.on_sale(9_990)
    conditions.on_position(dust, bool(lots), made, limits, 2 * S)  # gained 0.01, paid 0.02
    if lots:
        assert conditions.refusals(limits, measures(), BID, ASK, 2 * S) == (), "the rest of it is still offered"
        conditions.on_position(dust, False, made, limits, 2 * S)
    assert conditions.refusals(limits, measures(), BID, ASK, 3 * S) == (Refusal.LOSS_STREAK,)
    conditions.forget_pause()
    conditions.on_position(dust, False, made, limits, 4 * S)
    assert conditions.refusals(limits, measures(), BID, ASK, 4 * S) == (), "a trip is judged once"


@pytest.mark.parametrize(
    ("losses", "until_s", "reason"),
    [
        (0, 15, Refusal.COOLDOWN),
        (1, 15, Refusal.COOLDOWN),
        (2, 110, Refusal.LOSS_STREAK),
        (3, 15, Refusal.COOLDOWN),
        (4, 110, Refusal.LOSS_STREAK),
    ],
)
def test_pause_after_losses_outlives_the_process(losses: int, until_s: int, reason: Refusal) -> None:
    values = {"risk_loss_streak": 2, "risk_streak_pause_s": 100.0, "risk_cooldown_s": 5.0}
    limits = SymbolRiskLimits(**values)  # type: ignore[arg-type]
    restarted = EntryConditions(TripRecord(losses, 10 * S), limits)
    assert restarted.refusals(limits, measures(), BID, ASK, until_s * S - 1) == (reason,)
    assert restarted.refusals(limits, measures(), BID, ASK, until_s * S) == ()


@pytest.mark.parametrize(("losses", "name"), [(0, "risk_cooldown_s"), (2, "risk_streak_pause_s")])
def test_pause_is_as_long_as_the_limits_say_now(losses: int, name: str) -> None:
    limits = SymbolRiskLimits(risk_loss_streak=2, risk_streak_pause_s=100, risk_cooldown_s=100)
    conditions = EntryConditions(TripRecord(losses, 10 * S), limits)

    def refused(seconds: float) -> int:
        changed = replace(limits, **{name: seconds})  # type: ignore[arg-type]
        return len(conditions.refusals(changed, measures(), BID, ASK, 15 * S))

    assert [refused(seconds) for seconds in (100.0, 6.0, 5.0, 100.0)] == [1, 1, 0, 0]


def test_loss_before_a_restart_counts_into_the_streak_after_it() -> None:
    limits, made = SymbolRiskLimits(risk_loss_streak=2, risk_streak_pause_s=100), instrument()
    # 0.5 lost by the running round trip, which began at 2; what it gains after the restart does not make up for it.
    restarted = EntryConditions(TripRecord(1, 10 * S, Decimal(2)), limits)
    restarted.on_sale(9_990)
    restarted.on_position(Position(SYMBOL, realized_pnl=Decimal("1.6")), False, made, limits, 20 * S)
    assert restarted.refusals(limits, measures(), BID, ASK, 30 * S) == (Refusal.LOSS_STREAK,)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({}, None),
        ({"risk_max_position_quote": Decimal(99)}, Refusal.INVENTORY),  # 74.925 held and 24.975 wanted
        ({"risk_max_open_orders": 1}, Refusal.OPEN_ORDERS),
    ],
)
def test_position_and_order_limits_refuse_an_entry_and_never_an_exit(
    limits: dict[str, Any], reason: Refusal | None
) -> None:
    made = instrument()
    sale = OwnOrder("x", Side.SELL, OrderType.LIMIT_MAKER, 10_010, 750, 0, Purpose.EXIT, OrderStatus.OPEN, 0, 0)
    position = Position(SYMBOL, made.qty(750), made.notional(9_990, 750))
    standing = SymbolStanding(made, BID, ASK, position, 750, (sale,), Decimal(1000))
    assert judge(ENTRY, standing, SymbolRiskLimits(**limits)) is reason
    out = ENTRY._replace(side=Side.SELL, purpose=Purpose.EXIT, price_ticks=9_900)
    assert judge(out, standing, SymbolRiskLimits(**limits)) is None


def test_every_strategy_is_held_to_them_entries_are_cancelled_exits_stay_and_refusals_are_counted() -> None:
    values = {"risk_loss_streak": "1", "risk_streak_pause_s": "60", "risk_max_volatility_bps": "10000"}
    values |= {"risk_order_ops_per_s": "100", "risk_order_ops_burst": "100"}
    desk = Desk(engine(config(values, Careless.name)))
    desk.play(FeedConnected(SYMBOL, S), S)
    desk.play(snapshot([BID], [ASK], version=1, at_ns=S), S)
    desk.play(delta(2, at_ns=S), S)
    (entry,) = desk.intents
    desk.play(delta(3, asks=[(10_010, 0), (10_400, 50)], at_ns=2 * S), 2 * S)  # 400 bps wide
    assert desk.cancels == [entry.client_order_id]
    assert {"spread_too_wide", "market_maker_gone"} <= set(desk.engine.view().current_refusals)
    desk.play(delta(4, asks=[(10_010, 1_000)], at_ns=3 * S), 3 * S)
    bought = desk.intents[-1]
    desk.play(trade(bought.price_ticks, 1_250, Side.SELL, 4 * S), 4 * S)
    assert desk.engine.view().held_lots == 250
    desk.play(delta(5, bids=[(9_990, 0), (9_900, 9)], at_ns=5 * S), 5 * S)
    desk.play(delta(6, asks=[(10_010, 0), (9_920, 9)], at_ns=6 * S), 6 * S)
    desk.play(TimerFired(6 * S), 6 * S)
    sale = next(order for order in desk.engine.view().open_orders if order.side is Side.SELL)
    assert sale.price_ticks == 9_920  # below cost
    desk.play(trade(sale.price_ticks, 1_250, Side.BUY, 7 * S), 7 * S)
    assert desk.engine.view().held_lots == 0
    assert "loss_streak" in desk.engine.view().current_refusals
    assert not any(order.side is Side.BUY for order in desk.engine.view().open_orders)
    assert dict(desk.engine.view().refusals)["loss_streak"] >= 1
    desk.play(TradingSwitched(True, "go on", 8 * S), 8 * S)
    assert any(order.side is Side.BUY for order in desk.engine.view().open_orders)
