"""What a strategy answers, checked before anybody acts on it: it may be anybody's code. Pure.

May import `trading.model` and the strategy protocol.
"""

from __future__ import annotations

from math import isfinite

from trading.engine.edge import EdgeTerms
from trading.engine.strategy.protocol import DesiredQuote, Desires, Requote
from trading.model.errors import InvariantViolated
from trading.model.market import Side
from trading.model.orders import OrderType, Purpose, Refusal

WHOLE_MAX = 2**63 - 1
"""Largest whole number that travels on: orders are kept in 64 bits."""

# Sound answers, nearly all of them, are seen at a look; what is left is asked field by field, for the message.
_FLOAT = frozenset((float,))


def check_desires(desires: object) -> None:
    """Check types and shape, nested ones too, so that a wrong answer is the strategy's fault and no crash further down.

    Raises: InvariantViolated saying what was expected. Whether a quote is wise is for symbol risk.
    """
    if not isinstance(desires, Desires):
        raise InvariantViolated(f"expected decide() to return Desires, was {type(desires).__name__}")
    quotes: object = desires.quotes
    refusals: object = desires.refusals
    if not (isinstance(quotes, tuple) and isinstance(refusals, tuple)):
        raise InvariantViolated("expected quotes and refusals as tuples, was something else")
    _check_text("machine_state", desires.machine_state)
    for quote in desires.quotes:
        _check_quote(quote)
    if len(desires.quotes) > 1 and len({(quote.side, quote.purpose) for quote in desires.quotes}) < len(desires.quotes):
        raise InvariantViolated("expected at most one quote per side and purpose, was more")
    for refusal in desires.refusals:
        if not isinstance(refusal, Refusal):
            raise InvariantViolated(f"expected refusals of the Refusal enum, was {refusal!r}")


def _check_quote(quote: object) -> None:
    if not isinstance(quote, DesiredQuote):
        raise InvariantViolated(f"expected DesiredQuote, was {type(quote).__name__}")
    # `type() is int`: a float, a Decimal or a numpy number would be no ticks, and True no quantity.
    if type(quote.price_ticks) is not int or type(quote.qty_lots) is not int:
        raise InvariantViolated(f"expected whole ticks and lots, was {quote.price_ticks!r}, {quote.qty_lots!r}")
    if not (-WHOLE_MAX <= quote.price_ticks <= WHOLE_MAX and -WHOLE_MAX <= quote.qty_lots <= WHOLE_MAX):
        raise InvariantViolated(f"expected ticks and lots of at most {WHOLE_MAX}, was a larger number")
    if not (type(quote.side) is Side and type(quote.purpose) is Purpose and type(quote.type) is OrderType):
        kinds = ((quote.side, Side), (quote.purpose, Purpose), (quote.type, OrderType))
        value, kind = next((value, kind) for value, kind in kinds if type(value) is not kind)
        raise InvariantViolated(f"expected {kind.__name__}, was {value!r}")
    if type(quote.is_urgent) is not bool:
        raise InvariantViolated(f"expected bool, was {quote.is_urgent!r}")
    _check_requote(quote.requote)
    if quote.edge is not None:
        _check_edge(quote.edge)
    _check_text("reason", quote.reason)
    terms: object = quote.terms
    if not isinstance(terms, tuple):
        raise InvariantViolated(f"expected terms as a tuple of pairs, was {type(terms).__name__}")
    for pair in terms:
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise InvariantViolated(f"expected each of the terms as (name, text), was {pair!r}")
        _check_text("the name of a term", pair[0])
        _check_text("the text of a term", pair[1])


def _check_requote(requote: object) -> None:
    if type(requote) is not Requote:
        raise InvariantViolated(f"expected Requote, was {requote!r}")
    values: tuple[object, ...] = requote
    age, move, most = requote
    if type(age) is type(move) is type(most) is int and 0 <= age <= WHOLE_MAX >= move >= 0 <= most <= WHOLE_MAX:
        return
    for name, value in zip(Requote._fields, values, strict=True):
        if type(value) is not int or not 0 <= value <= WHOLE_MAX:
            raise InvariantViolated(f"expected requote.{name} as a whole number from 0, was {value!r}")


def _check_edge(edge: object) -> None:
    if type(edge) is not EdgeTerms:
        raise InvariantViolated(f"expected EdgeTerms or None, was {type(edge).__name__}")
    values: tuple[object, ...] = edge
    if _FLOAT.issuperset(map(type, values)) and isfinite(sum(edge)):  # what is not finite stays so in a sum
        return
    for name, value in zip(EdgeTerms._fields, values, strict=True):
        if not (isinstance(value, int | float) and isfinite(value)):
            raise InvariantViolated(f"expected edge.{name} as a finite number, was {value!r}")


def _check_text(name: str, text: object) -> None:
    # Printable: a NUL or half a surrogate pair is text to Python, and none to the database.
    if not (isinstance(text, str) and text.isprintable()):
        raise InvariantViolated(f"expected {name} as printable text, was {text!r}")
