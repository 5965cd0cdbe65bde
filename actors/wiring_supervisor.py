"""Builds the supervisor inside its worker: store, Ray as symbol factory, catalog. May import `trading.adapters`.

Imported by `actors.recipes` inside the worker only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from actors import handles
from actors.clients import ExecutorHandle, SymbolHandle
from actors.ip_turns import IpTurns
from actors.recipes import SymbolRecipe, SymbolSpec, SystemConfig
from actors.supervisor import SupervisorActor
from actors.supervisor_ports import SymbolControl
from actors.supervisor_steps import SupervisorSettings
from actors.supervisor_store import PostgresSupervisorStore
from actors.symbol_names import nearest
from actors.wiring_logging import log_to_file
from trading.adapters.clock import Clock, SystemClock
from trading.adapters.mexc.clock import VenueClock
from trading.adapters.mexc.rest_public import PublicRest, PublicRestSettings
from trading.adapters.plugins import load_strategies
from trading.adapters.store.fleet import FleetStore
from trading.engine.strategy.registry import parse_parameters, register
from trading.model.errors import ConfigError, DecodeError, NotRunning, RateLimited, VenueRejected, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.session import Mode

# Of a node's public requests this part is for snapshots, connects and audits each; the rest stays free for orders,
# which share the address (design.md §5: orders first).
SNAPSHOT_SHARE = 0.3
CONNECT_SHARE = 0.3
AUDIT_SHARE = 0.05
# (part of these shares, slots saved up). Live, the account's orders leave by the same address and go first: 12 requests
# a second and 3 at once of the venue's 20 are theirs (`BudgetSettings`); snapshots and audits use what is left.
PAPER_PACE = (1.0, 3.0)
LIVE_PACE = (0.5, 1.0)
# New listings appear now and then; an unknown symbol makes us look again, but not at every request.
CATALOG_AGE_S = 60.0
# The whole list weighs 10 to 25 (mexc-protocol §3.2): undecodable frames ask for it, but not all the time.
CATALOG_AGE_MIN_S = 10.0
# Crystals drift by up to 50 ppm: 3 ms in a minute.
CLOCK_AGE_S = 60.0
CLOCK_SAMPLES = 3
_PREFIX = handles.symbol_name("")


class RaySymbolFactory:
    """Makes, finds and ends symbol actors on Ray. Implements `SymbolFactory`."""

    def __init__(self, config: SystemConfig) -> None:
        self._config = config

    async def spawn(self, spec: SymbolSpec) -> None:
        """See the port."""
        recipe = SymbolRecipe(replace(self._config, api_key="", api_secret="", database_url=""), spec)
        name = handles.symbol_name(spec.symbol)
        await asyncio.to_thread(handles.spawn, name, recipe, handles.SYMBOL_PLACEMENT)

    async def kill(self, symbol: str) -> bool:
        """See the port."""
        return await asyncio.to_thread(handles.kill, handles.symbol_name(symbol))

    async def living(self) -> frozenset[str]:
        """See the port."""
        names = await asyncio.to_thread(handles.actor_names, self._config.namespace)
        return frozenset(name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX))

    def control(self, symbol: str) -> SymbolControl:
        """See the port."""
        return SymbolHandle(symbol)


class VenueCatalog:
    """The venue's instruments as listed at the start, refreshed in the background. Implements `Catalog`."""

    def __init__(
        self,
        rest: PublicRest,
        clock: Clock,
        age_s: float = CATALOG_AGE_S,
        age_min_s: float = CATALOG_AGE_MIN_S,
        clock_age_s: float = CLOCK_AGE_S,
    ) -> None:
        """age_s: how often the list is read; age_min_s: how often at most, whoever asks; clock_age_s: /time."""
        self._rest = rest
        self._venue_clock = VenueClock(clock)
        self._clock_age_s = clock_age_s
        self._age_s = age_s
        self._age_min_s = age_min_s
        self._wake = asyncio.Event()
        self._is_read = asyncio.Event()
        self._instruments: dict[str, Instrument] = {}
        self.on_limited: Callable[[float], None] = lambda retry_after_s: None
        """Told the seconds to keep silent when the venue refuses a request for its pace. Never waits."""

    async def keep_fresh(self) -> None:
        """Read the list again and again; an outage leaves the last one standing."""
        while True:
            try:
                self._instruments = await self._rest.exchange_info()
                self._is_read.set()
                await asyncio.sleep(self._age_min_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), max(0.0, self._age_s - self._age_min_s))
                self._wake.clear()
            except RateLimited as error:
                await self._keep_silent(error)
            except (VenueUnavailable, VenueRejected, DecodeError):
                await asyncio.sleep(1.0)

    async def keep_time(self) -> None:
        """Ask for the venue's time again and again; an outage leaves what is known standing."""
        asked = 0
        while True:
            try:
                await self._venue_clock.ask(self._rest.server_time_ms)
            except RateLimited as error:
                await self._keep_silent(error)
            except (VenueUnavailable, VenueRejected, DecodeError):
                pass  # asked again below
            asked += 1
            # The surest of a few samples counts: take these soon.
            await asyncio.sleep(self._clock_age_s if asked >= CLOCK_SAMPLES else min(1.0, self._clock_age_s))

    async def _keep_silent(self, error: RateLimited) -> None:
        self.on_limited(error.retry_after_s)
        await asyncio.sleep(max(1.0, error.retry_after_s))

    def clock(self) -> tuple[int, int] | None:
        """See the port."""
        clock = self._venue_clock
        return (clock.skew_ms, clock.bound_ms) if clock.is_known else None

    def instrument(self, symbol: str) -> Instrument | None:
        """See the port."""
        return self._instruments.get(symbol)

    def refresh_soon(self) -> None:
        """See the port."""
        self._wake.set()

    async def await_list(self, timeout_s: float) -> None:
        """See the port."""
        try:
            await asyncio.wait_for(self._is_read.wait(), timeout_s)
        except TimeoutError:
            raise NotRunning("the venue has not told its symbols yet: see that it answers, then try again") from None

    def check_symbol(self, symbol: str) -> None:
        """See the port."""
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ConfigError(f"the venue has no symbol {symbol}{nearest(symbol, self._instruments)}")
        if instrument.exclusion is not None:
            raise ConfigError(f"{symbol} is not tradable: {instrument.exclusion}")

    def normal_params(self, strategy: str, params: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """See the port."""
        texts = dict(parse_parameters(strategy, params).as_texts())
        return tuple(sorted((name, texts[name]) for name, _ in params))


async def build_supervisor(config: SystemConfig, crash: Callable[[str], None]) -> SupervisorActor:
    """Return a started supervisor."""
    log_to_file(config, "supervisor")
    load_strategies(register)
    clock = SystemClock()
    rest = PublicRest(config.rest_url, clock, PublicRestSettings(config.connect_timeout_s, config.request_timeout_s, 1))
    catalog = VenueCatalog(rest, clock)
    share, burst = PAPER_PACE if config.mode is Mode.PAPER else LIVE_PACE
    settings = SupervisorSettings(
        session=config.session,
        strategy=config.strategy,
        params=config.params,
        drain_timeout_s=config.drain_timeout_s,
        ip_burst=burst,
        snapshot_rate=config.ip_request_rate * SNAPSHOT_SHARE * share,
        connect_rate=config.ip_request_rate * CONNECT_SHARE,
        audit_rate=config.ip_request_rate * AUDIT_SHARE * share,
    )
    store = PostgresSupervisorStore(FleetStore.open(config.database_url, config.account, config.session))
    actor = SupervisorActor(
        store, RaySymbolFactory(config), ExecutorHandle(config.account), catalog, clock, settings, handles.node_id()
    )

    catalog.on_limited = IpTurns(handles.node_id(), actor).tell_soon

    def on_done(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            crash(f"the {task.get_name()} ended: {type(error).__name__}: {error}")

    for name, loop in (("catalog", catalog.keep_fresh()), ("venue clock", catalog.keep_time())):
        task = asyncio.create_task(loop, name=name)
        task.add_done_callback(on_done)
        _KEPT.add(task)
    actor.start(crash)
    return actor


# asyncio holds tasks weakly; the catalog's must not be collected.
_KEPT: set[asyncio.Task[None]] = set()
