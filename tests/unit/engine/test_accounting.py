"""Booking of fills by hand-made figures."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from trading.engine.accounting import book_fill, verify, verify_totals
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill
from trading.model.position import Position

D = Decimal
BTC = Instrument("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.0001"), D(0), D(1), D(0), D(0), D("0.0005"))


def fill(side: Side, qty: str, price: str, fee: str = "0", asset: str = "USDT", trade_id: str = "t1") -> Fill:
    ticks, lots = BTC.price_ticks(price), BTC.qty_lots(qty)
    return Fill(
        venue="paper",
        trade_id=trade_id,
        client_order_id="mx-1-1-1",
        venue_order_id="v1",
        symbol="BTCUSDT",
        side=side,
        price_ticks=ticks,
        qty_lots=lots,
        quote_qty=BTC.notional(ticks, lots),
        fee=D(fee),
        fee_asset=asset,
        is_maker=True,
        exch_ts_ns=1,
        recv_ts_ns=2,
    )


def test_round_trip_with_quote_fees_realises_the_difference() -> None:
    bought, lines = book_fill(Position("BTCUSDT"), fill(Side.BUY, "0.5", "100", fee="0.025"), BTC)
    assert (bought.qty, bought.cost, bought.fees, bought.realized_pnl) == (D("0.5"), D(50), D("0.025"), D(0))
    assert [(line.kind, line.asset, line.amount) for line in lines] == [
        ("trade", "BTC", D("0.5")),
        ("trade", "USDT", D("-50")),
        ("fee", "USDT", D("-0.025")),
    ]
    sold, _ = book_fill(bought, fill(Side.SELL, "0.5", "110", fee="0.0275", trade_id="t2"), BTC)
    assert (sold.qty, sold.cost) == (D(0), D(0))
    assert sold.realized_pnl == D(5)
    assert sold.fees == D("0.0525")


def test_buy_with_base_fee_keeps_price_as_average_cost() -> None:
    booked, _ = book_fill(Position("BTCUSDT"), fill(Side.BUY, "1", "100", fee="0.001", asset="BTC"), BTC)
    assert booked.qty == D("0.999")
    assert booked.avg_price == D(100)
    assert booked.fees == D("0.1")


def test_third_asset_fee_counts_at_the_stored_rate() -> None:
    in_mx = replace(fill(Side.BUY, "1", "100", fee="0.02", asset="MX"), fee_rate_quote=D("2.5"), fee_rate_source="x")
    booked, lines = book_fill(Position("BTCUSDT"), in_mx, BTC)
    assert booked.qty == D(1)
    assert booked.fees == D("0.050")
    assert lines[-1].asset == "MX"
    unpriced, _ = book_fill(Position("BTCUSDT"), replace(in_mx, fee_rate_quote=None), BTC)
    assert unpriced.fees == D(0)


def test_partial_sale_takes_average_cost_out() -> None:
    position, _ = book_fill(Position("BTCUSDT"), fill(Side.BUY, "1", "100"), BTC)
    position, _ = book_fill(position, fill(Side.BUY, "1", "110", trade_id="t2"), BTC)
    position, _ = book_fill(position, fill(Side.SELL, "0.5", "120", trade_id="t3"), BTC)
    assert position.avg_price == D(105)
    assert position.realized_pnl == D("7.5")


def test_sale_beyond_what_is_held_turns_negative_and_realises_the_held_part() -> None:
    position, _ = book_fill(Position("BTCUSDT"), fill(Side.BUY, "0.5", "100"), BTC)
    position, _ = book_fill(position, fill(Side.SELL, "0.8", "110", trade_id="t2"), BTC)
    assert position.qty == D("-0.3")
    assert position.realized_pnl == D(5)
    assert position.cost == D("-33")


def test_verify_names_what_is_broken() -> None:
    one = fill(Side.BUY, "1", "100", fee="0.05")
    position, _ = book_fill(Position("BTCUSDT"), one, BTC)
    assert verify(position, [one], BTC) == ()
    broken = verify(replace(position, qty=D(2), cost=D(7), fees=D(1)), [one], BTC)
    assert len(broken) == 3
    assert "quantity by fills is 1" in broken[0]


def test_verify_totals_compares_ledger_and_positions() -> None:
    position, _ = book_fill(Position("BTCUSDT"), fill(Side.BUY, "1", "100"), BTC)
    instruments = {"BTCUSDT": BTC}
    assert verify_totals({"BTC": D(3)}, {"BTC": D(2)}, [position], instruments) == ()
    assert verify_totals({"BTC": D(3)}, {}, [position], instruments) != ()
