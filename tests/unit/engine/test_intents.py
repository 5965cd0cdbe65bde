"""Order ids: what the venue takes, and unique across owners, runs and databases."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from trading.engine.intents import IntentMaker
from trading.engine.strategy.protocol import DesiredQuote, Requote
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import OrderType, Purpose
from trading.model.units import NS_PER_S

D = Decimal
BTC = Instrument("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.0001"), D(0), D(1), D(0), D(0), D("0.0005"))
QUOTE = DesiredQuote(Side.BUY, Purpose.ENTRY, OrderType.LIMIT, 100, 5, "entry", Requote(NS_PER_S, 2, NS_PER_S))
NOW_MS = 1_795_900_000_000
LAST = 36**9 - 1


def ids(run_number: int, epoch: int, count: int = 3) -> list[str]:
    maker = IntentMaker(BTC, "spread_capture", run_number, epoch)
    return [maker.order(QUOTE, (), 1_000, 0).client_order_id for _ in range(count)]


@pytest.mark.parametrize(("run_number", "epoch"), [(1, NOW_MS), (LAST, LAST)])
def test_order_id_is_what_the_venue_takes(run_number: int, epoch: int) -> None:
    for name in ids(run_number, epoch):
        assert re.fullmatch(r"mx-[A-Za-z0-9_-]{1,29}", name)
    # A sequence that outlives any owner fits too.
    assert len(ids(run_number, epoch)[0]) - 1 + 9 <= 32


def test_order_ids_of_owners_runs_and_databases_never_meet() -> None:
    first_database = ids(1, NOW_MS) + ids(1, NOW_MS + 1) + ids(2, NOW_MS)
    second_database = ids(1, NOW_MS + 60_000)  # the same run number: it counts anew there
    assert len(set(first_database + second_database)) == 12
