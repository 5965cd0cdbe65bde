"""What the API reads: the contract's items, filters, pages and sums, and an order's story."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from tests.contract.journals import INSTRUMENT, ODD, SYMBOL, a_fill, a_filled, a_position, an_accepted, an_order
from tests.embedded_database import plain_url
from trading.adapters.store.database import Database
from trading.adapters.store.fleet import FleetStore
from trading.adapters.store.journal import PostgresJournal
from trading.adapters.store.pages import ChangeCursor, ListQuery
from trading.adapters.store.reads import Reads
from trading.engine.ports import JournalEntry
from trading.model.errors import ConfigError, StoreError
from trading.model.market import Side
from trading.model.orders import Delivery, OrderStatus
from trading.model.session import Lease
from trading.model.units import NS_PER_DAY

D = Decimal
T0 = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[PostgresJournal]:
    for session, mode in (("s1", "paper"), ("s2", "live")):
        store = FleetStore.open(database_url, "main", session)
        await store.begin_session(mode, "sim", {}, 1, T0 if session == "s1" else T0 + 1)
        await store.close()
    made = PostgresJournal(database_url, "main", "s1")
    await made.register_instruments([INSTRUMENT, ODD], 1)
    yield made
    await made.close()


@pytest.fixture
async def lease(journal: PostgresJournal) -> Lease:
    return await journal.acquire_lease("executor:main", "a", 60.0)


@pytest.fixture
async def reads(database_url: str) -> AsyncIterator[Reads]:
    made = Reads.open(database_url, "main")
    yield made
    await made.close()


async def _trade(journal: PostgresJournal, lease: Lease, days: int) -> None:
    """One buy and one sell of two orders each day: realized 3, then -1, fees 0.5 a fill."""
    realized, fees = D(0), D(0)
    for day in range(days):
        for step, (side, gain) in enumerate(((Side.BUY, D(3)), (Side.SELL, D(-1)))):
            realized, fees = realized + gain, fees + D("0.5")
            number = 2 * day + step
            fill = replace(a_fill(f"o{number}", f"t{number}", T0 + day * NS_PER_DAY + step), side=side)
            position = a_position("0.001", str(realized), str(fees))
            entry = a_filled(number + 1, fill, position, OrderStatus.FILLED)
            order = replace(entry.order, created_ns=fill.recv_ts_ns, side=side)
            await journal.commit_entries(lease, [replace(entry, order=order)])


async def test_order_item_has_the_contracts_shape(journal: PostgresJournal, lease: Lease, reads: Reads) -> None:
    order = replace(
        an_order("o1", OrderStatus.PARTIALLY_FILLED),
        filled_lots=3,
        filled_quote=D("18.00001"),
        venue_order_id="v1",
        sent_ns=5,
    )
    await journal.commit_intents(lease, [order])
    (item,) = (await reads.orders(ListQuery())).items
    assert item == {
        "client_order_id": "o1",
        "venue_order_id": "v1",
        "session": "s1",
        "symbol": SYMBOL,
        "mode": "paper",
        "side": "BUY",
        "type": "LIMIT_MAKER",
        "price": "60000.12",
        "qty": "0.0025",
        "filled_qty": "0.0003",
        "avg_price": "60000.03333333333",
        "status": "PARTIALLY_FILLED",
        "reason": "",
        "created_ns": order.created_ns,
        "committed_ns": order.committed_ns,
        "sent_ns": 5,
        "acked_ns": 0,
        "updated_ns": order.updated_ns,
        "purpose": "ENTRY",
        "strategy": "spread_capture",
        "run_id": "r1",
    }
    assert await reads.open_order_count() == 1


async def test_fill_and_position_items_have_the_contracts_shape(
    journal: PostgresJournal, lease: Lease, reads: Reads
) -> None:
    fill = a_fill("o1", "t1")
    await journal.commit_entries(lease, [a_filled(1, fill, a_position("0.003", "1.50", "0.25"))])
    (item,) = (await reads.fills(ListQuery())).items
    assert item == {
        "venue": "paper",
        "trade_id": "t1",
        "client_order_id": "o1",
        "venue_order_id": "v-o1",
        "symbol": SYMBOL,
        "side": "BUY",
        "price": "60000.12",
        "qty": "0.001",
        "quote_qty": "60.00012",
        "fee": "0.0000001",
        "fee_asset": "MX",
        "is_maker": True,
        "exch_ts_ns": fill.exch_ts_ns,
        "recv_ts_ns": fill.recv_ts_ns,
        "session": "s1",
        "realized_pnl": "1.5",
        "fee_quote": "0.25",
        "fee_rate_quote": "2.5",
        "fee_rate_source": "book:MXUSDT",
    }
    assert await reads.positions() == (
        {
            "symbol": SYMBOL,
            "qty": "0.003",
            "avg_price": "60000",
            "cost": "180",
            "realized_pnl": "1.5",
            "fees": "0.25",
            "updated_ns": 1_700_000_001_000_000_000,
        },
    )


async def test_pages_follow_one_another_without_gap_or_repeat(
    journal: PostgresJournal, lease: Lease, reads: Reads
) -> None:
    # Many rows of one instant: the id decides among them, and a page may end in their midst.
    orders = [replace(an_order(f"o{number:03}"), created_ns=T0 + number // 7) for number in range(50)]
    await journal.commit_intents(lease, orders)
    seen: list[str] = []
    query = ListQuery(limit=7)
    for _ in range(20):
        page = await reads.orders(query)
        seen += [item["client_order_id"] for item in page.items]
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)
    assert seen == [f"o{number:03}" for number in reversed(range(50))]
    assert (await reads.orders(ListQuery(limit=50))).next_cursor is None
    assert (await reads.orders(ListQuery(limit=49))).next_cursor is not None


async def test_lists_are_filtered_by_symbol_status_session_and_time(
    journal: PostgresJournal, lease: Lease, reads: Reads, database_url: str
) -> None:
    await journal.commit_intents(
        lease,
        [
            replace(an_order("old", OrderStatus.FILLED), created_ns=T0),
            replace(an_order("odd", symbol=ODD.symbol), created_ns=T0 + 1),
            replace(an_order("new"), created_ns=T0 + 2),
        ],
    )
    other = PostgresJournal(database_url, "main", "s2")
    await other.register_instruments([INSTRUMENT], 1)
    await other.commit_intents(lease, [replace(an_order("live"), created_ns=T0 + 3)])
    await other.close()

    async def ids(query: ListQuery) -> list[str]:
        return [item["client_order_id"] for item in (await reads.orders(query)).items]

    assert await ids(ListQuery()) == ["live", "new", "odd", "old"]
    assert await ids(ListQuery(symbol=ODD.symbol)) == ["odd"]
    assert await ids(ListQuery(status="FILLED")) == ["old"]
    assert await ids(ListQuery(session="s2")) == ["live"]
    assert await ids(ListQuery(since_ns=T0 + 2)) == ["live", "new"]
    assert await ids(ListQuery(symbol=SYMBOL, session="s1", status="SENT", since_ns=0)) == ["new"]
    assert await ids(ListQuery(symbol="'; DROP TABLE orders; --\x00")) == []
    assert await ids(ListQuery(since_ns=10**30)) == []
    assert [item["session"] for item in (await reads.sessions(ListQuery())).items] == ["s2", "s1"]
    assert [item["session"] for item in (await reads.sessions(ListQuery(status="running"))).items] == ["s2"]
    assert [item["session"] for item in (await reads.sessions(ListQuery(status="ended"))).items] == ["s1"]
    assert (await reads.sessions(ListQuery(symbol=SYMBOL))).items == ()  # no run of it was opened


async def test_fills_are_filtered_by_the_status_of_their_order(
    journal: PostgresJournal, lease: Lease, reads: Reads
) -> None:
    await _trade(journal, lease, 1)
    assert len((await reads.fills(ListQuery(status="FILLED"))).items) == 2
    assert (await reads.fills(ListQuery(status="OPEN"))).items == ()


async def test_cursor_of_another_list_is_refused(reads: Reads, journal: PostgresJournal, lease: Lease) -> None:
    await _trade(journal, lease, 1)
    cursor = (await reads.orders(ListQuery(limit=1))).next_cursor
    assert cursor is not None
    with pytest.raises(ConfigError, match="cursor: expected"):
        await reads.fills(ListQuery(cursor=cursor))


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_limit_out_of_range_is_refused(reads: Reads, limit: int) -> None:
    with pytest.raises(ConfigError, match="limit: expected 1 to 1000"):
        await reads.fills(ListQuery(limit=limit))


async def test_pnl_sums_agree_with_one_another_and_with_the_position(
    journal: PostgresJournal, lease: Lease, reads: Reads
) -> None:
    await _trade(journal, lease, 3)
    by_symbol = await reads.pnl("symbol")
    assert by_symbol == (
        {
            "key": SYMBOL,
            "symbol": SYMBOL,
            "fills": 6,
            "quote_volume": "360.00072",
            "realized": "6",
            "fees": "3",
            "net": "3",
        },
    )
    days = await reads.pnl("day")
    assert [(row["day"], row["net"]) for row in days] == [
        ("2023-11-16", "1"),
        ("2023-11-15", "1"),
        ("2023-11-14", "1"),
    ]
    assert [(row["session"], row["net"]) for row in await reads.pnl("session")] == [("s1", "3")]
    (position,) = await reads.positions()
    assert (position["realized_pnl"], position["fees"]) == (by_symbol[0]["realized"], by_symbol[0]["fees"])


async def test_order_is_explained_by_decision_events_and_fills(
    journal: PostgresJournal, lease: Lease, reads: Reads
) -> None:
    await journal.commit_intents(lease, [an_order("o1")])
    await journal.commit_entries(
        lease, [JournalEntry(an_order("o1", OrderStatus.OPEN), Delivery(1, an_accepted("o1")))]
    )
    await journal.commit_entries(lease, [a_filled(2, a_fill("o1", "t1"), a_position("0.001"))])
    story = await reads.explain("o1")
    assert story is not None
    assert story["order"]["status"] == "PARTIALLY_FILLED"
    assert list(story["decision"].items()) == [("book_version", "42"), ("edge_bps", "1.5"), ("a", "")]
    assert [(event["seq"], event["kind"]) for event in story["events"]] == [(1, "accepted"), (2, "filled")]
    assert story["events"][1]["body"]["fill"]["trade_id"] == "t1"
    assert [fill["trade_id"] for fill in story["fills"]] == ["t1"]
    assert await reads.explain("nobody") is None
    assert await reads.explain("\x00") is None


async def test_changes_begin_at_the_end_and_miss_nothing(journal: PostgresJournal, lease: Lease, reads: Reads) -> None:
    await _trade(journal, lease, 1)
    start = await reads.changes(ChangeCursor(), 100)
    assert (start.orders, start.fills, start.alerts) == ((), (), ())
    await journal.commit_entries(
        lease, [JournalEntry(an_order("n1", OrderStatus.OPEN), Delivery(3, an_accepted("n1")))]
    )
    await journal.commit_entries(lease, [a_filled(4, a_fill("n1", "x1"), a_position("0.001"))])
    await journal.commit_entries(lease, [a_filled(5, a_fill("n2", "x1"), a_position("0.002"))])
    await journal.raise_alert("alert", "one", "", None, 1)
    first = await reads.changes(start.cursor, 2)
    assert [item["client_order_id"] for item in first.orders] == ["n1"]
    assert first.orders[0]["status"] == "PARTIALLY_FILLED"
    assert [item["client_order_id"] for item in first.fills] == ["n1", "n2"]
    assert [item["name"] for item in first.alerts] == ["one"]
    second = await reads.changes(first.cursor, 2)
    assert [item["client_order_id"] for item in second.orders] == ["n2"]
    assert (second.fills, second.alerts) == ((), ())
    assert await reads.changes(second.cursor, 2) == replace(second, orders=())


async def test_nothing_of_another_account_is_read(journal: PostgresJournal, lease: Lease, database_url: str) -> None:
    await _trade(journal, lease, 1)
    stranger = Reads.open(database_url, "other")
    for page in (stranger.orders, stranger.fills, stranger.sessions, stranger.audit, stranger.alerts):
        assert (await page(ListQuery())).items == ()
    assert await stranger.positions() == await stranger.pnl("day") == ()
    assert await stranger.explain("o1") is None
    assert await stranger.open_order_count() == 0
    await stranger.close()


async def test_database_that_goes_away_is_a_store_error_and_comes_back(database_url: str, reads: Reads) -> None:
    await reads.ping()
    name = database_url.rsplit("/", 1)[1]
    server = database_url.rsplit("/", 1)[0] + "/postgres"
    with psycopg.connect(plain_url(server), autocommit=True) as link:
        link.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        link.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        with pytest.raises(StoreError, match="did not answer"):
            await reads.positions()
        link.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]
    assert await reads.positions() == ()


async def test_pool_with_every_connection_busy_says_so(database_url: str) -> None:
    database = Database(database_url, "busy", pool_size=1, pool_timeout_s=0.2)
    async with database.transaction():
        with pytest.raises(StoreError, match="in use"):
            async with database.transaction():
                pass
    await database.close()


async def test_lists_use_their_indexes(journal: PostgresJournal, lease: Lease, database_url: str) -> None:
    """With many rows, a page of each filter must not read the table."""
    for batch in range(20):
        rows = [replace(an_order(f"o{batch}-{number}"), created_ns=T0 + batch * 500 + number) for number in range(500)]
        await journal.commit_intents(lease, rows)
    with psycopg.connect(plain_url(database_url), autocommit=True) as link:
        link.execute("ANALYZE")
        for where in ("account = 'main'", f"symbol = '{SYMBOL}'", "session_id = 's1'"):
            query = f"SELECT * FROM orders WHERE {where} ORDER BY created_ns DESC, client_order_id DESC LIMIT 100"
            plan = "\n".join(str(row[0]) for row in link.execute(f"EXPLAIN {query}".encode()).fetchall())
            assert "Seq Scan" not in plan
            assert re.search(r"Index Scan Backward using orders_\w+_created_ns_client_order_id_idx", plan)
