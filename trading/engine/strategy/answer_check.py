"""What a strategy answers, checked before anybody acts on it: it may be anybody's code. Pure.

May import `trading.model` and the strategy protocol.
"""

from __future__ import annotations

from trading.engine.edge import EdgeTerms
from trading.engine.strategy.protocol import DesiredQuote, Desires, Requote
from trading.model.errors import InvariantViolated
from trading.model.market import Side
from trading.model.orders import OrderType, Purpose, Refusal


def check_desires(desires: object) -> None:
    """Check types and shape, so that a wrong answer is the strategy's fault and not a crash further down.

    Raises: InvariantViolated saying what was expected. Whether a quote is wise is for symbol risk.
    """
    if not isinstance(desires, Desires):
        raise InvariantViolated(f"expected decide() to return Desires, was {type(desires).__name__}")
    quotes: object = desires.quotes
    refusals: object = desires.refusals
    if not (isinstance(quotes, tuple) and isinstance(refusals, tuple)):
        raise InvariantViolated("expected quotes and refusals as tuples, was something else")
    if not isinstance(desires.machine_state, str):
        raise InvariantViolated(f"expected machine_state as text, was {desires.machine_state!r}")
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
    kinds = ((quote.side, Side), (quote.purpose, Purpose), (quote.type, OrderType), (quote.requote, Requote))
    for value, kind in kinds:
        if not isinstance(value, kind):
            raise InvariantViolated(f"expected {kind.__name__}, was {value!r}")
    if quote.edge is not None and not isinstance(quote.edge, EdgeTerms):
        raise InvariantViolated(f"expected EdgeTerms or None, was {type(quote.edge).__name__}")
    texts: list[object] = [quote.reason]
    if quote.terms:
        texts.extend(text for pair in quote.terms for text in pair)
    if not all(isinstance(text, str) for text in texts):
        raise InvariantViolated(f"expected reason and terms as text, was {quote.reason!r}, {quote.terms!r}")
