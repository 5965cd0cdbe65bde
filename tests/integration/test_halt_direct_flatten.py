"""`halt --direct --flatten`: the executor is gone; what it bought is sold, journaled, and nothing else is."""

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

from actors.cli_direct import halt_direct
from actors.cli_flatten import flatten_direct
from actors.data_dir import DataDir
from tests.embedded_database import plain_url
from tests.live_account import HANDED_OVER, SETTINGS, SYMBOL, LiveAccount, stored_journal, submit, until
from tests.simulator_process import running_simulator
from trading.adapters.store.journal import PostgresJournal
from trading.model.errors import ConfigError, Refused
from trading.model.orders import OrderType
from trading.model.session import HaltState


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[PostgresJournal]:
    async with stored_journal(database_url) as made:
        yield made


def note_down(folder: Path, rest: str, ws: str, mode: str = "live", venue: str = "sim") -> None:
    """Write down what `up` leaves in its data directory."""
    note = {"venue": venue, "mode": mode, "account": "main", "rest": rest, "ws": ws}
    DataDir(folder).remember("venue.json", json.dumps(note))


async def test_what_a_dead_executor_bought_is_sold_and_no_more(
    database_url: str, journal: PostgresJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_simulator("--symbols", SYMBOL, "--seed", "7") as simulator:
        account = LiveAccount(simulator, HANDED_OVER)
        account.journal = journal

        async def flatten(patience_s: float = 30.0) -> tuple[HaltState, bool, int | None, str]:
            report = await flatten_direct(
                "main", database_url, account.gateway(), account.instruments, replace(SETTINGS, lease_ttl_s=0.5),
                (), "gone", time.monotonic() + patience_s,
            )  # fmt: skip
            return report.state, report.confirmed, report.open_orders, report.reason

        not_ours = Decimal(account.truth()["balances"]["BTC"]["free"])
        async with account.executor("one") as executor:
            bid, ask = account.best()
            await submit(account, executor, account.intent(OrderType.IOC, ask + ask // 500))
            await until(lambda: "Filled" in account.symbol.kinds)
            await submit(account, executor, account.intent(OrderType.LIMIT_MAKER, bid * 97 // 100))
            await executor.core.outcomes.flush()
            with pytest.raises(Refused, match="not flattened"):
                await flatten()
            assert Decimal(account.truth()["balances"]["BTC"]["free"]) > not_ours
        # As the command does it: what was there before is found in the data directory and the database.
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MEXCBOT_DATABASE_URL", database_url)
        note_down(tmp_path, simulator.rest, simulator.ws)
        body = await asyncio.to_thread(halt_direct, tmp_path, (), True, "gone", 90.0)
        assert (body["state"], body["confirmed"], body["open_orders"], body["reason"]) == ("HALTED", True, 0, "gone")
        truth = account.truth()
        assert Decimal(truth["balances"]["BTC"]["free"]) == not_ours
        assert [order for order in truth["orders"] if order["status"] in ("NEW", "PARTIALLY_FILLED")] == []
        state = await account.journal.load("main")
        assert [(item.symbol, item.qty) for item in state.positions] == [(SYMBOL, 0)]
        assert state.halts == (("account", HaltState.HALTED, "gone"),)
        assert state.unfinished == ()
        assert await account.journal.audit() == ()
        with psycopg.connect(plain_url(database_url)) as link:
            ((side, kind, price, status),) = link.execute(
                "SELECT side, type, price, status FROM orders WHERE strategy = 'flatten'"
            ).fetchall()
        assert (side, kind, status) == ("SELL", OrderType.IOC, "FILLED")
        assert Decimal("0.98") < price / account.instrument.price(bid) < 1


@pytest.mark.parametrize(
    ("mode", "venue", "error", "says"), [("paper", "sim", ConfigError, "paper"), ("live", "mexc", Refused, "ARM_LIVE")]
)
def test_sale_that_cannot_be_made_is_refused_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, venue: str, error: type[Exception], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEXCBOT_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    note_down(tmp_path, "http://127.0.0.1:1", "ws://127.0.0.1:1", mode, venue)
    with pytest.raises(error, match=says):
        halt_direct(tmp_path, (), True, "", 1.0)
