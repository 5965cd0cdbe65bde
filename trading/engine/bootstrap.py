"""What a symbol engine is started with. Pure; may import `trading.model` and `trading.engine`.

Frozen and picklable: the executor makes the bootstrap, the fleet makes the configuration, Ray carries both.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading.engine.book_sync_settings import BookSyncSettings
from trading.engine.matching_models import DEFAULT_LATENCY, DEFAULT_RULES, LatencyModel, MatchingRules, QueueModel
from trading.engine.ports import OrderRecord
from trading.model.instrument import Instrument
from trading.model.position import Position, TripRecord
from trading.model.session import HaltState

DEFAULT_BOOK_SYNC = BookSyncSettings()
NO_TRIPS = TripRecord()


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    """How one symbol is traded.

    Attributes:
        params: text by name, of the strategy and of symbol risk (`risk_...`); see `strategy.registry.parse_parameters`.
        run_number, owner_epoch: make order ids unique across restarts (`mx-<run>-<epoch>-<seq>`, base 36).
        is_paper: the paper venue runs inside the engine.
        allocation_quote: quote units this symbol may bind in position and open entries.
        seed: kept with the run; nothing shipped draws.
        queue_model, latency, matching: assumptions of paper fills.
    """

    instrument: Instrument
    strategy_name: str
    params: tuple[tuple[str, str], ...]
    run_number: int
    owner_epoch: int
    is_paper: bool
    allocation_quote: Decimal
    seed: int = 0
    queue_model: QueueModel = QueueModel.PESSIMISTIC
    latency: LatencyModel = DEFAULT_LATENCY
    matching: MatchingRules = DEFAULT_RULES
    book_sync: BookSyncSettings = DEFAULT_BOOK_SYNC


@dataclass(frozen=True, slots=True)
class SymbolBootstrap:
    """What the journal knows of the symbol: start-up and crash recovery are the same.

    `open_orders` are all orders that are not terminal, oldest first; every fill up to `last_seq` is in `position`.
    `trips`: for symbol risk's pauses after losses, which end with their time and not with a process.
    `halt`: the stricter of the halts that bind it; the shell keeps the engine from proposing what the executor denies.
    """

    position: Position
    open_orders: tuple[OrderRecord, ...] = ()
    last_seq: int = 0
    halt: HaltState = HaltState.ACTIVE
    trips: TripRecord = NO_TRIPS
