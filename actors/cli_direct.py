"""`mexcbot halt --direct`: the halt when API and Ray are gone. Database and venue alone.

May import `trading.adapters`, `actors.data_dir` and the CLI's own files. The halt is persisted first; whatever executor
comes up later reads it before it sends anything.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.cli_api import data_dir_of
from actors.cli_output import say, sentence
from actors.data_dir import DataDir
from actors.runfile import find_instance
from simulator.settings import DEFAULT_KEY, DEFAULT_SECRET
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest_public import PublicRest
from trading.adapters.settings import Settings, load_settings
from trading.adapters.store.embedded import EmbeddedPostgres
from trading.adapters.store.journal import PostgresJournal
from trading.engine.ports import JournalState, OrderRecord
from trading.model.errors import ConfigError, NotRunning, VenueUnavailable
from trading.model.session import HaltState, Mode, VenueName

PREFIX = "mx-"
# How late the venue's queries may be after its order entry (mexc-protocol §11: patience for the lag).
QUERY_LAG_MS = 5_000
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class VenueNote:
    """What the last `up` of a data directory wrote down of its venue (no keys)."""

    venue: VenueName
    mode: Mode
    account: str
    rest: str
    ws: str


def halt_direct(data_dir: Path | None, symbol: str | None, reason: str, timeout_s: float) -> dict[str, Any]:
    """Persist HALTED, cancel our open orders at the venue, ask again until none is left; return the halt's body.

    Raises: ConfigError, NotRunning (database or venue out of reach), StoreError.
    """
    folder = DataDir(data_dir_of(data_dir))
    settings = load_settings({"data_dir": folder.path})
    server: EmbeddedPostgres | None = None
    url = settings.database_url or EmbeddedPostgres.running_url(folder.postgres)
    if url is None:
        if not (folder.postgres / "cluster").exists():
            raise NotRunning(f"{folder.path} has no database: name another --data-dir, or set MEXCBOT_DATABASE_URL")
        server = EmbeddedPostgres(folder.postgres)
        url = server.start()
    try:
        return asyncio.run(_halt(folder, settings, url, symbol, reason or "halt --direct", timeout_s))
    finally:
        if server is not None:
            server.stop()


def read_note(folder: DataDir) -> VenueNote:
    """Read what `up` wrote. Raises: ConfigError when there is nothing: then nobody knows where orders may be."""
    try:
        fields = json.loads(folder.remembered("venue.json"))
        account = folder.remembered("account") or fields["account"]
        return VenueNote(VenueName(fields["venue"]), Mode(fields["mode"]), account, fields["rest"], fields["ws"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder.path} does not say which venue it traded on: was mexcbot up ever run there?")


async def _halt(
    folder: DataDir, settings: Settings, url: str, symbol: str | None, reason: str, timeout_s: float
) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    note = read_note(folder)
    journal = PostgresJournal(url, note.account, "direct")
    try:
        await journal.open()
        scope = f"symbol:{symbol}" if symbol else "account"
        await journal.save_halt(scope, HaltState.HALTED, reason, time.time_ns())
        await journal.raise_alert("alert", "halt_direct", reason, symbol, time.time_ns())
        say(f"halt of {scope} is persisted: no executor sends orders from now on")
        if note.mode is Mode.PAPER:
            left = await _await_paper(folder, journal, note.account, symbol, deadline)
        else:
            left = await _cancel_live(note, settings, await journal.load(note.account), symbol, deadline)
    finally:
        await journal.close()
    return {
        "state": HaltState.HALTED.value,
        "confirmed": not left,
        "open_orders": len(left),
        "verified_at_ns": time.time_ns(),
        "reason": reason if not left else f"{reason}: {_names(left)} still open or of unknown outcome",
    }


async def _await_paper(
    folder: DataDir, journal: PostgresJournal, account: str, symbol: str | None, deadline: float
) -> tuple[str, ...]:
    """Wait until the living executor has cancelled; without an instance no paper venue exists, so nothing is open."""
    while True:
        try:
            find_instance(folder.path)
        except NotRunning:
            return ()
        left = tuple(order.client_order_id for order in _of(await journal.load(account), symbol))
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(POLL_S)


async def _cancel_live(
    note: VenueNote, settings: Settings, state: JournalState, symbol: str | None, deadline: float
) -> tuple[str, ...]:
    """Cancel ours, one by one, until the venue shows none and every unfinished intent is explained."""
    credentials = settings.credentials()
    if credentials is None and note.venue is VenueName.SIM:
        credentials = Credentials(DEFAULT_KEY, DEFAULT_SECRET)
    if credentials is None:
        raise ConfigError("cancelling on MEXC needs keys: set MEXCBOT_API_KEY and MEXCBOT_API_SECRET")
    rest = PublicRest(note.rest)
    try:
        instruments = await rest.exchange_info()
    except VenueUnavailable as error:
        raise NotRunning(f"the halt is persisted, but the venue {note.rest} does not answer: {error}") from error
    finally:
        await rest.close()
    names = {order.symbol for order in state.unfinished} | {name for name, _ in state.symbol_epochs}
    symbols = sorted({symbol} if symbol else names & set(instruments))
    gateway = MexcGateway(
        MexcGatewaySettings(note.rest, note.ws, note.venue.value, start_patience_s=0.0),
        credentials,
        instruments,
        SystemClock(),
    )
    await gateway.start(lambda event: None)
    left: tuple[str, ...] = ("the venue did not answer",)
    try:
        while True:
            try:
                left = await _cancel_once(gateway, symbols, _of(state, symbol))
            except VenueUnavailable as error:
                say(f"the venue did not answer ({sentence(error)}): asking again")
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(POLL_S)
    finally:
        await gateway.close()


async def _cancel_once(
    gateway: MexcGateway, symbols: Sequence[str], unfinished: Sequence[OrderRecord]
) -> tuple[str, ...]:
    """Cancel every open order of ours and return the ids that are still open or unexplained. Foreign ones are left."""
    ours = [order for order in await gateway.open_orders(symbols) if order.client_order_id.startswith(PREFIX)]
    for order in ours:
        await gateway.cancel(order.symbol, order.client_order_id, order.venue_order_id)
    left = [order.client_order_id for order in ours]
    for record in unfinished:
        found = await gateway.order(record.symbol, record.client_order_id)
        is_late_possible = gateway.now_ms() < record.signed_ms + record.recv_window_ms + QUERY_LAG_MS
        if (found is None and is_late_possible) or (found is not None and not found.status.is_terminal):
            left.append(record.client_order_id)
    return tuple(dict.fromkeys(left))


def _of(state: JournalState, symbol: str | None) -> tuple[OrderRecord, ...]:
    return tuple(order for order in state.unfinished if symbol is None or order.symbol == symbol)


def _names(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
