"""Signed REST routes that place, cancel and query orders. Pure functions of venue, account and request."""

from collections.abc import Mapping
from typing import Any

import orjson

from simulator.exchange.accounts import Account
from simulator.exchange.orders import NewOrder, Order, Refusal
from simulator.venue import Venue
from simulator.wire.errors import WireError, bad, bad_symbol, invalid, order_not_found, unknown_order
from simulator.wire.order_entry import read_order
from simulator.wire.requests import Request
from simulator.wire.rest_public import pair_of
from simulator.wire.views import cancelled_view, order_view, placed_view

BATCH_MAX = 20
BATCH_LENGTH_MAX = 60_000
SYMBOLS_MAX = 5
DAY_MS = 86_400_000
HISTORY_MS = 7 * DAY_MS


def _refused(refusal: Refusal) -> WireError:
    return bad(refusal.code, refusal.text)


def _read(venue: Venue, params: Mapping[str, str]) -> NewOrder:
    return read_order(params, venue.exchange.pairs, venue.settings.rules)


def place(venue: Venue, account: Account, request: Request) -> Any:
    """POST order."""
    result = venue.exchange.place(account, _read(venue, request.params), venue.now_ms())
    if isinstance(result, Refusal):
        raise _refused(result)
    return placed_view(result)


def check_order(venue: Venue, account: Account, request: Request) -> Any:
    """POST order/test: full validation, nothing else."""
    refusal = venue.exchange.check(account, _read(venue, request.params))
    if refusal is not None:
        raise _refused(refusal)
    return {}


def read_batch(request: Request) -> list[dict[str, str]]:
    """Return the parameters of each order of batchOrders. Raises WireError unless it lists 1..20 of one symbol."""
    text = request.required("batchOrders", BATCH_LENGTH_MAX)
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise invalid("batchOrders") from None
    if not isinstance(items, list) or not 1 <= len(items) <= BATCH_MAX or not all(isinstance(i, dict) for i in items):
        raise invalid("batchOrders")
    batch = [{name: "" if value is None else str(value) for name, value in item.items()} for item in items]
    if len({item.get("symbol", "") for item in batch}) > 1:
        raise invalid("batchOrders: one symbol only")
    return batch


def place_batch(venue: Venue, account: Account, request: Request) -> Any:
    """POST batchOrders: each order stands alone; a refused one has its own code and text."""
    answers: list[dict[str, Any]] = []
    for params in read_batch(request):
        client_id = params.get("newClientOrderId", "")
        try:
            result = venue.exchange.place(account, _read(venue, params), venue.now_ms())
            if isinstance(result, Refusal):
                raise _refused(result)
        except WireError as error:
            answers.append({"newClientOrderId": client_id or None, "msg": error.text, "code": error.code})
            continue
        answer = {"symbol": result.pair.listing.symbol, "orderId": result.order_id, "orderListId": -1}
        answers.append(answer | ({"newClientOrderId": client_id} if client_id else {}))
    return answers


def _named_order(venue: Venue, account: Account, request: Request, nothing: WireError) -> Order:
    symbol = pair_of(venue, request).listing.symbol
    order_id, client_id = request.text("orderId"), request.text("origClientOrderId")
    if order_id is None and client_id is None:
        raise bad(700004, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null")
    if order_id is not None:
        order = account.orders.get(order_id)
    else:
        order = account.orders_by_client_id.get((symbol, client_id or ""))
    if order is None or order.pair.listing.symbol != symbol:
        raise nothing
    return order


def _cancel(venue: Venue, order: Order) -> dict[str, Any]:
    return cancelled_view(order, venue.exchange.request_cancel(order, venue.now_ms()))


def cancel(venue: Venue, account: Account, request: Request) -> Any:
    """DELETE order."""
    order = _named_order(venue, account, request, unknown_order())
    if order.order_id not in account.open_orders:
        raise unknown_order()
    return _cancel(venue, order)


def _symbols(venue: Venue, request: Request) -> set[str]:
    names = request.required("symbol").split(",")
    if len(names) > SYMBOLS_MAX:
        raise invalid(f"symbol: at most {SYMBOLS_MAX}")
    if any(name not in venue.exchange.pairs for name in names):
        raise bad_symbol()
    return set(names)


def _open_orders(account: Account, symbols: set[str]) -> list[Order]:
    return [order for order in account.open_orders.values() if order.pair.listing.symbol in symbols]


def cancel_open(venue: Venue, account: Account, request: Request) -> Any:
    """DELETE openOrders: all open orders of up to five symbols."""
    return [_cancel(venue, order) for order in _open_orders(account, _symbols(venue, request))]


def cancel_all(venue: Venue, account: Account, request: Request) -> Any:
    """DELETE order/all."""
    for order in list(account.open_orders.values()):
        _cancel(venue, order)
    return {"code": 0, "msg": "success"}


def query(venue: Venue, account: Account, request: Request) -> Any:
    """GET order."""
    return order_view(_named_order(venue, account, request, order_not_found()))


def open_orders(venue: Venue, account: Account, request: Request) -> Any:
    """GET openOrders of up to five symbols."""
    return [order_view(order) for order in _open_orders(account, _symbols(venue, request))]


def time_range(venue: Venue, request: Request, default_ms: int, most_ms: int) -> tuple[int, int]:
    """Return (since, until) in ms, inclusive. Raises WireError when it begins before the venue's memory."""
    now_ms = venue.now_ms()
    until = request.whole("endTime")
    since = request.whole("startTime")
    until = now_ms if until is None else until
    since = until - default_ms if since is None else since
    if since > until:
        raise invalid("startTime")
    if since < now_ms - most_ms - DAY_MS:
        since = now_ms - most_ms
    return since, until


def all_orders(venue: Venue, account: Account, request: Request) -> Any:
    """GET allOrders of one symbol, newest first; the last 24 hours unless told otherwise, at most 7 days."""
    symbol = pair_of(venue, request).listing.symbol
    since, until = time_range(venue, request, DAY_MS, HISTORY_MS)
    limit = request.limit(500, 1_000)
    found = [
        order_view(order)
        for order in reversed(account.orders.values())
        if order.pair.listing.symbol == symbol and since <= order.time_ms <= until
    ]
    return found[:limit]


def order_operations(request: Request) -> int:
    """Return how many order operations a request counts for: a batch counts each of its orders."""
    if request.path.endswith("/batchOrders"):
        try:
            return len(read_batch(request))
        except WireError:
            return 1
    return 1
