"""Price-time matching of one incoming order against a book. Pure; settles nothing, tells nobody."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from simulator.exchange.accounts import Account
from simulator.exchange.book import Book, Resting
from simulator.exchange.orders import StpMode
from trading.model.market import Side


@dataclass(frozen=True, slots=True)
class Execution:
    """`lots` of the resting order traded at its price."""

    resting: Resting
    price_ticks: int
    lots: int


@dataclass(slots=True)
class Match:
    """What an incoming order met: executions in order, own orders cancelled, whether self-trade prevention ended it."""

    executions: list[Execution] = field(default_factory=list)
    cancelled: list[Resting] = field(default_factory=list)
    is_stopped: bool = False


def _opposite(book: Book, side: Side, limit_ticks: int) -> Iterator[Resting]:
    """Iterate the orders an incoming order may meet, best price, then oldest first. The book must not change."""
    against = book.side(side.opposite)
    for price in against.best_first():
        if (price > limit_ticks) if side is Side.BUY else (price < limit_ticks):
            return
        yield from against.levels[price].orders.values()


def crosses(book: Book, side: Side, limit_ticks: int) -> bool:
    """Return whether an order at this limit would trade at once."""
    best = book.side(side.opposite).best()
    if best is None:
        return False
    return best <= limit_ticks if side is Side.BUY else best >= limit_ticks


def _is_self(resting: Resting, account: Account | None, stp: StpMode) -> bool:
    """Return whether self-trade prevention keeps an account's order from trading with a resting one."""
    if stp is StpMode.NONE or account is None or resting.account is None:
        return False
    return account.is_grouped_with(resting.account)


def fillable(book: Book, side: Side, limit_ticks: int, wanted: int, account: Account, stp: StpMode) -> tuple[int, int]:
    """Return how much of `wanted` would trade at once, self-trade prevention considered, and what it would cost.

    Returns: lots, at most `wanted`; the sum of price_ticks x lots.
    """
    found = cost = 0
    for resting in _opposite(book, side, limit_ticks):
        if _is_self(resting, account, stp):
            if stp is StpMode.CANCEL_MAKER:
                continue
            break
        lots = min(wanted - found, resting.lots)
        found += lots
        cost += lots * resting.price_ticks
        if found == wanted:
            break
    return found, cost


def match(
    book: Book,
    side: Side,
    limit_ticks: int,
    lots: int | None,
    budget_ticks_lots: int | None = None,
    account: Account | None = None,
    stp: StpMode = StpMode.NONE,
) -> Match:
    """Trade an incoming order against the book, which is changed.

    Args:
        limit_ticks: worst price.
        lots: most quantity; None when only the budget bounds it.
        budget_ticks_lots: most price_ticks x lots to spend; None when only the quantity bounds it.
        account, stp: whose order it is (None: the generated market) and what happens when it meets itself.
    """
    result = Match()
    left = lots
    budget = budget_ticks_lots
    against = book.side(side.opposite)
    while left != 0:
        price = against.best()
        if price is None or ((price > limit_ticks) if side is Side.BUY else (price < limit_ticks)):
            break
        resting = next(iter(against.levels[price].orders.values()))
        if _is_self(resting, account, stp):
            if stp is not StpMode.CANCEL_TAKER:
                result.cancelled.append(resting)
                book.take(resting, resting.lots)
            if stp is not StpMode.CANCEL_MAKER:
                result.is_stopped = True
                break
            continue
        quantity = resting.lots if left is None else min(left, resting.lots)
        if budget is not None:
            quantity = min(quantity, budget // price)
            if quantity == 0:
                break
            budget -= quantity * price
        if left is not None:
            left -= quantity
        book.take(resting, quantity)
        result.executions.append(Execution(resting, price, quantity))
    return result
