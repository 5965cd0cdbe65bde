"""Builds an executor inside its worker: journal, gateway, instruments. May import `trading.adapters`.

Imported by `actors.recipes` inside the worker only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from actors import handles
from actors.clients import SupervisorHandle, SymbolHandle
from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from actors.ip_turns import IpTurns
from actors.process_identity import own_identity
from actors.recipes import SystemConfig
from actors.wiring_logging import log_to_file
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest import RestSettings
from trading.adapters.mexc.rest_public import PublicRest, PublicRestSettings
from trading.adapters.mexc.user_stream import UserStreamSettings
from trading.adapters.paper import PaperGateway
from trading.adapters.store.journal import PostgresJournal
from trading.engine.budget import BudgetSettings
from trading.engine.ports import Gateway
from trading.engine.reconcile import OrphanPolicy
from trading.model.errors import NotRunning, RateLimited, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.session import Mode

T = TypeVar("T")
RETRY_S = 0.5
log = structlog.get_logger("executor")


async def build_executor(config: SystemConfig, crash: Callable[[str], None]) -> ExecutorActor:
    """Return an executor that is coming up: it takes orders once it holds the lease and has recovered."""
    log_to_file(config, f"executor-{config.account}")
    log.info("executor_building", pid=os.getpid())
    clock = SystemClock()
    instruments: dict[str, Instrument] = {}
    journal = PostgresJournal(config.database_url, config.account, config.session)
    gateway = _gateway(config, instruments, clock)
    actor = ExecutorActor(_settings(config), journal, gateway, instruments, SymbolHandle, clock, crash)

    def on_done(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            crash(f"the executor did not start: {type(error).__name__}: {error}")

    task = asyncio.create_task(_bring_up(config, actor, journal, gateway, instruments, clock), name="bring-up")
    task.add_done_callback(on_done)
    _KEPT.add(task)
    return actor


# asyncio holds tasks weakly; a bring-up must not be collected half-way.
_KEPT: set[asyncio.Task[None]] = set()


def _settings(config: SystemConfig) -> ExecutorSettings:
    return ExecutorSettings(
        account=config.account,
        owner=f"{config.session}:{own_identity()}",
        is_paper=config.mode is Mode.PAPER,
        opening=config.paper_balances,
        allocation_quote=config.allocation,
        limits=config.limits,
        budget=BudgetSettings(orders_per_s=config.order_rate, requests_per_s=config.request_rate),
        orphan_policy=OrphanPolicy(config.orphan_policy),
        recv_window_ms=config.recv_window_ms,
        lease_ttl_s=config.lease_ttl_s,
        halt_timeout_s=config.halt_timeout_s,
    )


def _gateway(config: SystemConfig, instruments: dict[str, Instrument], clock: SystemClock) -> Gateway:
    if config.mode is Mode.PAPER:
        return PaperGateway(SymbolHandle, clock)
    settings = MexcGatewaySettings(
        rest_url=config.rest_url,
        ws_url=config.ws_url,
        venue=config.venue.value,
        rest=RestSettings(connect_timeout_s=config.connect_timeout_s, request_timeout_s=config.request_timeout_s),
        stream=UserStreamSettings().scaled(config.venue_time_scale),
        seed=config.seed,
    )
    # What one process of an address hears holds back all of them.
    turns = IpTurns(handles.node_id(), SupervisorHandle())
    credentials = Credentials(config.api_key, config.api_secret)
    return MexcGateway(settings, credentials, instruments, clock, turns.tell_soon)


async def _bring_up(
    config: SystemConfig,
    actor: ExecutorActor,
    journal: PostgresJournal,
    gateway: Gateway,
    instruments: dict[str, Instrument],
    clock: SystemClock,
) -> None:
    """Wait for the database and the venue's list, then for the lease; then recover and begin.

    What may pass by itself is waited for; anything else ends the process, and Ray starts it anew.
    """
    rest = PublicRest(config.rest_url, clock, PublicRestSettings(config.connect_timeout_s, config.request_timeout_s, 1))
    try:
        _, listed = await asyncio.gather(
            _patiently("journal", journal.open), _patiently("instruments", rest.exchange_info)
        )
    finally:
        await rest.close()
    instruments.update(listed)
    log.info("executor_connected", instruments=len(instruments))
    await _patiently("lease", actor.start)
    log.info("executor_started", account=config.account, mode=config.mode.value, instruments=len(instruments))


async def _patiently(what: str, work: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await work()
        except (NotRunning, VenueUnavailable) as error:
            log.warning("bring_up_waits", step=what, reason=str(error))
            await asyncio.sleep(max(RETRY_S, error.retry_after_s) if isinstance(error, RateLimited) else RETRY_S)
