"""Orders over the live gateway against the real simulator: sent once, whatever the venue does with the answer."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.mexc_account import QUICK, Account, opened_account
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.model.errors import RateLimited, VenueUnavailable
from trading.model.market import Side
from trading.model.orders import (
    OrderStatus,
    OrderType,
    PlaceAccepted,
    PlaceRejected,
    PlaceUnknown,
)


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with running_simulator("--symbols", "BTCUSDT,ETHUSDT", "--limits", "off") as process:
        yield process


@pytest.fixture
async def account(simulator: SimulatorProcess) -> AsyncIterator[Account]:
    async with opened_account(simulator) as opened:
        yield opened
        simulator.clear_faults()
        await opened.gateway.cancel_all(["BTCUSDT", "ETHUSDT"])


@pytest.fixture
async def hasty(simulator: SimulatorProcess) -> AsyncIterator[Account]:
    """An account whose gateway waits for an answer for two seconds."""
    async with opened_account(simulator, rest=QUICK) as opened:
        yield opened
        simulator.clear_faults()
        await opened.gateway.cancel_all(["BTCUSDT", "ETHUSDT"])


def held(simulator: SimulatorProcess, client_order_id: str) -> list[str]:
    """Return the states of every order the venue has under an id: the truth."""
    orders = simulator.state()["accounts"][simulator.api_key]["orders"]
    return [order["status"] for order in orders if order["clientOrderId"] == client_order_id]


@pytest.mark.parametrize("kind", ["lose_reply", "accept_then_5xx"])
async def test_place_accepted_without_an_answer_is_unknown_and_found_by_its_id(account: Account, kind: str) -> None:
    order = account.resting()
    account.simulator.fault(kind, params={"path": "/api/v3/order", "method": "POST"})
    answer = await account.gateway.place(order)
    assert isinstance(answer, PlaceUnknown), answer
    assert held(account.simulator, order.client_order_id) == ["NEW"]
    found = await account.gateway.order(order.symbol, order.client_order_id)
    assert found is not None
    assert (found.status, found.qty_lots, found.price_ticks) == (OrderStatus.OPEN, order.qty_lots, order.price_ticks)


async def test_place_answered_too_late_is_unknown_and_not_sent_again(hasty: Account) -> None:
    order = hasty.resting()
    hasty.simulator.fault("delay_reply", params={"path": "/api/v3/order", "method": "POST", "delay_ms": 3_000})
    answer = await hasty.gateway.place(order)
    assert isinstance(answer, PlaceUnknown), answer
    assert held(hasty.simulator, order.client_order_id) == ["NEW"]


@pytest.mark.parametrize(("kind", "pause_s"), [("http_429", 1.0), ("html_403", 90.0)])
async def test_place_too_fast_is_rejected_with_the_pause_asked_for(account: Account, kind: str, pause_s: float) -> None:
    order = account.resting()
    account.simulator.fault(kind, params={"path": "/api/v3/order", "method": "POST"})
    answer = await account.gateway.place(order)
    assert isinstance(answer, PlaceRejected), answer
    assert (answer.code, answer.retry_after_s, answer.is_fatal, answer.disables_symbol) == (429, pause_s, False, False)
    assert held(account.simulator, order.client_order_id) == []


async def test_place_signed_longer_ago_than_its_window_is_refused_by_the_venue(account: Account) -> None:
    order = account.resting()
    late = account.record(order.side, order.type, order.price_ticks, order.qty_lots, late_ms=order.recv_window_ms + 500)
    answer = await account.gateway.place(late)
    assert isinstance(answer, PlaceRejected), answer
    assert answer.code == 700003
    assert held(account.simulator, late.client_order_id) == []


async def test_place_below_the_minimum_value_is_rejected_with_the_venues_words(account: Account) -> None:
    bid, _ = account.best_ticks()
    answer = await account.gateway.place(account.record(Side.BUY, OrderType.LIMIT, bid, 1))
    assert isinstance(answer, PlaceRejected), answer
    assert (answer.code, answer.disables_symbol, answer.is_fatal) == (30002, False, False)
    assert "30002" in answer.text


async def test_place_beyond_the_balance_is_rejected(account: Account) -> None:
    bid, _ = account.best_ticks()
    answer = await account.gateway.place(
        account.record(Side.BUY, OrderType.LIMIT, bid * 95 // 100, account.lots_worth(200_000, bid))
    )
    assert isinstance(answer, PlaceRejected), answer
    assert answer.code == 10101


@pytest.mark.parametrize(
    ("kind", "cross_bps"), [(OrderType.IOC, 200), (OrderType.FOK, 200), (OrderType.MARKET, 0), (OrderType.LIMIT, 200)]
)
async def test_taker_order_fills_are_pushed_and_agree_with_rest_and_truth(
    account: Account, kind: OrderType, cross_bps: int
) -> None:
    since_ms = account.gateway.now_ms()
    _, ask = account.best_ticks()
    order = account.record(
        Side.BUY, kind, ask * (10_000 + cross_bps) // 10_000 if cross_bps else 0, account.lots_worth(30, ask)
    )
    accepted = await account.place(order)
    last = await account.until(
        lambda: [seen for seen in account.orders(order.client_order_id) if seen.status is OrderStatus.FILLED],
        f"{kind} filled",
    )
    pushed = await account.until(
        lambda: account.has_traded(order.client_order_id, order.qty_lots), f"each execution of {kind} pushed"
    )
    by_rest = await account.gateway.trades(order.symbol, accepted.venue_order_id, since_ms)
    assert last[-1].filled_lots == order.qty_lots
    assert sum(trade.fill.qty_lots for trade in pushed) == order.qty_lots
    assert sum(trade.fill.quote_qty for trade in pushed) == last[-1].filled_quote
    shape = sorted((t.fill.price_ticks, t.fill.qty_lots, t.fill.fee, t.fill.is_maker) for t in pushed)
    assert shape == sorted((t.fill.price_ticks, t.fill.qty_lots, t.fill.fee, t.fill.is_maker) for t in by_rest)
    # The two sources name one execution differently: whoever books must match by more than the id.
    assert not {t.fill.trade_id for t in pushed} & {t.fill.trade_id for t in by_rest}
    assert {t.source for t in pushed} == {"stream"}
    assert {t.source for t in by_rest} == {"rest"}


async def test_cancel_with_a_lost_answer_is_repeated_and_ends_the_order(account: Account) -> None:
    order = account.resting()
    accepted = await account.place(order)
    account.simulator.fault("lose_reply", params={"path": "/api/v3/order", "method": "DELETE"})
    # The first try did it; the repeat hears that there is nothing left to cancel.
    assert await account.gateway.cancel(order.symbol, order.client_order_id, accepted.venue_order_id) is False
    assert held(account.simulator, order.client_order_id) == ["CANCELED"]


async def test_cancel_too_fast_raises_the_pause(account: Account) -> None:
    order = account.resting()
    accepted = await account.place(order)
    account.simulator.fault("http_429", params={"path": "/api/v3/order", "method": "DELETE"})
    with pytest.raises(RateLimited) as caught:
        await account.gateway.cancel(order.symbol, order.client_order_id, accepted.venue_order_id)
    assert caught.value.retry_after_s == 1.0
    assert held(account.simulator, order.client_order_id) == ["NEW"]


async def test_venue_with_another_clock_is_followed(account: Account) -> None:
    account.simulator.fault("clock_skew", probability=1.0, params={"delay_ms": 60_000})
    assert isinstance(await account.gateway.balances(), tuple)
    assert abs(account.gateway.status().clock_skew_ms - 60_000) < 5_000
    assert account.gateway.status().requests.clock_refusals == 1
    assert isinstance(await account.gateway.place(account.resting()), PlaceAccepted)


async def test_place_refused_for_its_time_makes_the_clock_be_asked_at_once(account: Account) -> None:
    account.simulator.fault("clock_skew", probability=1.0, params={"delay_ms": 60_000})
    order = account.resting()
    answer = await account.gateway.place(order)
    assert isinstance(answer, PlaceRejected), answer
    assert answer.code == 700003
    await account.until(lambda: abs(account.gateway.status().clock_skew_ms - 60_000) < 5_000, "the clock is asked")
    assert held(account.simulator, order.client_order_id) == []


async def test_read_that_fails_once_is_repeated(hasty: Account) -> None:
    order = hasty.resting()
    await hasty.place(order)
    hasty.simulator.fault("delay_reply", params={"path": "/api/v3/openOrders", "method": "GET", "delay_ms": 3_000})
    found = await hasty.gateway.open_orders(["BTCUSDT"])
    assert [seen.client_order_id for seen in found] == [order.client_order_id]
    assert hasty.gateway.status().requests.repeats == 1


async def test_read_that_keeps_failing_is_unavailable(account: Account) -> None:
    account.simulator.fault("html_403", probability=1.0, params={"path": "/api/v3/account"})
    with pytest.raises(RateLimited):
        await account.gateway.balances()
    with pytest.raises(VenueUnavailable, match="-1121"):
        await account.gateway.open_orders(["NOSUCHUSDT"])


async def test_recent_orders_and_trades_beyond_a_page_are_all_found(account: Account) -> None:
    """130 executions do not fit on a my-trades page of 100."""
    since_ms = account.gateway.now_ms()
    _, ask = account.best_ticks()
    names = []
    for number in range(130):
        side = Side.BUY if number % 2 == 0 else Side.SELL
        order = account.record(side, OrderType.MARKET, 0, account.lots_worth(5, ask))
        names.append(order.client_order_id)
        await account.place(order)
    orders = await account.gateway.recent_orders("BTCUSDT", since_ms)
    trades = await account.gateway.trades("BTCUSDT", "", since_ms)
    assert sorted(order.client_order_id for order in orders) == sorted(names)
    assert {trade.fill.client_order_id for trade in trades} >= set(names)
    assert len({trade.fill.trade_id for trade in trades}) == len(trades)


async def test_fee_rates_and_symbols_are_the_accounts_own(account: Account) -> None:
    maker, taker = await account.gateway.fee_rates("BTCUSDT")
    assert (str(maker.normalize()), str(taker)) == ("0", "0.0005")
    assert await account.gateway.tradable_symbols() == {"BTCUSDT", "ETHUSDT"}
