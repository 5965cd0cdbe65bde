"""What symbol risk refuses, and how refusals are counted."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.market_scenes import MS, SYMBOL, S, instrument
from trading.engine.risk import RefusalCount, SymbolRiskLimits, SymbolStanding, judge, unproven_refusal
from trading.engine.strategy.protocol import DesiredQuote, OwnOrder, Requote
from trading.model.market import BookState, Side
from trading.model.orders import OrderStatus, OrderType, Purpose, Refusal
from trading.model.position import Position

LIMITS = SymbolRiskLimits()
ENTRY = DesiredQuote(Side.BUY, Purpose.ENTRY, OrderType.LIMIT_MAKER, 9_990, 250, "entry", Requote(0, 1))
EXIT = DesiredQuote(Side.SELL, Purpose.EXIT, OrderType.IOC, 9_900, 250, "hard_stop", Requote(0, 1), is_urgent=True)


def standing(held_lots: int = 0, orders: tuple[OwnOrder, ...] = (), allocation: str = "1000") -> SymbolStanding:
    made = instrument()
    position = Position(SYMBOL, made.qty(held_lots), made.notional(9_990, held_lots))
    return SymbolStanding(made, (9_990, 10), (10_010, 10), position, held_lots, orders, Decimal(allocation))


def order(quote: DesiredQuote, status: OrderStatus = OrderStatus.OPEN) -> OwnOrder:
    return OwnOrder("x", quote.side, quote.type, quote.price_ticks, quote.qty_lots, 0, quote.purpose, status, 0, 0)


def test_sound_quotes_are_approved() -> None:
    assert judge(ENTRY, standing(), LIMITS) is None
    assert judge(EXIT, standing(250), LIMITS) is None


@pytest.mark.parametrize(
    ("quote", "seen", "reason"),
    [
        (ENTRY._replace(qty_lots=10), standing(), Refusal.MIN_NOTIONAL),
        (ENTRY._replace(price_ticks=0), standing(), Refusal.MIN_NOTIONAL),
        (ENTRY._replace(qty_lots=2_510), standing(), Refusal.MAX_NOTIONAL),
        (ENTRY._replace(price_ticks=9_790), standing(), Refusal.PRICE_COLLAR),
        (ENTRY, standing(allocation="24"), Refusal.ALLOCATION),
        (ENTRY, standing(held_lots=9_800), Refusal.ALLOCATION),
        (ENTRY, standing(orders=(order(EXIT._replace(price_ticks=9_990)),)), Refusal.SELF_TRADE),
        (EXIT, standing(249), Refusal.NOTHING_TO_SELL),
        (EXIT, standing(250, (order(EXIT, OrderStatus.UNKNOWN),)), Refusal.EXIT_UNKNOWN),
        (EXIT._replace(side=Side.BUY), standing(250), Refusal.NOTHING_TO_SELL),
        (ENTRY._replace(side=Side.SELL, price_ticks=10_010), standing(100), Refusal.NOTHING_TO_SELL),
    ],
)
def test_quote_is_refused_with_its_reason(quote: DesiredQuote, seen: SymbolStanding, reason: Refusal) -> None:
    assert judge(quote, seen, LIMITS) is reason


def test_entry_limits_never_block_an_exit() -> None:
    excluded = standing(250, allocation="0")._replace(instrument=replace(instrument(), exclusion="offline"))
    tight = SymbolRiskLimits(risk_max_order_quote=Decimal(0), risk_price_collar_bps=Decimal(1))
    assert judge(EXIT, excluded, tight) is None
    assert judge(ENTRY, excluded, tight) is Refusal.INSTRUMENT


def test_venues_largest_order_bars_an_entry_and_cuts_an_exit() -> None:
    small = replace(instrument(), max_notional=Decimal(20))
    assert judge(ENTRY, standing()._replace(instrument=small), LIMITS) is Refusal.MAX_NOTIONAL
    assert judge(EXIT, standing(250)._replace(instrument=small), LIMITS) is None


@pytest.mark.parametrize(
    ("price_ticks", "lots", "parts"),
    [
        (10_000, 100, [100]),  # 10 of at most 30
        (10_000, 300, [300]),
        (10_000, 750, [300, 300, 150]),
        (10_000, 605, [300, 295, 10]),  # five lots alone could not be sold: they are worth half the smallest order
        (9_999, 301, [290, 11]),
    ],
)
def test_parts_of_a_sale_are_orders_that_the_venue_takes(price_ticks: int, lots: int, parts: list[int]) -> None:
    made = replace(instrument(), max_notional=Decimal(30))
    found = []
    while lots:
        found.append(made.part_lots(price_ticks, lots))
        lots -= found[-1]
    assert found == parts
    assert all(part >= made.min_lots(price_ticks) for part in parts)
    assert all(made.notional(price_ticks, part) <= 30 for part in parts)


def test_unproven_books_are_told_apart() -> None:
    assert unproven_refusal(BookState.STALE) is Refusal.BOOK_STALE
    assert unproven_refusal(BookState.GAP) is Refusal.BOOK_UNPROVEN


def test_refusals_count_changes_and_seconds_not_frames() -> None:
    count = RefusalCount()
    for tick in range(21):  # two seconds of the same reason, at 100 ms
        count.note((Refusal.IMBALANCE,), tick * 100 * MS)
    count.note((Refusal.IMBALANCE, Refusal.TRADE_RATE), 2 * S + 1)
    count.note((), 2 * S + 2)
    count.note((Refusal.IMBALANCE,), 2 * S + 3)
    count.once(Refusal.DAILY_LOSS)
    assert count.as_pairs() == (("daily_loss", 1), ("imbalance", 5), ("trade_rate", 1))
