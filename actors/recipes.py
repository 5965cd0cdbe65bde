"""Recipes: picklable, plain descriptions of the actors, and of the system they belong to. May import `trading.model`.

`SystemConfig` is made once by the launcher from the settings and travels with every recipe; the builders are imported
inside the worker, so that a symbol actor's process never loads the database or web libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from trading.engine.matching_models import LatencyModel
from trading.model.session import Mode, VenueName

if TYPE_CHECKING:
    from actors.executor import ExecutorActor
    from actors.supervisor import SupervisorActor
    from actors.symbol import SymbolActor


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """Everything the actors need to know of their instance. Secrets never show in a repr.

    Attributes:
        namespace: Ray namespace of this instance. session: id of this run of the system.
        rest_url, ws_url: the venue's base URL ("http://…", without /api/v3) and WebSocket URL.
        params: strategy parameters that differ from their defaults, text by name.
        allocation: most quote units one symbol may hold. *_rate: requests per second.
        record_dir: where frames are recorded; empty records nothing. log_dir: where actors write their logs.
    """

    namespace: str
    account: str
    session: str
    mode: Mode
    venue: VenueName
    database_url: str = field(repr=False)
    rest_url: str
    ws_url: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    strategy: str
    params: tuple[tuple[str, str], ...]
    seed: int
    paper_latency: LatencyModel
    quote_asset: str
    paper_balances: tuple[tuple[str, Decimal], ...]
    allocation: Decimal
    limits: tuple[tuple[str, str], ...]
    depth_interval: str
    order_rate: float
    request_rate: float
    ip_request_rate: float
    recv_window_ms: int
    request_timeout_s: float
    connect_timeout_s: float
    drain_timeout_s: float
    halt_timeout_s: float
    lease_ttl_s: float
    orphan_policy: str
    record_dir: str
    log_dir: str
    log_level: str
    venue_time_scale: float = 1.0
    paper_queue_power: float | None = None


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """One symbol run as the supervisor asks for it. `run_number` makes its order ids; `run_id` is the run's row."""

    symbol: str
    run_id: str
    run_number: int
    strategy: str
    params: tuple[tuple[str, str], ...]
    is_paused: bool


@dataclass(frozen=True, slots=True)
class SymbolRecipe:
    """Builds a `SymbolActor`."""

    config: SystemConfig
    spec: SymbolSpec

    async def build(self, crash: Callable[[str], None]) -> SymbolActor:
        """Return the started actor."""
        from actors.wiring_symbol import build_symbol

        return await build_symbol(self.config, self.spec, crash)


@dataclass(frozen=True, slots=True)
class ExecutorRecipe:
    """Builds an `ExecutorActor`."""

    config: SystemConfig

    async def build(self, crash: Callable[[str], None]) -> ExecutorActor:
        """Return the started actor."""
        from actors.wiring_executor import build_executor

        return await build_executor(self.config, crash)


@dataclass(frozen=True, slots=True)
class SupervisorRecipe:
    """Builds a `SupervisorActor`."""

    config: SystemConfig

    async def build(self, crash: Callable[[str], None]) -> SupervisorActor:
        """Return the started actor."""
        from actors.wiring_supervisor import build_supervisor

        return await build_supervisor(self.config, crash)
