"""A paper venue on a book, and what it said. May import the product."""

from __future__ import annotations

from tests.market_scenes import instrument
from trading.engine.book import Book
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import NO_LATENCY, LatencyModel, QueueModel
from trading.model.orders import (
    OrderStatus,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)


def venue_on(
    market: Book, latency: LatencyModel = NO_LATENCY, model: QueueModel = QueueModel.PESSIMISTIC
) -> PaperVenue:
    venue = PaperVenue(instrument(), model, latency, owner_epoch=3)
    venue.on_book(market, 0)
    return venue


def fills(events: tuple[VenueEvent, ...]) -> list[tuple[int, int, bool]]:
    return [
        (event.fill.price_ticks, event.fill.qty_lots, event.fill.is_maker)
        for event in events
        if isinstance(event, VenueTrade)
    ]


def statuses(events: tuple[VenueEvent, ...]) -> list[OrderStatus]:
    return [event.status for event in events if isinstance(event, VenueOrder)]
