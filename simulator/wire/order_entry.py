"""Order entry: from the parameters of a request to a parsed order. Pure; the venue's codes for what cannot be read."""

import re
from collections.abc import Mapping

from simulator.exchange.amounts import NotANumberError, TooManyDecimalsError, parse_amount, parse_steps
from simulator.exchange.orders import NewOrder, StpMode
from simulator.exchange.pair import Pair
from simulator.exchange.rules import ExchangeRules
from simulator.wire.errors import bad, invalid, missing
from trading.model.market import Side
from trading.model.orders import OrderType

# Neither length nor charset is documented; other clients keep to this (assumption).
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# Without the check, so much is remembered of a client id at most.
_CLIENT_ID_BOUND = 200


def _steps(params: Mapping[str, str], name: str, decimals: int, scale_code: int) -> int | None:
    text = params.get(name, "")
    if not text:
        return None
    try:
        steps = parse_steps(text, decimals)
    except TooManyDecimalsError:
        raise bad(scale_code, f"{name} decimal places is too long") from None
    except NotANumberError:
        if text.startswith("-"):
            raise bad(10102, f"{name} cannot be zero or negative") from None
        raise bad(10097, f"{name} is error") from None
    if steps == 0:
        raise bad(10102, f"{name} cannot be zero or negative")
    return steps


def _quote_amount(params: Mapping[str, str], scale_code: int) -> int | None:
    text = params.get("quoteOrderQty", "")
    if not text:
        return None
    try:
        amount = parse_amount(text)
    except TooManyDecimalsError:
        raise bad(scale_code, "quoteOrderQty decimal places is too long") from None
    except NotANumberError:
        raise bad(10102 if text.startswith("-") else 10097, "quoteOrderQty is error") from None
    if amount == 0:
        raise bad(10102, "quoteOrderQty cannot be zero or negative")
    return amount


def read_client_id(params: Mapping[str, str], rules: ExchangeRules) -> str:
    """Return the client order id, "" when there is none. Raises WireError for illegal characters."""
    client_id = params.get("newClientOrderId", "")
    is_legal = not rules.is_client_id_checked or _CLIENT_ID.fullmatch(client_id)
    if client_id and not (is_legal and len(client_id) <= min(rules.client_id_length_max, _CLIENT_ID_BOUND)):
        raise bad(700008, "Illegal characters found in parameter 'newClientOrderId'.")
    return client_id


def read_pair(params: Mapping[str, str], pairs: Mapping[str, Pair]) -> Pair:
    """Return the pair that an order names. Raises WireError when it names none."""
    symbol = params.get("symbol", "")
    if not symbol:
        raise missing("symbol")
    pair = pairs.get(symbol)
    if pair is None:
        raise bad(10007, "symbol not support api")
    return pair


def read_order(params: Mapping[str, str], pairs: Mapping[str, Pair], rules: ExchangeRules) -> NewOrder:
    """Parse the parameters of an order. Raises WireError."""
    pair = read_pair(params, pairs)
    listing = pair.listing
    side = params.get("side", "")
    order_type = params.get("type", "")
    if not side or not order_type:
        raise missing("type" if side else "side")
    if side not in Side.__members__.values():
        raise invalid("side")
    if order_type not in [known.value for known in OrderType]:
        raise invalid("type")
    parsed_side, parsed_type = Side(side), OrderType(order_type)
    stp_mode = params.get("stpMode", "").upper()
    if stp_mode not in [known.value for known in StpMode]:
        raise invalid("stpMode")
    client_id = read_client_id(params, rules)
    lots = _steps(params, "quantity", listing.qty_decimals, rules.scale_error_code)
    if parsed_type is OrderType.MARKET:
        quote_amount = _quote_amount(params, rules.scale_error_code)
        if parsed_side is Side.SELL or lots is not None:
            quote_amount = None
        if lots is None and quote_amount is None:
            raise bad(10095, "amount can not be null")
        return NewOrder(
            listing.symbol, parsed_side, parsed_type, None, lots, quote_amount, client_id, StpMode(stp_mode)
        )
    price_ticks = _steps(params, "price", listing.price_decimals, rules.scale_error_code)
    if lots is None:
        raise bad(10095, "amount can not be null")
    if price_ticks is None:
        raise missing("price")
    return NewOrder(listing.symbol, parsed_side, parsed_type, price_ticks, lots, None, client_id, StpMode(stp_mode))
