"""`mexcbot halt --direct`: the halt when API and Ray are gone. Database and venue alone.

May import `trading.adapters`, `trading.engine`, `actors.data_dir` and the CLI's own files. The halt is persisted first;
whatever executor comes up later reads it before it sends anything. Calls keep to the account's rate budget.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from actors.cli_api import data_dir_of
from actors.cli_database import open_database
from actors.cli_output import say, sentence
from actors.data_dir import DataDir
from actors.process_identity import is_certainly_dead
from actors.runfile import find_instance
from simulator.settings import DEFAULT_KEY, DEFAULT_SECRET
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest_public import PublicRest
from trading.adapters.settings import Settings, load_settings
from trading.adapters.store.journal import PostgresJournal
from trading.engine.account import ACCOUNT_SCOPE, symbol_scope
from trading.engine.budget import BudgetSettings, RateBudget
from trading.engine.ports import JournalState, OrderRecord
from trading.engine.reconcile import OUR_PREFIX, plan_sweep
from trading.model.errors import ConfigError, NotRunning, RateLimited, Refused, VenueRejected, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.orders import OrderStatus
from trading.model.session import HaltState, Mode, VenueName

# How late the venue's queries may be after its order entry (mexc-protocol §11: patience for the lag).
QUERY_LAG_MS = 5_000
POLL_S = 0.5
# What an executor that may live was committing when the halt was stored stands after this (some of its polls, too);
# from then on the journal takes no order of the scope, and shows every one that can still reach the venue.
SETTLE_S = 2.0
TOKEN_WAIT_S = 0.02
# openOrders takes at most five symbols a request (mexc-protocol §3.4).
SYMBOLS_A_CALL = 5
# Somebody who only reads is done in three seconds.
DATABASE_PATIENCE_S = 10.0
NOT_SETTLED = "what a living executor was committing"
T = TypeVar("T")
_UNANSWERED = frozenset({OrderStatus.PENDING, OrderStatus.SENT, OrderStatus.UNKNOWN})


@dataclass(frozen=True, slots=True)
class VenueNote:
    """What the last `up` of a data directory wrote down of its venue (no keys)."""

    venue: VenueName
    mode: Mode
    account: str
    rest: str
    ws: str


def halt_direct(
    data_dir: Path | None, symbols: Sequence[str], is_flatten: bool, reason: str, timeout_s: float
) -> dict[str, Any]:
    """Persist HALTED, cancel our open orders at the venue, ask again until none is left; return the halt's body.

    Args: symbols: those to halt; none for the whole account. is_flatten: sell what is held, after the cancels.

    Raises: ConfigError, NotRunning (database or venue out of reach), Refused (not flattened), StoreError.
    """
    folder = DataDir(data_dir_of(data_dir))
    settings = load_settings({"data_dir": folder.path})
    if is_flatten:
        _check_flatten(read_note(folder), settings)
    if settings.database_url is None and not (folder.postgres / "cluster").exists():
        raise NotRunning(f"{folder.path} has no database: name another --data-dir, or set MEXCBOT_DATABASE_URL")
    with open_database(data_dir, None, is_made=False, patience_s=DATABASE_PATIENCE_S) as url:
        return asyncio.run(_halt(folder, settings, url, symbols, is_flatten, reason or "halt --direct", timeout_s))


def read_note(folder: DataDir) -> VenueNote:
    """Read what `up` wrote. Raises: ConfigError when there is nothing: then nobody knows where orders may be."""
    try:
        fields = json.loads(folder.remembered("venue.json"))
        account = folder.remembered("account") or fields["account"]
        return VenueNote(VenueName(fields["venue"]), Mode(fields["mode"]), account, fields["rest"], fields["ws"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder.path} does not say which venue it traded on: was mexcbot up ever run there?")


def _check_flatten(note: VenueNote, settings: Settings) -> None:
    """Refuse, before anything is touched, a sale that cannot be made. Raises: ConfigError, Refused."""
    if note.mode is Mode.PAPER:
        raise ConfigError("a paper account is only sold by its running symbols: leave out --direct or --flatten")
    if note.venue is VenueName.MEXC and not settings.arm_live:
        raise Refused("--direct --flatten sends orders to MEXC: set MEXCBOT_ARM_LIVE=true when you mean it")


async def _halt(
    folder: DataDir,
    settings: Settings,
    url: str,
    symbols: Sequence[str],
    is_flatten: bool,
    reason: str,
    timeout_s: float,
) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    note = read_note(folder)
    journal = PostgresJournal(url, note.account, "direct")
    try:
        await journal.open()
        state = await journal.load(note.account)
        await _check_symbols(note, state, symbols)
        scopes = [symbol_scope(symbol) for symbol in symbols] or [ACCOUNT_SCOPE]
        for scope in scopes:
            await journal.save_halt(scope, HaltState.HALTED, reason, time.time_ns())
        named = symbols[0] if len(symbols) == 1 else None
        await journal.raise_alert("alert", "halt_direct", reason, named, time.time_ns())
        say(f"halt of {', '.join(scopes)} is persisted: no executor sends orders from now on")
        settled = time.monotonic() + (SETTLE_S if await _may_live(journal, note.account) else 0.0)
        if note.mode is Mode.PAPER:
            left = await _await_paper(folder, journal, note.account, symbols, settled, deadline)
        else:
            venue = await _reach_venue(note, settings, state)
            left = await _cancel_live(venue, journal, symbols, settled, deadline)
            if is_flatten:
                return await _flatten(venue, settings, url, symbols, reason, deadline)
    finally:
        await journal.close()
    return {
        "state": HaltState.HALTED.value,
        "confirmed": not left,
        "open_orders": len(left),
        "verified_at_ns": time.time_ns(),
        "reason": reason if not left else f"{reason}: {_names(left)} still open or of unknown outcome",
    }


async def _check_symbols(note: VenueNote, state: JournalState, symbols: Sequence[str]) -> None:
    """Refuse a name that neither this account nor its venue knows, before a halt of it is stored for ever.

    Raises: ConfigError.
    """
    known = {name for name, _ in state.symbol_epochs} | {order.symbol for order in state.unfinished}
    known |= {position.symbol for position in state.positions}
    unknown = sorted(set(symbols) - known)
    if not unknown:
        return
    rest = PublicRest(note.rest)
    try:
        unknown = sorted(set(unknown) - (await rest.exchange_info()).keys())
        why = "nor is it listed by the venue"
    except VenueUnavailable:
        why = "and the venue does not answer"
    finally:
        await rest.close()
    if unknown:
        raise ConfigError(f"--symbol: {', '.join(unknown)} was never traded here, {why}; nothing was halted")


async def _may_live(journal: PostgresJournal, account: str) -> bool:
    """Tell whether an executor may be running: somebody holds the account's lease, and is not dead for certain."""
    holder = await journal.lease_holder(f"executor:{account}")
    return bool(holder) and not is_certainly_dead(holder)


async def _await_paper(
    folder: DataDir, journal: PostgresJournal, account: str, symbols: Sequence[str], settled: float, deadline: float
) -> tuple[str, ...]:
    """Wait until the living executor has cancelled; with no executor no paper venue exists, so nothing is open."""
    while True:
        began = time.monotonic()
        try:
            find_instance(folder.path)
        except NotRunning:
            if not await _may_live(journal, account):
                return ()
        left = tuple(order.client_order_id for order in _of(await journal.load(account), symbols))
        if not left and began < settled:
            left = (NOT_SETTLED,)
        if not left or began > deadline:
            return left
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class ReachedVenue:
    """The venue that an account traded on, with what it lists or was traded there, and the keys to it."""

    note: VenueNote
    credentials: Credentials
    instruments: dict[str, Instrument]
    budget: BudgetSettings

    def gateway(self) -> MexcGateway:
        """Make a gateway; it is not started."""
        settings = MexcGatewaySettings(self.note.rest, self.note.ws, self.note.venue.value, start_patience_s=0.0)
        return MexcGateway(settings, self.credentials, self.instruments, SystemClock())


async def _reach_venue(note: VenueNote, settings: Settings, state: JournalState) -> ReachedVenue:
    """Raises: ConfigError without keys, NotRunning when the venue does not answer."""
    credentials = settings.credentials()
    if credentials is None and note.venue is VenueName.SIM:
        credentials = Credentials(DEFAULT_KEY, DEFAULT_SECRET)
    if credentials is None:
        raise ConfigError("cancelling on MEXC needs keys: set MEXCBOT_API_KEY and MEXCBOT_API_SECRET")
    rest = PublicRest(note.rest)
    try:
        listed = await rest.exchange_info()
    except VenueUnavailable as error:
        raise NotRunning(f"the halt is persisted, but the venue {note.rest} does not answer: {error}") from error
    finally:
        await rest.close()
    budget = BudgetSettings(orders_per_s=settings.order_rate, requests_per_s=settings.request_rate)
    traded = {item.symbol: item.unlisted() for item in state.instruments}
    return ReachedVenue(note, credentials, {**traded, **listed}, budget)


async def _flatten(
    venue: ReachedVenue, settings: Settings, url: str, symbols: Sequence[str], reason: str, deadline: float
) -> dict[str, Any]:
    from actors.cli_flatten import flatten_direct, settings_of_sale

    say("selling what is held, with bounded prices")
    sale = settings_of_sale(settings, venue.budget)
    report = await flatten_direct(
        venue.note.account, url, venue.gateway(), venue.instruments, sale, symbols, reason, deadline
    )
    return {**asdict(report), "state": report.state.value}


async def _cancel_live(
    venue: ReachedVenue, journal: PostgresJournal, chosen: Sequence[str], settled: float, deadline: float
) -> tuple[str, ...]:
    """Cancel ours until the venue shows none and every unfinished intent is explained."""

    async def look() -> Look:
        state = await journal.load(venue.note.account)
        names = {order.symbol for order in state.unfinished} | {name for name, _ in state.symbol_epochs}
        listed = {name for name, item in venue.instruments.items() if item.is_listed}
        return Look(tuple(sorted(set(chosen or names) & listed)), _of(state, chosen))

    gateway = venue.gateway()
    await gateway.start(lambda event: None)
    sweep = DirectSweep(gateway, RateBudget(venue.budget, time.time_ns()), deadline)
    try:
        return await sweep.run(look, settled)
    finally:
        await gateway.close()


@dataclass(frozen=True, slots=True)
class Look:
    """What the journal says: the symbols to sweep, of those that the venue lists, and the orders that are not over."""

    symbols: tuple[str, ...]
    unfinished: tuple[OrderRecord, ...]


class DirectSweep:
    """Ends all open orders of ours in some symbols by the fewest calls; foreign ones are left. One deadline for all.

    What is refused for one symbol stops none of the others.
    """

    def __init__(self, gateway: MexcGateway, budget: RateBudget, deadline: float) -> None:
        """Args: deadline: by `time.monotonic`."""
        self._gateway = gateway
        self._budget = budget
        self._deadline = deadline
        self._seen: list[str] = []

    async def run(self, look: Callable[[], Awaitable[Look]], settled: float) -> tuple[str, ...]:
        """Cancel and ask again until nothing is left, or time is up; return the ids that are open or unexplained.

        Args: look: reads the journal; asked anew each time. settled: by `time.monotonic`; no earlier look is the last.
        """
        left: tuple[str, ...] = ("the venue did not answer",)
        while True:
            began = time.monotonic()
            try:
                left = await self._once(await look())
                if left:
                    say(f"{len(left)} orders of ours were open or of unknown outcome: cancelled, asking again")
                elif began < settled:
                    left = (NOT_SETTLED,)
            except RateLimited as error:
                self._budget.on_rate_limited(error.retry_after_s, time.time_ns(), error.is_firewall)
                say(f"the venue wants a pause of {error.retry_after_s:g} s")
                left = tuple(self._seen) or left
            except VenueUnavailable as error:
                left = tuple(self._seen) or left
                say(f"the venue did not answer ({sentence(error)}): asking again")
            if not left or time.monotonic() > self._deadline:
                return left
            await asyncio.sleep(POLL_S)

    async def _once(self, look: Look) -> tuple[str, ...]:
        self._seen = left = list[str]()
        listed = set(look.symbols)
        for at in range(0, len(look.symbols), SYMBOLS_A_CALL):
            for symbol in await self._sweep(look.symbols[at : at + SYMBOLS_A_CALL]):
                left.append(f"{symbol} (its open orders were not listed)")
                listed.discard(symbol)
        for record in look.unfinished:
            if await self._is_left(record, record.symbol in listed):
                left.append(record.client_order_id)
        return tuple(dict.fromkeys(left))

    async def _sweep(self, batch: Sequence[str]) -> tuple[str, ...]:
        """End what the venue lists for these symbols; return those of which it did not say. Raises: RateLimited."""
        try:
            shown = await self._read(self._gateway.open_orders(batch))
            self._seen += [item.client_order_id for item in shown if item.client_order_id.startswith(OUR_PREFIX)]
            plan = plan_sweep(batch, shown, (), {})
            if plan.bulk:
                await self._order(self._gateway.cancel_all(plan.bulk))
            for order in plan.single:
                await self._cancel(order.symbol, order.client_order_id, order.venue_order_id)
        except RateLimited:
            raise
        except VenueUnavailable as error:
            self._go_on(error)
            if len(batch) > 1 and isinstance(error.__context__, VenueRejected):
                return tuple([name for symbol in batch for name in await self._sweep([symbol])])
            return tuple(batch)
        return ()

    async def _is_left(self, record: OrderRecord, is_listed: bool) -> bool:
        """Ask for one order of the journal; end it by its id where the venue does not list what is open."""
        # An acknowledged order that the list of open ones lacks is over, once the list cannot lag any more.
        is_late_possible = self._gateway.now_ms() < record.signed_ms + record.recv_window_ms + QUERY_LAG_MS
        is_answered = record.status not in _UNANSWERED
        if record.client_order_id in self._seen or (is_listed and is_answered and not is_late_possible):
            return False
        if not is_listed:
            await self._cancel(record.symbol, record.client_order_id, record.venue_order_id)
        try:
            word = await self._read(self._gateway.order(record.symbol, record.client_order_id))
        except RateLimited:
            raise
        except VenueUnavailable as error:
            self._go_on(error)
            return True
        return is_late_possible if word is None else not word.status.is_terminal

    async def _cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> None:
        try:
            await self._order(self._gateway.cancel(symbol, client_order_id, venue_order_id))
        except RateLimited:
            raise
        except VenueUnavailable as error:
            self._go_on(error)

    def _go_on(self, error: VenueUnavailable) -> None:
        """Say what failed, so that the rest can be ended. Raises: the error, when time is up."""
        if time.monotonic() > self._deadline:
            raise error
        say(f"{sentence(error)}: going on with the others")

    async def _read(self, call: Coroutine[Any, Any, T]) -> T:
        return await self._paced(call, lambda: self._budget.try_read(1, time.time_ns()))

    async def _order(self, call: Coroutine[Any, Any, T]) -> T:
        return await self._paced(call, lambda: self._budget.try_order(time.time_ns()))

    async def _paced(self, call: Coroutine[Any, Any, T], is_allowed: Callable[[], bool]) -> T:
        """Make a call as soon as the budget allows. Raises: VenueUnavailable also when time is up before."""
        while not is_allowed() and not self._budget.try_probe(time.time_ns()):
            if time.monotonic() > self._deadline:
                call.close()
                raise VenueUnavailable("time is up")
            await asyncio.sleep(TOKEN_WAIT_S)
        refusals = self._budget.rate_limited
        answer = await call
        self._budget.on_let_in(refusals, time.time_ns())
        return answer


def _of(state: JournalState, symbols: Sequence[str]) -> tuple[OrderRecord, ...]:
    return tuple(order for order in state.unfinished if not symbols or order.symbol in symbols)


def _names(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
