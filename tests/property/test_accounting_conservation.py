"""Accounting conserves: whatever is traded, quantities, quote flow and fees add up exactly."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.engine.accounting import book_fill, verify
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill
from trading.model.position import Position

D = Decimal
ETH = Instrument("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.001"), D(0), D(1), D(0), D(0), D("0.0005"))
FEE_UNIT = D("1e-8")


@st.composite
def fills(draw: st.DrawFn) -> list[Fill]:
    made = []
    for index in range(draw(st.integers(1, 12))):
        ticks, lots = draw(st.integers(1, 10**7)), draw(st.integers(1, 10**6))
        asset = draw(st.sampled_from(["USDT", "ETH", "MX"]))
        fee = draw(st.integers(0, lots * 10**4)) * FEE_UNIT
        made.append(
            Fill(
                venue="x",
                trade_id=str(index),
                client_order_id="mx-0-0-0",
                venue_order_id="",
                symbol="ETHUSDT",
                side=draw(st.sampled_from(Side)),
                price_ticks=ticks,
                qty_lots=lots,
                quote_qty=ETH.notional(ticks, lots),
                fee=fee,
                fee_asset=asset,
                is_maker=True,
                exch_ts_ns=index,
                recv_ts_ns=index,
                fee_rate_quote=draw(st.sampled_from([None, D("2.5")])) if asset == "MX" else None,
            )
        )
    return made


@given(fills())
def test_positions_and_ledger_add_up_for_any_fills(made: list[Fill]) -> None:
    position = Position("ETHUSDT")
    totals: dict[str, Decimal] = {}
    for item in made:
        position, lines = book_fill(position, item, ETH)
        for line in lines:
            totals[line.asset] = totals.get(line.asset, D(0)) + line.amount
    assert verify(position, made, ETH) == ()
    assert totals.get("ETH", D(0)) == position.qty
    third = sum((item.fee * (item.fee_rate_quote or 0) for item in made if item.fee_asset == "MX"), D(0))
    assert totals.get("USDT", D(0)) == position.realized_pnl - position.cost - (position.fees - third)


@given(fills())
def test_flat_position_has_no_cost(made: list[Fill]) -> None:
    position = Position("ETHUSDT")
    for item in made:
        position, _ = book_fill(position, item, ETH)
        if position.qty == 0:
            assert position.cost == 0
