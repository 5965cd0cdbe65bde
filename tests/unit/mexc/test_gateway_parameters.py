"""What an order looks like to MEXC."""

from decimal import Decimal

import pytest

from trading.adapters.mexc.gateway import order_params
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderStatus, OrderType, Purpose

INSTRUMENT = Instrument(
    symbol="龙虾USDT",
    base="龙虾",
    quote="USDT",
    tick_size=Decimal("0.0001"),
    lot_size=Decimal("0.01"),
    min_qty=Decimal(0),
    min_notional=Decimal(1),
    max_notional=Decimal(0),
    maker_fee_rate=Decimal(0),
    taker_fee_rate=Decimal("0.0005"),
)


def record(kind: OrderType) -> OrderRecord:
    return OrderRecord(
        client_order_id="mx-1-2-3",
        symbol="龙虾USDT",
        run_id="run",
        owner_epoch=1,
        executor_epoch=1,
        side=Side.SELL,
        type=kind,
        price_ticks=12_345,
        qty_lots=150,
        purpose=Purpose.EXIT,
        strategy="s",
        status=OrderStatus.SENT,
        created_ns=0,
        valid_until_ns=0,
        signed_ms=1,
        recv_window_ms=2_000,
    )


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (OrderType.LIMIT, "LIMIT"),
        (OrderType.LIMIT_MAKER, "LIMIT_MAKER"),
        (OrderType.IOC, "IMMEDIATE_OR_CANCEL"),
        (OrderType.FOK, "FILL_OR_KILL"),
    ],
)
def test_order_parameters_of_a_priced_order_carry_price_and_quantity_padded(kind: OrderType, word: str) -> None:
    assert order_params(record(kind), INSTRUMENT) == [
        ("symbol", "龙虾USDT"),
        ("side", "SELL"),
        ("type", word),
        ("quantity", "1.50"),
        ("price", "1.2345"),
        ("newClientOrderId", "mx-1-2-3"),
    ]


def test_order_parameters_of_a_market_order_carry_no_price() -> None:
    params = order_params(record(OrderType.MARKET), INSTRUMENT)
    assert "price" not in dict(params)
    assert dict(params)["quantity"] == "1.50"
