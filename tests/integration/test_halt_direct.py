"""`halt --direct` against a venue: what is committed late is found, what is refused for one symbol stops no other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from actors.cli_direct import DirectSweep, Look, halt_direct
from actors.data_dir import DataDir
from tests.contract.journals import an_order
from tests.embedded_database import plain_url
from tests.live_account import SETTINGS, SYMBOL, LiveAccount
from tests.simulator_process import running_simulator
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.store.journal import PostgresJournal
from trading.engine.budget import BudgetSettings, RateBudget
from trading.engine.ports import JournalEntry, OrderRecord
from trading.model.errors import ConfigError
from trading.model.orders import OrderStatus, PlaceAccepted

Account = tuple[LiveAccount, PostgresJournal]
OTHER = "ETHUSDT"


@pytest.fixture
async def account(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[LiveAccount, PostgresJournal]]:
    with psycopg.connect(plain_url(database_url)) as link:
        link.execute(
            "INSERT INTO sessions (session_id, account, mode, venue, settings, pid, started_ns) "
            "VALUES ('s1', 'main', 'live', 'sim', '{}', 1, 1)"
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEXCBOT_DATABASE_URL", database_url)
    journal = PostgresJournal(database_url, "main", "s1")
    with running_simulator("--symbols", f"{SYMBOL},{OTHER}", "--seed", "7") as simulator:
        note = {"venue": "sim", "mode": "live", "account": "main", "rest": simulator.rest, "ws": simulator.ws}
        DataDir(tmp_path).remember("venue.json", json.dumps(note))
        made = LiveAccount(simulator, SETTINGS)
        await journal.register_instruments([made.instruments[SYMBOL], made.instruments[OTHER]], 1)
        yield made, journal
    await journal.close()


def a_resting(account: LiveAccount, name: str, symbol: str) -> OrderRecord:
    instrument = account.instruments[symbol]
    price_ticks = instrument.price_ticks(account.simulator.best(symbol)[0]) * 97 // 100
    lots = instrument.qty_lots_ceil(Decimal(20) / instrument.price(price_ticks))
    now_ms = int(time.time() * 1000)
    return replace(an_order(name, symbol=symbol), price_ticks=price_ticks, qty_lots=lots, signed_ms=now_ms, decision=())


def open_orders(account: LiveAccount) -> list[str]:
    return [row["clientOrderId"] for row in account.truth()["orders"] if row["status"] in ("NEW", "PARTIALLY_FILLED")]


async def test_order_that_was_being_committed_when_the_halt_came_is_found(account: Account, tmp_path: Path) -> None:
    live, journal = account
    lease = await journal.acquire_lease("executor:main", "an executor that lives", 120.0)
    gateway = live.gateway()
    await gateway.start(lambda event: None)
    record = a_resting(live, "mx-late-1", SYMBOL)
    halting = asyncio.create_task(asyncio.to_thread(halt_direct, tmp_path, (), False, "api gone", 60.0))
    while await journal.halts() == ():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    record = replace(record, signed_ms=gateway.now_ms())
    assert await journal.commit_intents(lease, [record]) == (record.client_order_id,)
    # As a commit whose statement began before the halt was stored: its row appears after the first look.
    await journal.commit_entries(lease, [JournalEntry(record, None)])
    assert isinstance(await gateway.place(record), PlaceAccepted)
    body = await halting
    await gateway.close()
    assert (body["confirmed"], body["open_orders"]) == (True, 0), body
    assert open_orders(live) == []
    assert [row["clientOrderId"] for row in live.truth()["orders"]] == [record.client_order_id]


async def test_symbol_that_the_venue_refuses_stops_no_other_and_its_orders_end_by_id(
    account: Account, tmp_path: Path
) -> None:
    live, journal = account
    lease = await journal.acquire_lease("executor:main", "gone", 120.0)
    gateway = live.gateway()
    await gateway.start(lambda event: None)
    for name, symbol in (("mx-r-1", SYMBOL), ("mx-r-2", OTHER)):
        record = a_resting(live, name, symbol)
        await journal.commit_intents(lease, [record])
        assert isinstance(await gateway.place(record), PlaceAccepted)
    await gateway.close()
    await journal.release_lease(lease)
    refusal = {"code": -1121, "status": 400, "path": "/api/v3/openOrders", "method": "GET"}
    live.simulator.fault("error_reply", symbol=SYMBOL, probability=1.0, params=refusal)
    body = await asyncio.to_thread(halt_direct, tmp_path, (), False, "", 10.0)
    assert open_orders(live) == []
    assert (body["confirmed"], SYMBOL in body["reason"], OTHER in body["reason"]) == (False, True, False), body
    live.simulator.clear_faults()
    body = await asyncio.to_thread(halt_direct, tmp_path, (), False, "", 60.0)
    assert (body["confirmed"], body["open_orders"]) == (True, 0), body


async def test_open_order_of_a_symbol_that_is_not_listed_any_more_is_gone_by_the_venues_word_alone(
    account: Account, tmp_path: Path
) -> None:
    live, _ = account
    record = replace(a_resting(live, "mx-u-1", SYMBOL), status=OrderStatus.OPEN)
    placing = live.gateway()
    await placing.start(lambda event: None)
    try:
        signed = replace(record, signed_ms=placing.now_ms())
        assert isinstance(await placing.place(signed), PlaceAccepted)
    finally:
        await placing.close()
    simulator = live.simulator
    instruments = {SYMBOL: live.instruments[SYMBOL].unlisted(), OTHER: live.instruments[OTHER]}
    settings = MexcGatewaySettings(simulator.rest, simulator.ws, "sim")
    gateway = MexcGateway(settings, Credentials(simulator.api_key, simulator.secret), instruments, live.clock)

    async def look() -> Look:
        return Look((), (replace(record, signed_ms=1),))

    async def swept(patience_s: float) -> tuple[str, ...]:
        budget = RateBudget(BudgetSettings(), time.time_ns())
        return await DirectSweep(gateway, budget, time.monotonic() + patience_s).run(look, time.monotonic())

    try:
        simulator.fault("error_reply", probability=1.0, params={"code": 503, "status": 503, "method": "DELETE"})
        assert await swept(0.5) == (record.client_order_id,)
        assert open_orders(live) == [record.client_order_id]
        simulator.clear_faults()
        assert await swept(60.0) == (), "the venue says that it is over, listed or not"
        assert open_orders(live) == []
    finally:
        await gateway.close()


async def test_symbol_that_nobody_knows_is_refused_before_anything_is_stored(account: Account, tmp_path: Path) -> None:
    live, journal = account
    with pytest.raises(ConfigError, match=r"AAAUSDX .*nothing was halted"):
        await asyncio.to_thread(halt_direct, tmp_path, ("AAAUSDX", SYMBOL), False, "", 5.0)
    assert await journal.halts() == ()
    live.simulator.process.kill()
    with pytest.raises(ConfigError, match="does not answer"):
        await asyncio.to_thread(halt_direct, tmp_path, ("AAAUSDX",), False, "", 5.0)
    assert await journal.halts() == ()
