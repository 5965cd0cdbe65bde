"""The journals under the contract suite, and the records it writes. May import trading.

A test module imports the fixtures `reopen`, `journal`, `lease`, and what they need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from tests.embedded_database import database_url, plain_url, postgres_server
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.memory_journal import MemoryJournal
from trading.engine.accounting import book_fill
from trading.engine.ports import Journal, JournalEntry, LedgerLine, OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import (
    Delivery,
    Fill,
    OrderAccepted,
    OrderFilled,
    OrderStatus,
    OrderType,
    Purpose,
)
from trading.model.position import Position
from trading.model.session import Lease
from trading.model.units import NS_PER_DAY, NS_PER_S

__all__ = ["database_url", "postgres_server"]

D = Decimal
SYMBOL = "BTCUSDT"
INSTRUMENT = Instrument(SYMBOL, "BTC", "USDT", D("0.01"), D("0.0001"), D(0), D(1), D(0), D("0.0000"), D("0.0005"))
ODD = replace(INSTRUMENT, symbol="牛市_\"'; DROP--USDT", base="牛市")
Reopen = Callable[[], "Journal"]


@pytest.fixture(params=["postgres", "memory"])
async def reopen(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Journal]]:
    """Give a function that opens the same journal once more, as a restarted process would."""
    if request.param == "memory":
        yield MemoryJournal("main").reopened
        return
    url = request.getfixturevalue("database_url")
    with psycopg.connect(plain_url(url)) as link:
        link.execute(
            "INSERT INTO sessions (session_id, account, mode, venue, settings, pid, started_ns) "
            "VALUES ('s1', 'main', 'paper', 'sim', '{}', 1, 1)"
        )
    opened: list[PostgresJournal] = []

    def again() -> Journal:
        opened.append(PostgresJournal(url, "main", "s1"))
        return opened[-1]

    yield again
    for journal in opened:
        await journal.close()


@pytest.fixture
async def journal(reopen: Callable[[], Journal]) -> Journal:
    made = reopen()
    await made.register_instruments([INSTRUMENT, ODD], 1)
    return made


@pytest.fixture
async def lease(journal: Journal) -> Lease:
    return await journal.acquire_lease("executor:main", "a", 30.0)


async def now_ns_of_a_day() -> int:
    """Now, and not within the last moments of a UTC day: what is written next is of the same one."""
    while (left_ns := NS_PER_DAY - time.time_ns() % NS_PER_DAY) < 20 * NS_PER_S:  # noqa: ASYNC110
        await asyncio.sleep(left_ns / NS_PER_S)
    return time.time_ns()


def an_order(order_id: str, status: OrderStatus = OrderStatus.SENT, symbol: str = SYMBOL) -> OrderRecord:
    """Make an order as the executor commits it."""
    return OrderRecord(
        client_order_id=order_id,
        symbol=symbol,
        run_id="r1",
        owner_epoch=3,
        executor_epoch=1,
        side=Side.BUY,
        type=OrderType.LIMIT_MAKER,
        price_ticks=6_000_012,
        qty_lots=25,
        purpose=Purpose.ENTRY,
        strategy="spread_capture",
        status=status,
        created_ns=1_700_000_000_000_000_000,
        valid_until_ns=1_700_000_002_000_000_000,
        signed_ms=1_700_000_000_001,
        recv_window_ms=2000,
        committed_ns=1_700_000_000_000_500_000,
        updated_ns=1_700_000_000_000_500_000,
        decision=(("book_version", "42"), ("edge_bps", "1.5"), ("a", "")),
    )


def a_fill(order_id: str, trade_id: str, recv_ts_ns: int = 1_700_000_001_000_000_000) -> Fill:
    """Make a fill of an order, its fee in a third asset."""
    return Fill(
        venue="paper",
        trade_id=trade_id,
        client_order_id=order_id,
        venue_order_id=f"v-{order_id}",
        symbol=SYMBOL,
        side=Side.BUY,
        price_ticks=6_000_012,
        qty_lots=10,
        quote_qty=D("60.00012"),
        fee=D("0.0000001"),
        fee_asset="MX",
        is_maker=True,
        exch_ts_ns=1_700_000_000_900_000_000,
        recv_ts_ns=recv_ts_ns,
        fee_rate_quote=D("2.5"),
        fee_rate_source="book:MXUSDT",
        source="rest",
    )


def a_filled(
    seq: int, fill: Fill, position: Position, status: OrderStatus = OrderStatus.PARTIALLY_FILLED
) -> JournalEntry:
    """Make the step that books a fill: event, position after it, ledger lines."""
    order = replace(an_order(fill.client_order_id, status), filled_lots=10, filled_quote=fill.quote_qty)
    event = OrderFilled(SYMBOL, fill.client_order_id, fill, status, fill.recv_ts_ns)
    reference = f"{fill.venue_order_id}/{fill.trade_id}"
    lines = (
        LedgerLine("trade", SYMBOL, "BTC", D("0.001"), fill.recv_ts_ns, reference),
        LedgerLine("trade", SYMBOL, "USDT", -fill.quote_qty, fill.recv_ts_ns, reference),
        LedgerLine("fee", SYMBOL, "MX", -fill.fee, fill.recv_ts_ns, reference),
    )
    return JournalEntry(order, Delivery(seq, event), fill, position, lines)


def a_position(qty: str, realized: str = "0", fees: str = "0") -> Position:
    """Make a position at a price of 60,000."""
    return Position(SYMBOL, D(qty), D(qty) * 60_000, D(realized), D(fees), 1_700_000_001_000_000_000)


def a_booked_position(fill: Fill) -> Position:
    """Make the position that accounting makes of one fill."""
    return book_fill(Position(SYMBOL), fill, INSTRUMENT)[0]


def an_accepted(order_id: str) -> OrderAccepted:
    """Make the event that the venue took an order."""
    return OrderAccepted(SYMBOL, order_id, f"v-{order_id}", 5)
