"""Messages: copied with changes, carried across processes, frozen all the while."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from decimal import Decimal

import pytest

from trading.engine.ports import OrderRecord
from trading.model.market import Side
from trading.model.message import Message, maker
from trading.model.orders import Delivery, OrderAccepted, OrderStatus, OrderType, Purpose

ORDER = OrderRecord(
    client_order_id="mx-1-1-1",
    symbol="AAAUSDT",
    run_id="run",
    owner_epoch=1,
    executor_epoch=2,
    side=Side.BUY,
    type=OrderType.LIMIT,
    price_ticks=100,
    qty_lots=7,
    purpose=Purpose.ENTRY,
    strategy="any",
    status=OrderStatus.SENT,
    created_ns=1,
    valid_until_ns=2,
    signed_ms=3,
    recv_window_ms=4,
    filled_quote=Decimal("0.10"),
    decision=(("bid", "1.5"),),
)


def test_a_change_gives_what_replace_gives() -> None:
    changed = ORDER.changed(status=OrderStatus.OPEN, updated_ns=9, filled_quote=Decimal(3))
    assert changed == replace(ORDER, status=OrderStatus.OPEN, updated_ns=9, filled_quote=Decimal(3))
    assert type(changed) is OrderRecord
    assert hash(changed) == hash(replace(changed))
    assert repr(changed) == repr(replace(changed))
    assert ORDER.status is OrderStatus.SENT


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="OrderRecord has no field statuss"):
        ORDER.changed(statuss=OrderStatus.OPEN)


def test_a_message_travels_whole_and_is_frozen_on_arrival() -> None:
    sent = (ORDER, Delivery(4, OrderAccepted("AAAUSDT", "mx-1-1-1", "venue-1", 5)))
    for came in (pickle.loads(pickle.dumps(sent)), copy.deepcopy(sent)):
        assert came == sent
        for message in came:
            with pytest.raises(FrozenInstanceError):
                setattr(message, fields(message)[0].name, "other")


def test_every_message_can_be_made_of_its_fields_alone() -> None:
    """`changed` and pickling skip `__init__`: nothing may depend on it."""
    kinds = set(Message.__subclasses__())
    assert OrderRecord in kinds
    for kind in kinds:
        assert not hasattr(kind, "__post_init__")
        assert all(field.init for field in fields(kind)), kind


def test_what_a_maker_makes_is_the_message_itself() -> None:
    accepted = maker(OrderAccepted)("AAAUSDT", "mx-1-1-1", "venue-1", 5)
    assert accepted == OrderAccepted("AAAUSDT", "mx-1-1-1", "venue-1", 5)
    assert type(accepted) is OrderAccepted
    with pytest.raises(FrozenInstanceError):
        setattr(accepted, fields(accepted)[0].name, "other")


def test_a_maker_takes_every_value() -> None:
    with pytest.raises(TypeError, match="missing"):
        maker(OrderAccepted)("AAAUSDT", "mx-1-1-1")  # type: ignore[call-arg]
