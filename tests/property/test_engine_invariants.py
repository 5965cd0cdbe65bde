"""Whatever happens, however late the executor speaks: one order a slot, no quote without proof, nothing oversold.

Parameters change and a person pauses in the middle of it; whatever is held is on offer again a few seconds later.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine_desk import EAGER, Desk, config, engine
from tests.market_scenes import MS, SYMBOL, S, delta, snapshot, trade
from trading.engine.matching_models import LatencyModel
from trading.engine.messages import ParametersChanged, TimerFired, TradingSwitched
from trading.model.market import BookState, FeedConnected, FeedDisconnected, Side
from trading.model.orders import Purpose

LOW, HIGH = 9_980, 10_020
# "hit": somebody trades at the price of one of our resting orders, behind whatever queues there.
KINDS = ["level", "level", "trade", "hit", "hit", "hit", "timer", "withhold", "deliver", "repeat", "gap", "reconnect"]
KINDS += ["change", "switch"]
CHANGES = (
    ("order_quote", "60"),
    ("order_quote", "15"),
    ("stop_loss_bps", "1"),
    ("stop_loss_bps", "60"),
    ("requote_min_age_ms", "3000"),
    ("risk_max_position_quote", "20"),
    ("risk_order_ops_per_s", "1"),
)
PATIENCE_S = 12
"""After so long nothing may hold an exit back: a cancel that got lost, a pause after a no, the operation budget."""


@dataclass(frozen=True)
class Happening:
    """One thing that happens `after_ms` later."""

    kind: str
    price_ticks: int
    qty_lots: int
    side: Side
    after_ms: int


HAPPENINGS = st.lists(
    st.builds(
        Happening,
        st.sampled_from(KINDS),
        st.integers(LOW, HIGH),
        st.integers(0, 400),
        st.sampled_from(list(Side)),
        st.integers(0, 800),
    ),
    min_size=20,
    max_size=80,
)
LATENCIES = st.sampled_from([LatencyModel(0, 0, 0), LatencyModel(10 * MS, 100 * MS, 200 * MS)])


class Market:
    """A book that is never crossed by itself, with its versions."""

    def __init__(self) -> None:
        self.version = 1
        self.bids = {9_990: 500, 9_985: 500}
        self.asks = {10_010: 500, 10_015: 500}

    def connect(self, desk: Desk, now_ns: int) -> None:
        """Give line, snapshot and the push that proves it."""
        desk.play(FeedConnected(SYMBOL, now_ns), now_ns)
        bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
        desk.play(snapshot(bids, asks, self.version, now_ns), now_ns)
        self.version += 1
        desk.play(delta(self.version, at_ns=now_ns), now_ns)

    def change(self, price_ticks: int, qty_lots: int) -> tuple[dict[str, tuple[tuple[int, int], ...]], int]:
        """Set a level on the side of the middle it lies on."""
        self.version += 1
        levels, name = (self.bids, "bids") if price_ticks < 10_000 else (self.asks, "asks")
        levels[price_ticks] = qty_lots
        if not qty_lots:
            del levels[price_ticks]
        return {name: ((price_ticks, qty_lots),)}, self.version


def check(desk: Desk) -> None:
    """What must hold after every step."""
    seen = desk.engine.view()
    slots = [(order.side, order.purpose) for order in seen.open_orders]
    assert len(slots) == len(set(slots))
    assert seen.position.qty >= 0
    sells = sum(order.open_lots for order in seen.open_orders if order.side is Side.SELL)
    assert sells <= seen.held_lots
    if seen.book_state is not BookState.PROVEN:
        assert all(order.is_cancel_requested for order in seen.open_orders if order.is_resting_type)
    assert len({intent.client_order_id for intent in desk.intents}) == len(desk.intents)
    assert all((intent.side is Side.BUY) == (intent.purpose is Purpose.ENTRY) for intent in desk.intents)


PACE = {"risk_order_ops_per_s": "100", "requote_min_age_ms": "0"}
EAGER_OF = {
    "spread_capture": {**EAGER, **PACE, "loss_cooldown_s": "0", "cooldown_s": "0"},
    "market_maker": {
        **PACE,
        "min_edge_bps": "-100",
        "warmup_s": "0",
        "min_trades_per_minute": "0",
        "max_volatility_bps": "1000",
        "stop_loss_bps": "10",
        "stop_loss_spreads": "0",
        "stop_pause_s": "0",
        "max_spread_bps": "10000",
        "gone_spread_bps": "10000",
        "min_imbalance": "0",
    },
}
STRATEGIES = st.sampled_from(sorted(EAGER_OF))


def play(happenings: list[Happening], latency: LatencyModel, strategy_name: str) -> tuple[Desk, int]:
    """Play everything, checking after each step; at the end everything is delivered. Return the time too."""
    made = config(EAGER_OF[strategy_name], strategy_name, latency=latency)
    desk, market, now_ns = Desk(engine(made)), Market(), S
    market.connect(desk, now_ns)
    for item in happenings:
        now_ns += item.after_ms * MS
        match item.kind:
            case "level":
                sides, version = market.change(item.price_ticks, item.qty_lots) if _is_change(market, item) else ({}, 0)
                if version:
                    desk.play(delta(version, at_ns=now_ns, **sides), now_ns)
            case "trade" if item.qty_lots:
                desk.play(trade(item.price_ticks, item.qty_lots, item.side, now_ns), now_ns)
            case "hit" if item.qty_lots and (resting := desk.engine.paper_orders()):
                order = resting[item.price_ticks % len(resting)]
                desk.play(trade(order.price_ticks, item.qty_lots, order.side.opposite, now_ns), now_ns)
            case "withhold":
                desk.is_withholding = True
            case "deliver":
                desk.is_withholding = False
                desk.deliver(now_ns)
            case "repeat" if desk.journal:
                desk.engine.step(desk.journal[item.qty_lots % len(desk.journal)], now_ns)
            case "gap":
                market.version += 2
                desk.play(delta(market.version, at_ns=now_ns), now_ns)
            case "reconnect":
                desk.play(FeedDisconnected(SYMBOL, "cut", now_ns), now_ns)
                check(desk)
                market.connect(desk, now_ns)
            case "change":
                change = CHANGES[item.qty_lots % len(CHANGES)]
                desk.play(ParametersChanged((change,), now_ns), now_ns)
            case "switch":
                desk.play(TradingSwitched(item.qty_lots % 2 == 0, "test", now_ns), now_ns)
            case _:
                desk.play(TimerFired(now_ns), now_ns)
        check(desk)
    desk.is_withholding = False
    desk.deliver(now_ns)
    check(desk)
    return desk, now_ns


def _is_change(market: Market, item: Happening) -> bool:
    levels = market.bids if item.price_ticks < 10_000 else market.asks
    return levels.get(item.price_ticks, 0) != item.qty_lots


@given(HAPPENINGS, LATENCIES, STRATEGIES)
def test_engine_keeps_its_invariants_whatever_happens(
    happenings: list[Happening], latency: LatencyModel, strategy_name: str
) -> None:
    desk, now_ns = play(happenings, latency, strategy_name)
    for step in range(1, PATIENCE_S * 4):
        if desk.engine.own_orders and all(order.side is Side.SELL for order in desk.engine.own_orders):
            break
        desk.play(TimerFired(now_ns + step * 250 * MS), now_ns + step * 250 * MS)
        check(desk)
    seen = desk.engine.view()
    is_sellable = seen.held_lots >= 2 * config().instrument.min_lots(LOW)
    if is_sellable and seen.book_state is BookState.PROVEN:
        assert any(order.side is Side.SELL for order in seen.open_orders), "held, and on offer nowhere"
    bought = sum(fill.qty_lots for fill in desk.fills if fill.side is Side.BUY)
    sold = sum(fill.qty_lots for fill in desk.fills if fill.side is Side.SELL)
    assert desk.engine.view().held_lots == bought - sold >= 0


@settings(max_examples=settings.default.max_examples // 5)
@given(HAPPENINGS, LATENCIES, STRATEGIES)
def test_engine_given_the_same_input_decides_the_same(
    happenings: list[Happening], latency: LatencyModel, strategy_name: str
) -> None:
    (first, _), (second, _) = (play(happenings, latency, strategy_name) for _ in range(2))
    assert first.intents == second.intents
    assert first.cancels == second.cancels
    assert first.fills == second.fills
