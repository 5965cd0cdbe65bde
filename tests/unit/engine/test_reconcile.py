"""What may be concluded from what the venue shows, and what may not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from trading.engine.ports import OrderRecord
from trading.engine.reconcile import Evidence, Patience, Verdict, compare, provable_from_ms, resolve_unknown
from trading.model.market import Side
from trading.model.orders import OrderStatus, OrderType, Purpose, VenueOrder

PATIENCE = Patience(clock_bound_ms=500, query_lag_ms=2_000)
ORDER = OrderRecord(
    client_order_id="mx-1-1-1",
    symbol="BTCUSDT",
    run_id="r",
    owner_epoch=1,
    executor_epoch=1,
    side=Side.BUY,
    type=OrderType.LIMIT,
    price_ticks=1,
    qty_lots=10,
    purpose=Purpose.ENTRY,
    strategy="s",
    status=OrderStatus.UNKNOWN,
    created_ns=1,
    valid_until_ns=2,
    signed_ms=1_000_000,
    recv_window_ms=2_000,
    updated_ns=5,
)
NOWHERE = Evidence(False, False, False)


def at_venue(name: str, status: OrderStatus = OrderStatus.OPEN) -> VenueOrder:
    return VenueOrder("BTCUSDT", name, "v", status, Side.BUY, OrderType.LIMIT, 1, 10, 0, Decimal(0), 0, 0)


def test_absence_is_provable_only_after_window_clock_bound_and_lag() -> None:
    limit = provable_from_ms(ORDER, PATIENCE)
    assert limit == 1_000_000 + 2_000 + 500 + 2_000
    assert resolve_unknown(ORDER, NOWHERE, limit - 1, PATIENCE) is Verdict.WAIT
    assert resolve_unknown(ORDER, NOWHERE, limit, PATIENCE) is Verdict.ABSENT


@pytest.mark.parametrize(
    "evidence",
    [Evidence(None, False, False), Evidence(False, None, False), Evidence(False, False, None)],
)
def test_a_question_without_answer_proves_nothing(evidence: Evidence) -> None:
    assert resolve_unknown(ORDER, evidence, 10**12, PATIENCE) is Verdict.WAIT


@pytest.mark.parametrize(
    "evidence",
    [Evidence(True, None, None), Evidence(False, True, False), Evidence(False, False, True)],
)
def test_one_place_that_knows_it_is_enough(evidence: Evidence) -> None:
    assert resolve_unknown(ORDER, evidence, 0, PATIENCE) is Verdict.FOUND


def test_compare_sorts_ours_missing_orphans_and_foreign() -> None:
    ours = replace(ORDER, status=OrderStatus.OPEN)
    gone = replace(ours, client_order_id="mx-1-1-2")
    new, fresh = replace(ours, client_order_id="mx-1-1-6"), replace(ours, client_order_id="mx-1-1-3", filled_lots=1)
    sent = replace(ours, client_order_id="mx-1-1-4", status=OrderStatus.SENT)
    elsewhere = replace(ours, client_order_id="mx-1-1-5", symbol="ETHUSDT")
    tracked = {item.client_order_id: item for item in (ours, gone, new, fresh, sent, elsewhere)}
    before = {name: item for name, item in tracked.items() if item is not new} | {
        "mx-1-1-3": replace(fresh, filled_lots=0)
    }
    venue = [at_venue("mx-1-1-1"), at_venue("mx-9-9-9"), at_venue("someone"), at_venue("")]
    found = compare(tracked, venue, ["BTCUSDT"], before)
    assert [item.client_order_id for item in found.reports] == ["mx-1-1-1"]
    assert found.missing == ("mx-1-1-2",)
    assert [item.client_order_id for item in found.orphans] == ["mx-9-9-9"]
    assert [item.client_order_id for item in found.foreign] == ["someone", ""]
