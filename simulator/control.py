"""Control routes /sim/*: the truth about the venue, the faults, the fees. Pure functions; JSON in, JSON out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from simulator.exchange.amounts import (
    ONE,
    RATE_DECIMALS,
    NotANumberError,
    amount_text,
    parse_amount,
    parse_steps,
    rate_text,
)
from simulator.exchange.book import BookLevels
from simulator.exchange.fees import FeeTerms
from simulator.exchange.pair import Pair
from simulator.exchange.rules import FeeAsset
from simulator.faults import FAULTS_MAX, Fault, FaultKind
from simulator.venue import Venue
from simulator.wire.requests import Reply, Request
from simulator.wire.views import account_trade_view, listing_view, order_view

HISTORY_MAX = 1_000_000
DEFAULT_DEPTH = 20
DELAY_MAX_MS = 86_400_000
TRANSFER_MAX = 10**12 * ONE
RATE_MAX_E8: int = 10 ** (RATE_DECIMALS - 1)


# By the name in exchangeInfo: the listing's field, and what it may be.
LISTING_FIELDS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "status": ("status", ("1", "2", "3")),
    "tradeSideType": ("trade_side_type", (1, 2, 3, 4)),
    "isSpotTradingAllowed": ("is_api_allowed", (True, False)),
    "takesMarketOrders": ("takes_market_orders", (True, False)),
}


class ControlError(Exception):
    """A wrong control request: HTTP status and one sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


def _levels(pair: Pair, levels: BookLevels) -> list[list[str]]:
    listing = pair.listing
    return [[listing.price_trimmed(price), listing.qty_trimmed(lots)] for price, lots in levels]


def _book(pair: Pair, version: int, bids: BookLevels, asks: BookLevels) -> dict[str, Any]:
    return {"version": version, "bids": _levels(pair, bids), "asks": _levels(pair, asks)}


def _pair(venue: Venue, symbol: object) -> Pair:
    pair = venue.exchange.pairs.get(symbol) if isinstance(symbol, str) else None
    if pair is None:
        raise ControlError(404, f"expected a listed symbol, was {symbol!r}")
    return pair


def _number(request: Request, name: str, default: int) -> int:
    value = request.params.get(name, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > 16:
        raise ControlError(400, f"{name}: expected a whole number, was {value!r}")
    return int(value)


def state(venue: Venue, request: Request) -> Any:
    """GET /sim/state: books, accounts, counts."""
    depth = _number(request, "depth", DEFAULT_DEPTH)
    wanted = request.params.get("symbol")
    pairs = [_pair(venue, wanted)] if wanted else list(venue.exchange.pairs.values())
    return {
        "now_ms": venue.now_ms(),
        "seed": venue.settings.seed,
        "replay": {"done": venue.is_replay_done},
        "symbols": {
            pair.listing.symbol: _book(pair, pair.book.version, pair.book.bids.top(depth), pair.book.asks.top(depth))
            for pair in pairs
        },
        "accounts": {
            account.key: {
                "balances": {
                    asset: {"free": amount_text(balance.free), "locked": amount_text(balance.locked)}
                    for asset, balance in account.balances.items()
                },
                "orders": [order_view(order) for order in account.orders.values()],
                "trades": [account_trade_view(trade) for trade in account.trades],
            }
            for account in venue.exchange.accounts.values()
        },
        "injected": venue.faults.injected,
        "rate_limited": venue.limiter.refusals,
    }


def book(venue: Venue, request: Request) -> Any:
    """GET /sim/book: a pair's whole book as it was at a version; 404 when that is gone."""
    pair = _pair(venue, request.params.get("symbol"))
    version = _number(request, "version", pair.book.version)
    found = pair.book.at(version)
    if found is None:
        kept = f"{pair.book.oldest_version()} to {pair.book.version}"
        raise ControlError(404, f"version {version} is not kept; {kept} are")
    return _book(pair, version, *found)


def book_history(venue: Venue, request: Request) -> Any:
    """POST /sim/book_history: keep the last N versions of a pair."""
    body = _json(request)
    pair = _pair(venue, body.get("symbol"))
    keep = body.get("keep")
    if not isinstance(keep, int) or isinstance(keep, bool) or not 0 <= keep <= HISTORY_MAX:
        raise ControlError(400, f"keep: expected 0 to {HISTORY_MAX}, was {keep!r}")
    pair.book.keep_history(keep)
    return {"symbol": pair.listing.symbol, "keep": keep, "oldest": pair.book.oldest_version()}


def listing(venue: Venue, request: Request) -> Any:
    """POST /sim/listing: change what a pair's listing says and allows, from now on. Returns it as exchangeInfo does."""
    body = _json(request)
    pair = _pair(venue, body.get("symbol"))
    unknown = set(body) - {"symbol"} - set(LISTING_FIELDS)
    if unknown or len(body) < 2:
        raise ControlError(400, f"expected symbol and some of {', '.join(LISTING_FIELDS)}, was {', '.join(body)}")
    changes: dict[str, Any] = {}
    for name, (attribute, allowed) in LISTING_FIELDS.items():
        value = body.get(name, allowed[0])
        if value not in allowed or type(value) is not type(allowed[0]):
            raise ControlError(400, f"{name}: expected one of {', '.join(map(str, allowed))}, was {value!r}")
        if name in body:
            changes[attribute] = value
    pair.listing = replace(pair.listing, **changes)
    return listing_view(pair.listing, venue.exchange.ledger.schedule.standard(pair.listing))


def _json(request: Request) -> dict[str, Any]:
    try:
        body = orjson.loads(request.body or "{}")
    except orjson.JSONDecodeError as error:
        raise ControlError(400, f"expected a JSON object, was no JSON: {error}") from None
    if not isinstance(body, dict):
        raise ControlError(400, "expected a JSON object")
    return body


def _fault_view(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.id,
        "kind": fault.kind.value,
        "symbol": fault.symbol,
        "account": fault.account,
        "probability": fault.probability,
        "left": fault.left,
        "params": {"delay_ms": fault.delay_ms, "path": fault.path, "method": fault.method},
    }


def faults(venue: Venue, request: Request) -> Any:
    """GET /sim/faults: the faults in force."""
    return {"faults": [_fault_view(fault) for fault in venue.faults.active()]}


def _optional(body: dict[str, Any], name: str, kinds: type | tuple[type, ...], what: str) -> Any:
    value = body.get(name)
    if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
        raise ControlError(400, f"{name}: expected {what}, was {value!r}")
    return value


def _place(venue: Venue, body: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the symbol and the account that a request names, each checked; None is any."""
    symbol = _optional(body, "symbol", str, "a symbol or null")
    if symbol is not None:
        _pair(venue, symbol)
    account = _optional(body, "account", str, "an account key or null")
    if account is not None and venue.account_of(account) is None:
        raise ControlError(404, f"expected the key of an account, was {account!r}")
    return symbol, account


def add_fault(venue: Venue, request: Request) -> Any:
    """POST /sim/faults: put a fault in force. Without probability and count it strikes once."""
    body = _json(request)
    kind = body.get("kind")
    if kind not in [known.value for known in FaultKind]:
        raise ControlError(400, f"kind: expected one of {', '.join(FaultKind)}, was {kind!r}")
    symbol, account = _place(venue, body)
    probability = _optional(body, "probability", (int, float), "a number from 0 to 1")
    times = _optional(body, "count", int, "a positive whole number")
    seed = _optional(body, "seed", int, "a whole number") or 0
    params = _optional(body, "params", dict, "an object") or {}
    delay_ms = _optional(params, "delay_ms", int, "milliseconds")
    if probability is not None and not 0 <= probability <= 1:
        raise ControlError(400, f"probability: expected a number from 0 to 1, was {probability!r}")
    if times is not None and times < 1:
        raise ControlError(400, f"count: expected a positive whole number, was {times!r}")
    if delay_ms is not None and abs(delay_ms) > DELAY_MAX_MS:
        raise ControlError(400, f"params.delay_ms: expected at most {DELAY_MAX_MS}, was {delay_ms!r}")
    status = _optional(params, "status", int, "an HTTP status")
    code = _optional(params, "code", int, "a code of the venue")
    if status is not None and not 200 <= status <= 599:
        raise ControlError(400, f"params.status: expected 200 to 599, was {status!r}")
    if code is None and kind == FaultKind.ERROR_REPLY:
        raise ControlError(400, "params.code: expected the code that is to be answered, was none")
    if probability is None and times is None:
        times = 1
    fault = venue.faults.add(
        FaultKind(kind),
        symbol,
        account,
        1.0 if probability is None else float(probability),
        times,
        seed,
        1_000 if delay_ms is None else delay_ms,
        _optional(params, "path", str, "a path"),
        _optional(params, "method", str, "a method"),
        400 if status is None else status,
        code or 0,
        _optional(params, "msg", str, "a text") or f"error {code}",
    )
    if fault is None:
        raise ControlError(409, f"{FAULTS_MAX} faults are in force; lift some first (DELETE /sim/faults)")
    return {"id": fault.id}


def remove_faults(venue: Venue, request: Request) -> Any:
    """DELETE /sim/faults, or /sim/faults/ID."""
    fault_id = request.path.removeprefix("/sim/faults").strip("/")
    if not fault_id:
        venue.faults.clear()
    elif not venue.faults.remove(fault_id):
        raise ControlError(404, f"there never was a fault {fault_id!r}")
    return {}


def _rate(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise NotANumberError
        rate = parse_steps(str(value), RATE_DECIMALS)
    except ValueError:
        rate = RATE_MAX_E8 + 1
    if rate > RATE_MAX_E8:
        raise ControlError(400, f"{name}: expected a fraction from 0 to 0.1 with at most 8 decimals, was {value!r}")
    return rate


def fees(venue: Venue, request: Request) -> Any:
    """GET /sim/fees: the fee terms that were set."""
    return {
        "fees": [
            {
                "symbol": symbol,
                "account": account,
                "maker": None if terms.maker_e8 is None else rate_text(terms.maker_e8),
                "taker": None if terms.taker_e8 is None else rate_text(terms.taker_e8),
                "asset": None if terms.asset is None else terms.asset.value,
            }
            for symbol, account, terms in venue.exchange.ledger.schedule.items()
        ]
    }


def set_fees(venue: Venue, request: Request) -> Any:
    """POST /sim/fees: set the terms of a symbol, an account, both or all; what is not named stays as it was wider."""
    body = _json(request)
    symbol, account = _place(venue, body)
    asset = body.get("asset")
    if asset is not None and asset not in [known.value for known in FeeAsset]:
        raise ControlError(400, f"asset: expected {', '.join(FeeAsset)} or null, was {asset!r}")
    terms = FeeTerms(_rate(body, "maker"), _rate(body, "taker"), None if asset is None else FeeAsset(asset))
    if not venue.exchange.ledger.schedule.put(symbol, account, terms):
        raise ControlError(409, "too many fee terms are set; clear them first (DELETE /sim/fees)")
    return fees(venue, request)


def clear_fees(venue: Venue, request: Request) -> Any:
    """DELETE /sim/fees: back to the standard."""
    venue.exchange.ledger.schedule.clear()
    return fees(venue, request)


def transfer(venue: Venue, request: Request) -> Any:
    """POST /sim/transfer: an asset comes to an account from outside, or with a minus leaves it. Returns its balance."""
    body = _json(request)
    account = venue.account_of(body["account"]) if isinstance(body.get("account"), str) else None
    if account is None:
        raise ControlError(404, f"expected the key of an account, was {body.get('account')!r}")
    asset, told = body.get("asset"), body.get("amount")
    text = told if isinstance(told, str) else "0"
    if not isinstance(asset, str) or not (asset.isascii() and asset.isalnum()) or len(asset) > 20:
        raise ControlError(400, f"asset: expected a name like USDT, was {asset!r}")
    try:
        amount = parse_amount(text.removeprefix("-"))
    except ValueError:
        amount = 0
    if not 0 < amount <= TRANSFER_MAX:
        raise ControlError(400, f"amount: expected a decimal string other than 0, was {told!r}")
    is_leaving = text.startswith("-")
    if is_leaving and amount > account.balance(asset).free:
        raise ControlError(409, f"{asset}: only {amount_text(account.balance(asset).free)} are free")
    kind, change = ("WITHDRAW", -amount) if is_leaving else ("DEPOSIT", amount)
    venue.exchange.ledger.move(account, asset, change, 0, kind, venue.now_ms())
    balance = account.balance(asset)
    return {"asset": asset, "free": amount_text(balance.free), "locked": amount_text(balance.locked)}


_ROUTES: dict[tuple[str, str], Callable[[Venue, Request], Any]] = {
    ("GET", "/sim/state"): state,
    ("GET", "/sim/book"): book,
    ("POST", "/sim/book_history"): book_history,
    ("POST", "/sim/listing"): listing,
    ("GET", "/sim/faults"): faults,
    ("POST", "/sim/faults"): add_fault,
    ("DELETE", "/sim/faults"): remove_faults,
    ("POST", "/sim/transfer"): transfer,
    ("GET", "/sim/fees"): fees,
    ("POST", "/sim/fees"): set_fees,
    ("DELETE", "/sim/fees"): clear_fees,
}


def control(venue: Venue, request: Request) -> Reply:
    """Answer a control request. Never raises for anything a client can send."""
    path = "/sim/faults" if request.path.startswith("/sim/faults/") else request.path
    route = _ROUTES.get((request.method, path))
    if route is None:
        if any(path == known_path for _, known_path in _ROUTES):
            return Reply(405, orjson.dumps({"code": 405, "msg": f"{path} does not take {request.method}"}))
        return Reply(404, orjson.dumps({"code": 404, "msg": f"no control route {path}; see docs/simulator.md"}))
    try:
        return Reply(200, orjson.dumps(route(venue, request)))
    except ControlError as error:
        return Reply(error.status, orjson.dumps({"code": error.status, "msg": error.text}))
