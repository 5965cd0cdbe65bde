"""What the sources leave open about MEXC, as switches. Pure. Each default is an assumption, named and in one place."""

from dataclasses import dataclass
from enum import StrEnum


class FeeAsset(StrEnum):
    """What commission is taken in: the quote asset, what the fill received, or MX (when the account has enough)."""

    QUOTE = "quote"
    RECEIVED = "base"
    MX = "mx"


class CancelAnswer(StrEnum):
    """CANCELED at once as documented, or as seen live: the answer shows the state before, the cancel comes after it."""

    DOCS = "docs"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class ExchangeRules:
    """Rules of the whole exchange.

    Attributes:
        fee_asset: MEXC's own samples show the quote asset.
        is_crossing_maker_refused: a LIMIT_MAKER that would trade gets an error at once; else it is accepted and
            cancelled.
        is_duplicate_client_id_refused: among open orders.
        band_low_e2, band_high_e2: a limit price must lie within these hundredths of the last price.
        market_protection_bps: how far a MARKET order may walk from the best opposite price.
        max_open_orders: per account (code 30029).
        cancel_answer: see CancelAnswer; cancel_delay_ms: how long after a LIVE answer the order is gone.
        depth_levels_max: levels a side that REST depth answers at most (documented 5000, measured 2000).
        echoes_request_id: the acknowledgement repeats the request's id.
        client_id_length_max: of newClientOrderId; is_client_id_checked: only letters, digits, _ and - are legal in it.
        scale_error_code: of a price or quantity with too many decimals.
        answers_8h: REST has candles of 8 hours, as the WebSocket has (undocumented).
        ping_interval_s: how often the server pings by WebSocket's own ping frames, 0 for never.
        is_auth_refused_with_401: the HTTP status of a request that fails authentication; else it is 400.
    """

    fee_asset: FeeAsset = FeeAsset.QUOTE
    is_crossing_maker_refused: bool = False
    is_duplicate_client_id_refused: bool = True
    band_low_e2: int = 20
    band_high_e2: int = 500
    market_protection_bps: int = 500
    max_open_orders: int = 500
    cancel_answer: CancelAnswer = CancelAnswer.DOCS
    cancel_delay_ms: int = 50
    depth_levels_max: int = 2_000
    echoes_request_id: bool = True
    client_id_length_max: int = 32
    is_client_id_checked: bool = True
    scale_error_code: int = 10096
    answers_8h: bool = True
    ping_interval_s: int = 0
    is_auth_refused_with_401: bool = False
