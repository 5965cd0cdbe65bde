"""The one maker of new orders gives every field its value: it passes them by place, which no type checker looks at."""

from trading.engine.ports import OrderRecord, order_from
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderStatus, OrderType, Purpose


def test_every_field_of_a_new_order() -> None:
    intent = OrderIntent(
        client_order_id="mx-1-2-3",
        symbol="AUSDT",
        side=Side.SELL,
        type=OrderType.IOC,
        price_ticks=101,
        qty_lots=7,
        purpose=Purpose.EXIT,
        created_ns=11,
        valid_until_ns=22,
        owner_epoch=5,
        strategy="some",
        decision=(("reason", "because"),),
    )
    order = order_from(intent, "run-9", 6, (("account_sellable", "7 of 8 A"),))
    assert order == OrderRecord(
        client_order_id="mx-1-2-3",
        symbol="AUSDT",
        run_id="run-9",
        owner_epoch=5,
        executor_epoch=6,
        side=Side.SELL,
        type=OrderType.IOC,
        price_ticks=101,
        qty_lots=7,
        purpose=Purpose.EXIT,
        strategy="some",
        status=OrderStatus.PENDING,
        created_ns=11,
        valid_until_ns=22,
        signed_ms=0,
        recv_window_ms=0,
        updated_ns=11,
        decision=(("reason", "because"), ("account_sellable", "7 of 8 A")),
    )
    assert type(order) is OrderRecord
