"""The REST routes, and the way of a request through firewall, limits, faults, authentication and route. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from simulator.control import control
from simulator.exchange.accounts import Account
from simulator.faults import FaultKind
from simulator.venue import Venue
from simulator.wire import rest_account, rest_groups, rest_orders, rest_public
from simulator.wire.auth import authenticate
from simulator.wire.errors import TooManyRequestsError, WireError
from simulator.wire.requests import HTML, Reply, Request

PublicRoute = Callable[[Venue, Request], Any]
SignedRoute = Callable[[Venue, Account, Request], Any]
FIREWALL_PAGE = (
    b"<html><head><title>403 Forbidden</title></head><body><center><h1>Access Denied</h1></center>"
    b"<p>You don't have permission to access this server.</p></body></html>"
)

REST_FAULTS = (
    FaultKind.HTTP_429,
    FaultKind.HTML_403,
    FaultKind.ACCEPT_THEN_5XX,
    FaultKind.LOSE_REPLY,
    FaultKind.DELAY_REPLY,
    FaultKind.ERROR_REPLY,
)


@dataclass(frozen=True, slots=True)
class Route:
    """One route: a public or a signed function, its documented limits, and whether it places or cancels orders.

    `weight` counts for the address, `weight_all` when no symbol is named, `uid_weight` for the account; `per_s` is how
    many requests of an account a second are admitted, 0 when there is no such limit.
    """

    public: PublicRoute | None = None
    signed: SignedRoute | None = None
    weight: int = 1
    weight_all: int | None = None
    uid_weight: int = 0
    per_s: int = 0
    is_order: bool = False

    def weight_of(self, request: Request) -> int:
        """Return what a request weighs."""
        is_all = self.weight_all is not None and not request.params.get("symbol")
        return self.weight_all if is_all and self.weight_all is not None else self.weight


def _signed(function: SignedRoute, weight: int = 1, per_s: int = 0) -> Route:
    return Route(signed=function, weight=weight, per_s=per_s)


def _order(function: SignedRoute, uid_weight: int = 0, per_s: int = 0) -> Route:
    return Route(signed=function, uid_weight=uid_weight, per_s=per_s, is_order=True)


ROUTES: dict[str, dict[str, Route]] = {
    "/api/v3/ping": {"GET": Route(rest_public.ping)},
    "/api/v3/time": {"GET": Route(rest_public.time)},
    "/api/v3/defaultSymbols": {"GET": Route(rest_public.default_symbols)},
    "/api/v3/exchangeInfo": {"GET": Route(rest_public.exchange_info, weight=10)},
    "/api/v3/depth": {"GET": Route(rest_public.depth)},
    "/api/v3/trades": {"GET": Route(rest_public.trades, weight=5)},
    "/api/v3/aggTrades": {"GET": Route(rest_public.agg_trades)},
    "/api/v3/klines": {"GET": Route(rest_public.klines)},
    "/api/v3/avgPrice": {"GET": Route(rest_public.average_price)},
    "/api/v3/ticker/24hr": {"GET": Route(rest_public.ticker_24h, weight_all=40)},
    "/api/v3/ticker/price": {"GET": Route(rest_public.ticker_price, weight_all=2)},
    "/api/v3/ticker/bookTicker": {"GET": Route(rest_public.book_ticker)},
    "/api/v3/symbol/offline": {"GET": Route(rest_public.offline, weight=10)},
    "/api/v1/contract/detail": {"GET": Route(rest_public.contract_detail)},
    "/api/v3/order": {
        "POST": _order(rest_orders.place, uid_weight=1),
        "DELETE": _order(rest_orders.cancel),
        "GET": _signed(rest_orders.query, 2),
    },
    "/api/v3/order/test": {"POST": _signed(rest_orders.check_order)},
    "/api/v3/order/all": {"DELETE": _order(rest_orders.cancel_all)},
    "/api/v3/batchOrders": {"POST": _order(rest_orders.place_batch, per_s=2)},
    "/api/v3/openOrders": {
        "GET": _signed(rest_orders.open_orders, 3),
        "DELETE": _order(rest_orders.cancel_open),
    },
    "/api/v3/allOrders": {"GET": _signed(rest_orders.all_orders, 10)},
    "/api/v3/account": {"GET": _signed(rest_account.account_info, 10, per_s=2)},
    "/api/v3/myTrades": {"GET": _signed(rest_account.my_trades, 10)},
    "/api/v3/tradeFee": {"GET": _signed(rest_account.trade_fee, 20)},
    "/api/v3/selfSymbols": {"GET": _signed(rest_account.self_symbols)},
    "/api/v3/mxDeduct/enable": {"GET": _signed(rest_account.mx_deduct), "POST": _signed(rest_account.mx_deduct)},
    "/api/v3/kyc/status": {"GET": _signed(rest_account.kyc_status)},
    "/api/v3/uid": {"GET": _signed(rest_account.uid)},
    "/api/v3/capital/config/getall": {"GET": _signed(rest_account.coins, 10)},
    "/api/v3/strategy/group": {
        "GET": _signed(rest_groups.groups, 20),
        "POST": _signed(rest_groups.create_group, 20),
        "DELETE": _signed(rest_groups.delete_group, 20),
    },
    "/api/v3/strategy/group/uid": {
        "POST": _signed(rest_groups.add_uids, 20),
        "DELETE": _signed(rest_groups.remove_uids, 20),
    },
    "/api/v3/userDataStream": {
        "POST": _signed(rest_account.create_listen_key),
        "GET": _signed(rest_account.listen_keys),
        "PUT": _signed(rest_account.renew_listen_key),
        "DELETE": _signed(rest_account.close_listen_key),
    },
}


def error_reply(status: int, code: int, text: str) -> Reply:
    """Return an error as JSON."""
    return Reply(status, orjson.dumps({"code": code, "msg": text}))


def _limited(wait_ms: int) -> Reply:
    reply = error_reply(429, 429, "Too Many Requests")
    reply.retry_after_s = max(1, -(-wait_ms // 1_000))
    return reply


def handle(venue: Venue, request: Request) -> Reply:
    """Answer one request. Never raises for anything a client can send."""
    if request.path.startswith("/sim/"):
        return control(venue, request)
    now_ms = venue.now_ms()
    if venue.limiter.is_banned(request.client, now_ms):
        return Reply(403, FIREWALL_PAGE, HTML)
    methods = ROUTES.get(request.path)
    if methods is None:
        return error_reply(404, 404, "Not Found")
    route = methods.get(request.method)
    if route is None:
        return error_reply(405, 405, f"Request method '{request.method}' not supported")
    wait_ms = venue.limiter.admit(request.client, request.endpoint, route.weight_of(request), now_ms)
    if wait_ms:
        return _limited(wait_ms)
    return _handle_with_faults(venue, request, route, now_ms)


def _handle_with_faults(venue: Venue, request: Request, route: Route, now_ms: int) -> Reply:
    """Run a route between the faults that strike before it and those that strike its reply."""
    faults = venue.faults
    symbols = request.symbols() if faults.is_any(*REST_FAULTS) else ()
    occasion = symbols, request.api_key, request.path, request.method
    if faults.fire(FaultKind.HTTP_429, *occasion):
        return _limited(1_000)
    if faults.fire(FaultKind.HTML_403, *occasion):
        return Reply(403, FIREWALL_PAGE, HTML)
    refusal = faults.fire(FaultKind.ERROR_REPLY, *occasion)
    if refusal is not None:
        return error_reply(refusal.status, refusal.code, refusal.text)
    venue.advance()  # the market's own events before this request happen before it
    try:
        reply = Reply(200, orjson.dumps(_run(venue, request, route, now_ms)))
    except TooManyRequestsError as error:
        reply = _limited(error.wait_ms)
    except WireError as error:
        reply = error_reply(error.status, error.code, error.text)
    if route.is_order and reply.status == 200:
        if faults.fire(FaultKind.ACCEPT_THEN_5XX, *occasion):
            reply = error_reply(503, 503, "Service unavailable")
        elif faults.fire(FaultKind.LOSE_REPLY, *occasion):
            reply.is_lost = True
    delay = faults.fire(FaultKind.DELAY_REPLY, *occasion)
    if delay is not None:
        reply.delay_ms = delay.delay_ms
    return reply


def _run(venue: Venue, request: Request, route: Route, now_ms: int) -> Any:
    if route.public is not None:
        return route.public(venue, request)
    assert route.signed is not None, "a route is public or signed"
    told_ms = venue.told_ms(request.api_key, request.symbols()) if venue.faults.is_any(FaultKind.CLOCK_SKEW) else now_ms
    try:
        account = authenticate(request, venue.exchange.accounts, told_ms)
    except WireError as error:
        status = 401 if venue.settings.rules.is_auth_refused_with_401 else error.status
        raise WireError(status, error.code, error.text) from None
    orders = rest_orders.order_operations(request) if route.is_order else 0
    wait_ms = venue.limiter.admit_account(
        account.key, request.client, orders, now_ms, request.endpoint, route.uid_weight, route.per_s
    )
    if wait_ms:
        raise TooManyRequestsError(wait_ms)
    return route.signed(venue, account, request)
