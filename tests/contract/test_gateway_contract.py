"""What every Gateway promises to the executor: one suite over the live gateway, the paper gateway and the test fake."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest

from tests.contract.gateway_subjects import Subject, fake_subject, live_subject, paper_subject
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.model.market import Side
from trading.model.orders import (
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceRejected,
    VenueBalance,
)
from trading.model.units import NS_PER_MS

SUBJECTS = ("live", "paper", "fake")


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatorProcess]:
    with running_simulator("--symbols", "BTCUSDT", "--limits", "off") as process:
        yield process


@pytest.fixture(params=SUBJECTS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    match request.param:
        case "live":
            made = live_subject(request.getfixturevalue("exchange"))
        case "paper":
            made = paper_subject()
        case _:
            made = fake_subject()
    async with made as opened:
        yield opened


async def test_gateway_resting_order_is_open_by_push_and_query_until_cancelled(subject: Subject) -> None:
    order = subject.resting()
    answer = await subject.gateway.place(order)
    assert isinstance(answer, PlaceAccepted)
    assert (answer.client_order_id, bool(answer.venue_order_id)) == (order.client_order_id, True)
    await subject.until(lambda: subject.orders(order.client_order_id), "acceptance pushed")
    queried = await subject.gateway.order(order.symbol, order.client_order_id)
    listed = [
        seen
        for seen in await subject.gateway.open_orders([order.symbol])
        if seen.client_order_id == order.client_order_id
    ]
    for seen in (subject.orders(order.client_order_id)[0], queried, *listed):
        assert seen is not None
        assert (seen.symbol, seen.client_order_id, seen.venue_order_id, seen.status, seen.side, seen.type) == (
            order.symbol,
            order.client_order_id,
            answer.venue_order_id,
            OrderStatus.OPEN,
            order.side,
            order.type,
        )
        assert (seen.price_ticks, seen.qty_lots, seen.filled_lots, seen.filled_quote) == (
            order.price_ticks,
            order.qty_lots,
            0,
            Decimal(0),
        )
    assert len(listed) == 1
    assert subject.orders(order.client_order_id)[0].recv_ts_ns > 0

    assert await subject.gateway.cancel(order.symbol, order.client_order_id, answer.venue_order_id) is True
    await subject.until(
        lambda: subject.orders(order.client_order_id)[-1].status is OrderStatus.CANCELLED, "cancellation pushed"
    )
    ended = await subject.gateway.order(order.symbol, order.client_order_id)
    assert ended is not None or not subject.has_history
    assert ended is None or (ended.status, ended.filled_lots) == (OrderStatus.CANCELLED, 0)
    assert not await subject.open_ids()
    assert await subject.gateway.cancel(order.symbol, order.client_order_id, answer.venue_order_id) is False


async def test_gateway_cancel_by_our_id_alone_works_before_the_venues_is_known(subject: Subject) -> None:
    order = subject.resting()
    await subject.gateway.place(order)
    assert await subject.gateway.cancel(order.symbol, order.client_order_id, "") is True
    await subject.until(lambda: not subject.is_open(order.client_order_id), "ended")


async def test_gateway_unknown_order_is_none_and_not_cancelled(subject: Subject) -> None:
    assert await subject.gateway.order(subject.instrument.symbol, "mx-never-was") is None
    assert await subject.gateway.cancel(subject.instrument.symbol, "mx-never-was", "") is False


@pytest.mark.parametrize("kind", [OrderType.IOC, OrderType.FOK, OrderType.LIMIT, OrderType.MARKET])
async def test_gateway_order_through_the_market_fills_at_its_price_or_better(subject: Subject, kind: OrderType) -> None:
    since_ms = subject.gateway.now_ms()
    order = subject.crossing(kind)
    answer = await subject.gateway.place(order)
    assert isinstance(answer, PlaceAccepted), answer
    name = order.client_order_id
    await subject.until(lambda: not subject.is_open(name), "ended")
    last = subject.orders(name)[-1]
    assert last.status is OrderStatus.FILLED
    await subject.until(lambda: sum(t.fill.qty_lots for t in subject.trades(name)) == last.filled_lots, "all fills")
    fills = [trade.fill for trade in subject.trades(name)]
    assert last.filled_lots == order.qty_lots
    assert sum(fill.quote_qty for fill in fills) == last.filled_quote
    assert len({fill.trade_id for fill in fills}) == len(fills)
    for fill in fills:
        assert (fill.symbol, fill.side, fill.venue, fill.venue_order_id) == (
            order.symbol,
            Side.BUY,
            subject.gateway.venue,
            answer.venue_order_id,
        )
        assert kind is OrderType.MARKET or fill.price_ticks <= order.price_ticks
        assert fill.quote_qty == subject.instrument.notional(fill.price_ticks, fill.qty_lots)
        assert fill.fee >= 0
        assert fill.fee_asset
        assert not fill.is_maker
    if not subject.has_history:
        return
    queried = await subject.gateway.trades(order.symbol, answer.venue_order_id, since_ms)
    assert sorted((t.fill.price_ticks, t.fill.qty_lots, t.fill.fee) for t in queried) == sorted(
        (fill.price_ticks, fill.qty_lots, fill.fee) for fill in fills
    )


async def test_gateway_post_only_order_that_would_take_never_trades(subject: Subject) -> None:
    order = subject.crossing(OrderType.LIMIT_MAKER)
    answer = await subject.gateway.place(order)
    if not isinstance(answer, PlaceRejected):
        await subject.until(lambda: subject.has_ended(order.client_order_id), "ended")
        assert subject.orders(order.client_order_id)[-1].status is OrderStatus.CANCELLED
    assert not subject.trades(order.client_order_id)
    assert not await subject.open_ids()


async def test_gateway_fill_or_kill_beyond_the_book_does_nothing(subject: Subject) -> None:
    order = subject.unfillable(OrderType.FOK)
    assert isinstance(await subject.gateway.place(order), PlaceAccepted)
    await subject.until(lambda: subject.has_ended(order.client_order_id), "ended")
    last = subject.orders(order.client_order_id)[-1]
    assert (last.status, last.filled_lots) == (OrderStatus.CANCELLED, 0)
    assert not subject.trades(order.client_order_id)


async def test_gateway_order_too_small_is_rejected_with_a_code_and_never_held(subject: Subject) -> None:
    order = subject.resting()
    tiny = subject.record(order.side, order.type, order.price_ticks, 1)
    answer = await subject.gateway.place(tiny)
    assert isinstance(answer, PlaceRejected)
    assert (answer.client_order_id, bool(answer.code), bool(answer.text)) == (tiny.client_order_id, True, True)
    assert tiny.client_order_id not in await subject.open_ids()


async def test_gateway_same_id_twice_is_one_order(subject: Subject) -> None:
    order = subject.resting()
    assert isinstance(await subject.gateway.place(order), PlaceAccepted)
    await subject.gateway.place(order)
    assert await subject.open_ids() == [order.client_order_id]


async def test_gateway_cancel_all_ends_every_order_of_the_symbols(subject: Subject) -> None:
    orders = []
    for _ in range(7):
        orders.append(subject.resting())  # signed now: its window is two seconds
        assert isinstance(await subject.gateway.place(orders[-1]), PlaceAccepted)
    await subject.gateway.cancel_all([subject.instrument.symbol])
    await subject.until(lambda: all(subject.has_ended(order.client_order_id) for order in orders), "all ended")
    assert not await subject.open_ids()
    await subject.gateway.cancel_all([subject.instrument.symbol])


async def test_gateway_recent_orders_hold_ended_and_open_ones(subject: Subject) -> None:
    since_ms = subject.gateway.now_ms() - 1_000
    ended, resting = subject.crossing(OrderType.IOC), subject.resting()
    for order in (ended, resting):
        await subject.gateway.place(order)
    await subject.until(lambda: subject.has_ended(ended.client_order_id), "ended")
    states = {
        order.client_order_id: order.status
        for order in await subject.gateway.recent_orders(subject.instrument.symbol, since_ms)
    }
    assert states[resting.client_order_id] is OrderStatus.OPEN
    assert states.get(ended.client_order_id, None if subject.has_history else OrderStatus.FILLED) is OrderStatus.FILLED


async def test_gateway_balances_are_never_negative_and_one_per_asset(subject: Subject) -> None:
    balances = await subject.gateway.balances()
    assert all(isinstance(balance, VenueBalance) for balance in balances)
    assert all(balance.free >= 0 and balance.locked >= 0 for balance in balances)
    assert len({balance.asset for balance in balances}) == len(balances)
    # A query without a time would lose against every push of before, for ever.
    assert all(abs(balance.exch_ts_ns // NS_PER_MS - subject.gateway.now_ms()) < 10_000 for balance in balances)
    assert not subject.has_history or subject.instrument.quote in {balance.asset for balance in balances}


async def test_gateway_clock_runs_forward_near_ours(subject: Subject) -> None:
    first = subject.gateway.now_ms()
    assert abs(first - subject.host_ms()) < 5_000
    assert subject.gateway.now_ms() >= first


async def test_gateway_close_is_idempotent(subject: Subject) -> None:
    await subject.gateway.close()
    await subject.gateway.close()
