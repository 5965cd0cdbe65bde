"""What playing a recording asks of the process beside the events."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal

from trading.adapters.recording.events import BATCH_BYTES, BATCH_ROWS, COLLECT_AFTER, collected_seldom, market_events
from trading.adapters.recording.rows import REST_DEPTH, Row
from trading.model.instrument import Instrument

ZERO = Decimal(0)
XUSDT = Instrument("XUSDT", "X", "USDT", Decimal("0.01"), Decimal(1), ZERO, Decimal(1), ZERO, ZERO, ZERO)


def test_cycles_are_looked_for_seldom_while_events_are_played_and_as_before_afterwards() -> None:
    before = gc.get_threshold()

    with suppress(ZeroDivisionError), collected_seldom():
        assert gc.get_threshold() == (COLLECT_AFTER, *before[1:])
        raise ZeroDivisionError

    assert gc.get_threshold() == before
    assert gc.isenabled()


def test_rows_are_read_ahead_by_their_number_or_their_size() -> None:
    for payload, ahead in ((b"x", BATCH_ROWS), (b"x" * (BATCH_BYTES // 3), 4)):
        taken: list[int] = []

        def rows(payload: bytes = payload, taken: list[int] = taken) -> Iterator[Row]:
            for number in range(2 * BATCH_ROWS):
                taken.append(number)
                yield Row(number, REST_DEPTH, payload)

        next(market_events(rows(), XUSDT))
        assert len(taken) == ahead
