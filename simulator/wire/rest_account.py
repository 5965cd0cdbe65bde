"""Signed REST routes about the account: balances, trades, fees, listen keys, permissions. Pure functions."""

from typing import Any

from simulator.exchange.accounts import Account
from simulator.exchange.amounts import RATE_ONE
from simulator.venue import Venue
from simulator.wire.errors import bad, bad_listen_key, invalid
from simulator.wire.requests import Request
from simulator.wire.rest_orders import DAY_MS, time_range
from simulator.wire.rest_public import pair_of, tradable_symbols
from simulator.wire.views import account_trade_view, balances_view

MONTH_MS = 30 * DAY_MS


def account_info(venue: Venue, account: Account, request: Request) -> Any:
    """GET account."""
    return {
        "makerCommission": None,
        "takerCommission": None,
        "buyerCommission": None,
        "sellerCommission": None,
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "updateTime": None,
        "accountType": "SPOT",
        "balances": balances_view(account),
        "permissions": ["SPOT"],
    }


def my_trades(venue: Venue, account: Account, request: Request) -> Any:
    """GET myTrades of one symbol, newest first; at most 100, of at most a month."""
    symbol = pair_of(venue, request).listing.symbol
    since, until = time_range(venue, request, MONTH_MS, MONTH_MS)
    limit = request.limit(100, 100)
    order_id = request.text("orderId")
    found: list[dict[str, Any]] = []
    # Times are shown cut to seconds: the time that an answer showed must find its trade again. Any other end is exact,
    # so that a busy second can be read in parts.
    if until % 1_000 == 0:
        until += 999
    for trade in reversed(account.trades):
        if trade.order.pair.listing.symbol != symbol or not since <= trade.time_ms <= until:
            continue
        if order_id is not None and trade.order.order_id != order_id:
            continue
        found.append(account_trade_view(trade))
        if len(found) == limit:
            break
    return found


def trade_fee(venue: Venue, account: Account, request: Request) -> Any:
    """GET tradeFee: the account's own rates of one symbol, as numbers."""
    listing = pair_of(venue, request).listing
    rates = venue.exchange.ledger.schedule.of(account, listing)
    return {
        "data": {"makerCommission": rates.maker_e8 / RATE_ONE, "takerCommission": rates.taker_e8 / RATE_ONE},
        "code": 0,
        "msg": "success",
        "timestamp": venue.told_ms(),
    }


def self_symbols(venue: Venue, account: Account, request: Request) -> Any:
    """GET selfSymbols: what the key may trade. Its code is 200, not 0."""
    return {"code": 200, "data": tradable_symbols(venue), "msg": None}


def mx_deduct(venue: Venue, account: Account, request: Request) -> Any:
    """GET and POST mxDeduct/enable: whether fees are taken in MX."""
    if request.method == "POST":
        wanted = request.required("mxDeductEnable").lower()
        if wanted not in ("true", "false"):
            raise invalid("mxDeductEnable")
        account.mx_deduct = wanted == "true"
    return {
        "data": {"mxDeductEnable": account.mx_deduct},
        "code": 0,
        "msg": "success",
        "timestamp": venue.told_ms(),
    }


def kyc_status(venue: Venue, account: Account, request: Request) -> Any:
    """GET kyc/status."""
    return {"status": "1"}


def uid(venue: Venue, account: Account, request: Request) -> Any:
    """GET uid."""
    return {"uid": account.uid}


def coins(venue: Venue, account: Account, request: Request) -> Any:
    """GET capital/config/getall: no deposits or withdrawals here."""
    return []


def create_listen_key(venue: Venue, account: Account, request: Request) -> Any:
    """POST userDataStream."""
    key = venue.listen_keys.create(account, venue.now_ms())
    if key is None:
        raise bad(26, "The number of listen keys has reached the maximum")
    return {"listenKey": key}


def listen_keys(venue: Venue, account: Account, request: Request) -> Any:
    """GET userDataStream."""
    return {"listenKey": venue.listen_keys.of_account(account, venue.now_ms())}


def renew_listen_key(venue: Venue, account: Account, request: Request) -> Any:
    """PUT userDataStream."""
    key = request.required("listenKey")
    if not venue.listen_keys.renew(key, account, venue.now_ms()):
        raise bad_listen_key()
    return {"listenKey": key}


def close_listen_key(venue: Venue, account: Account, request: Request) -> Any:
    """DELETE userDataStream."""
    key = request.required("listenKey")
    if not venue.listen_keys.close(key, account, venue.now_ms()):
        raise bad_listen_key()
    return {"listenKey": key}
