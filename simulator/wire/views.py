"""JSON bodies of REST: orders, trades, listings, tickers. Pure; prices padded to the tick, amounts exact."""

from typing import Any

from simulator.exchange.accounts import Account
from simulator.exchange.amounts import amount_text, padded, rate_text
from simulator.exchange.fees import FeeRates
from simulator.exchange.listings import Listing
from simulator.exchange.orders import AccountTrade, Order, OrderState
from simulator.exchange.pair import Pair
from trading.model.market import Side

Json = dict[str, Any]


def order_view(order: Order) -> Json:
    """Return the order object of GET order, openOrders and allOrders."""
    listing = order.pair.listing
    lots = order.orig_lots or order.filled_lots
    if order.quote_amount is not None:
        value = order.quote_amount
    else:
        value = listing.value(order.price_ticks * lots)
    return {
        "symbol": listing.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id or None,
        "price": listing.price_trimmed(order.price_ticks),
        "origQty": listing.qty_trimmed(lots),
        "executedQty": listing.qty_trimmed(order.filled_lots),
        "cummulativeQuoteQty": amount_text(listing.value(order.filled_ticks_lots)),
        "status": order.state.value,
        "timeInForce": None,
        "type": order.type.value,
        "side": order.side.value,
        "stpMode": order.stp_mode.value,
        "stopPrice": None,
        "icebergQty": None,
        "time": order.time_ms,
        "updateTime": order.update_ms,
        "isWorking": order.state.is_open,
        "origQuoteOrderQty": amount_text(value),
    }


def placed_view(order: Order) -> Json:
    """Return the answer of POST order: neither status nor client id, as at the venue."""
    listing = order.pair.listing
    return {
        "symbol": listing.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "price": listing.price_trimmed(order.price_ticks),
        "origQty": listing.qty_trimmed(order.orig_lots or order.filled_lots),
        "type": order.type.value,
        "side": order.side.value,
        "stpMode": order.stp_mode.value,
        "transactTime": order.time_ms,
    }


def cancelled_view(order: Order, status: OrderState) -> Json:
    """Return the answer of a cancel, with the status that the rules want shown."""
    listing = order.pair.listing
    return {
        "symbol": listing.symbol,
        "origClientOrderId": order.client_id or None,
        "orderId": order.order_id,
        "clientOrderId": order.client_id or None,
        "price": listing.price_trimmed(order.price_ticks),
        "origQty": listing.qty_trimmed(order.orig_lots),
        "executedQty": listing.qty_trimmed(order.filled_lots),
        "cummulativeQuoteQty": amount_text(listing.value(order.filled_ticks_lots)),
        "status": status.value,
        "timeInForce": None,
        "type": order.type.value,
        "side": order.side.value,
    }


def account_trade_view(trade: AccountTrade) -> Json:
    """Return one item of my-trades. Its time is cut to whole seconds, as live."""
    order = trade.order
    listing = order.pair.listing
    return {
        "symbol": listing.symbol,
        "id": trade.trade_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "price": listing.price_trimmed(trade.price_ticks),
        "qty": listing.qty_trimmed(trade.lots),
        "quoteQty": amount_text(listing.value(trade.price_ticks * trade.lots)),
        "commission": amount_text(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time_ms // 1000 * 1000,
        "isBuyer": order.side is Side.BUY,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
        "isSelfTrade": trade.is_self_trade,
        "clientOrderId": order.client_id or None,
    }


def balances_view(account: Account) -> list[Json]:
    """Return the balances of an account, those that are zero left out."""
    return [
        {
            "asset": asset,
            "free": amount_text(balance.free),
            "locked": amount_text(balance.locked),
            "available": amount_text(balance.free),
        }
        for asset, balance in account.balances.items()
        if balance.free or balance.locked
    ]


def listing_view(listing: Listing, rates: FeeRates) -> Json:
    """Return one symbol of exchangeInfo, with the fee rates of those who have none of their own."""
    decimals = listing.price_decimals
    return {
        "symbol": listing.symbol,
        "status": listing.status,
        "baseAsset": listing.base,
        "baseAssetPrecision": listing.qty_decimals,
        "quoteAsset": listing.quote,
        "quotePrecision": decimals,
        "quoteAssetPrecision": decimals,
        "baseCommissionPrecision": listing.qty_decimals,
        "quoteCommissionPrecision": decimals,
        "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"],
        "isSpotTradingAllowed": listing.is_api_allowed,
        "isMarginTradingAllowed": False,
        "quoteAmountPrecision": amount_text(listing.min_notional),
        "baseSizePrecision": listing.qty_trimmed(listing.min_lots),
        "permissions": ["SPOT"],
        "filters": [],
        "maxQuoteAmount": amount_text(listing.max_notional),
        "makerCommission": rate_text(rates.maker_e8),
        "takerCommission": rate_text(rates.taker_e8),
        "quoteAmountPrecisionMarket": amount_text(listing.min_notional),
        "maxQuoteAmountMarket": amount_text(listing.max_market_notional),
        "fullName": listing.full_name,
        "tradeSideType": listing.trade_side_type,
    }


def ratio_text(part: int, whole: int) -> str:
    """Return part / whole as a fraction with four decimals."""
    return padded(round(part * 10_000 / whole), 4) if whole else "0"


def best_view(pair: Pair) -> Json:
    """Return the best bid and ask; an empty side has empty prices."""
    listing, book = pair.listing, pair.book
    view: Json = {"symbol": listing.symbol}
    for name, side in (("bid", book.bids), ("ask", book.asks)):
        price = side.best()
        view[f"{name}Price"] = None if price is None else listing.price_padded(price)
        view[f"{name}Qty"] = None if price is None else listing.qty_padded(side.levels[price].total)
    return view


def ticker_view(pair: Pair, now_ms: int) -> Json:
    """Return the 24 h ticker of a pair."""
    listing = pair.listing
    day = pair.tape.day(now_ms)
    best = best_view(pair)
    change = day.close - day.open
    return {
        "symbol": listing.symbol,
        "priceChange": padded(change, listing.price_decimals),
        "priceChangePercent": ratio_text(change, day.open),
        "prevClosePrice": listing.price_padded(day.open),
        "lastPrice": listing.price_padded(day.close),
        "bidPrice": best["bidPrice"],
        "bidQty": best["bidQty"],
        "askPrice": best["askPrice"],
        "askQty": best["askQty"],
        "openPrice": listing.price_padded(day.open),
        "highPrice": listing.price_padded(day.high),
        "lowPrice": listing.price_padded(day.low),
        "volume": listing.qty_trimmed(day.lots),
        "quoteVolume": amount_text(listing.value(day.ticks_lots)),
        "openTime": day.start_ms,
        "closeTime": now_ms,
        "count": None,
    }
