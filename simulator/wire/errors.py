"""Errors of the wire: MEXC's codes and texts. May import the standard library only."""


class WireError(Exception):
    """An expected no to a request: HTTP status, MEXC code, text."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(status, code, text)
        self.status = status
        self.code = code
        self.text = text


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
