"""The order ladder: a symbol's book around its spread, with our own orders where they rest. Pure; HTML in, HTML out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from api.schemas import Book, OrderItem
from dashboard.figures import NOTHING, plain_number, spread_bps
from dashboard.markup import Html, html, join, tag

Level = Sequence[str]


def ladder_html(book: Book, own: Sequence[OrderItem], depth: int) -> Html:
    """Render `depth` levels of each side, asks above bids. own: our open orders of the symbol."""
    asks, bids = book.asks[:depth], book.bids[:depth]
    largest = max((Decimal(qty) for _, qty in [*asks, *bids]), default=Decimal(0))
    resting = _resting(own)
    rows = [_head()]
    rows += [_row("ask", level, total, largest, resting) for level, total in reversed(_with_totals(asks))]
    rows.append(_middle(book))
    rows += [_row("bid", level, total, largest, resting) for level, total in _with_totals(bids)]
    rows += [
        _row(side, (str(price), "0"), Decimal(0), largest, resting)
        for (side, price) in sorted(resting, key=lambda item: item[1], reverse=True)
        if price not in {Decimal(shown) for shown, _ in (asks if side == "ask" else bids)}
    ]
    return tag("div", join(rows), "mx-ladder", role="table", aria_label=f"Book of {book.symbol}")


def _resting(own: Sequence[OrderItem]) -> dict[tuple[str, Decimal], Decimal]:
    """Sum what is left of our orders by side and price."""
    left: dict[tuple[str, Decimal], Decimal] = {}
    for order in own:
        key = ("bid" if order.side == "BUY" else "ask", Decimal(order.price))
        left[key] = left.get(key, Decimal(0)) + Decimal(order.qty) - Decimal(order.filled_qty)
    return left


def _with_totals(levels: Sequence[Level]) -> list[tuple[Level, Decimal]]:
    total = Decimal(0)
    summed = []
    for level in levels:
        total += Decimal(level[1])
        summed.append((level, total))
    return summed


def _head() -> Html:
    return tag("div", join(tag("span", text) for text in ("Ours", "Price", "Quantity", "Sum")), "row head")


def _row(
    side: str, level: Level, total: Decimal, largest: Decimal, resting: dict[tuple[str, Decimal], Decimal]
) -> Html:
    price, qty = level
    ours = resting.get((side, Decimal(price)))
    share = float(Decimal(qty) / largest * 100) if largest else 0.0
    bar = Html(f'<i class="bar" style="width:{share:.1f}%"></i>')
    cells = (
        tag("span", plain_number(format(ours.normalize(), "f")) if ours else ""),
        tag("span", plain_number(price), "price"),
        tag("span", plain_number(qty) if qty != "0" else NOTHING),
        tag("span", plain_number(format(total, "f")) if total else ""),
    )
    return tag("div", join([bar, *cells]), f"row {side}{' own' if ours else ''}")


def _middle(book: Book) -> Html:
    bid = book.bids[0][0] if book.bids else None
    ask = book.asks[0][0] if book.asks else None
    return tag(
        "div",
        join([tag("span", f"spread {spread_bps(bid, ask)} bps"), html(""), tag("span", f"version {book.version}")]),
        "middle",
    )
