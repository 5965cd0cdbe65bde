"""A sweep ends all of ours that may not stay, and nothing else, whatever is open where."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.engine.reconcile import plan_sweep
from trading.model.market import Side
from trading.model.orders import OrderStatus, OrderType, VenueOrder

SYMBOLS = ("AUSDT", "BUSDT", "CUSDT")
ORDERS = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(("ours", "spared", "foreign")), st.booleans()), max_size=12
)


def word(symbol: str, name: str) -> VenueOrder:
    return VenueOrder(
        symbol, name, f"v{name}", OrderStatus.OPEN, Side.BUY, OrderType.LIMIT, 100, 1, 0, Decimal(0), 0, 0
    )


@given(ORDERS)
def test_sweep_ends_ours_and_leaves_foreign_and_spared_orders(drawn: list[tuple[str, str, bool]]) -> None:
    orders = [
        (symbol, kind, is_shown, f"{'by-hand' if kind == 'foreign' else 'mx'}-{number}")
        for number, (symbol, kind, is_shown) in enumerate(drawn)
    ]
    shown = [word(symbol, name) for symbol, kind, is_shown, name in orders if is_shown or kind == "foreign"]
    spared = {name: symbol for symbol, kind, _, name in orders if kind == "spared"}
    held = {symbol for symbol, kind, _, _ in orders if kind == "ours"}
    plan = plan_sweep(SYMBOLS, shown, held, spared)
    single = {order.client_order_id for order in plan.single}
    for symbol, kind, is_shown, name in orders:
        is_ended = symbol in plan.bulk or name in single
        if kind != "ours":
            assert not is_ended
        elif is_shown:
            assert is_ended
        else:  # not shown by the venue: one call for the symbol, or by its id where the call would end others too
            assert symbol in plan.bulk or symbol in plan.mixed
    assert not single & {order.client_order_id for order in shown if order.symbol in plan.bulk}
