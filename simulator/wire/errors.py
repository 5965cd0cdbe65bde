"""Errors of the wire: MEXC's codes and texts. May import the standard library only."""


class WireError(Exception):
    """An expected no to a request: HTTP status, MEXC code, text."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(status, code, text)
        self.status = status
        self.code = code
        self.text = text


class TooManyRequestsError(WireError):
    """A request beyond a rate limit; it may come again after `wait_ms`."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__(429, 429, "Too Many Requests")
        self.wait_ms = wait_ms


def bad(code: int, text: str) -> WireError:
    """Return a business error: HTTP 400."""
    return WireError(400, code, text)


def missing(name: str) -> WireError:
    """Return the error for a mandatory parameter that was not sent."""
    return bad(700004, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def invalid(name: str) -> WireError:
    """Return the error for a parameter with an impossible value."""
    return bad(33333, f"Param error: {name}")


def bad_symbol() -> WireError:
    """Return the error of market-data requests for a symbol that is not listed."""
    return bad(-1121, "Invalid symbol.")


def order_not_found() -> WireError:
    """Return the error of a query for an order that does not exist."""
    return bad(-2013, "Order does not exist.")


def unknown_order() -> WireError:
    """Return the error of a cancel of an order that is unknown or final."""
    return bad(-2011, "Unknown order sent.")


def bad_interval() -> WireError:
    """Return the error of an unknown candle interval: live it has the code of a bad symbol (mexc-api-sdk #101)."""
    return bad(-1121, "Invalid interval.")


def bad_listen_key() -> WireError:
    """Return the error of a listen key that is not the account's, or no more (live code: mexc-api-demo #35)."""
    return bad(730708, "listen key information error")
