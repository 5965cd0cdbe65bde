"""Authentication of signed requests, in the order of checks that docs/simulator.md states. Pure.

Order: key, signature present, recvWindow, timestamp, signature. So a rightly signed old request gets 700003.
"""

from simulator.exchange.accounts import Account
from simulator.wire.errors import WireError, bad, missing
from simulator.wire.requests import Request
from trading.adapters.mexc.signing import is_signature_of

RECV_WINDOW_DEFAULT_MS = 5_000
RECV_WINDOW_MAX_MS = 60_000
FUTURE_MAX_MS = 1_000


def _unsigned(raw: str) -> str:
    return "&".join(part for part in raw.split("&") if not part.startswith("signature="))


def _time(request: Request, name: str, error: WireError) -> int | None:
    value = request.params.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit()) or len(value) > 16:
        raise error
    return int(value)


def authenticate(request: Request, accounts: dict[str, Account], now_ms: int) -> Account:
    """Return the account that signed a request. Raises WireError with the venue's code otherwise."""
    key = request.headers.get("x-mexc-apikey", "")
    if not key:
        raise bad(400, "api key required")
    account = accounts.get(key)
    if account is None:
        raise bad(10072, "Api key info invalid")
    signature = request.params.get("signature", "")
    if not signature:
        raise missing("signature")
    window = _time(request, "recvWindow", bad(700005, "recvWindow must less than 60000"))
    window = RECV_WINDOW_DEFAULT_MS if window is None else window
    if window > RECV_WINDOW_MAX_MS:
        raise bad(700005, "recvWindow must less than 60000")
    outside = bad(700003, "Timestamp for this request is outside of the recvWindow.")
    timestamp = _time(request, "timestamp", outside)
    if timestamp is None:
        raise missing("timestamp")
    if timestamp >= now_ms + FUTURE_MAX_MS or now_ms - timestamp > window:
        raise outside
    if not is_signature_of(account.secret, _unsigned(request.query), _unsigned(request.body), signature):
        raise bad(700002, "Signature for this request is not valid.")
    return account
