"""Writes down everything an engine is told, so that each of its decisions can be derived again (promise 10).

May import `trading.model`, `trading.engine` and the rows. Lives in the symbol actor's process: no pyarrow.

Rows, in the segments of the market recording, in the order of the steps:

    engine:start     [SymbolConfig, SymbolBootstrap]: a new life of the engine
    engine:step      int64 little endian: `now_ns` of a step whose event is the next one of the frame recorded before
    engine:event     [now_ns, event]: a step by anything else: timers, order events, verdicts, parameters, snapshots, …
    engine:intent    [OrderIntent, steps]: what such a step wanted to have placed (an output: to compare with), and
                     the steps since the start, so that one that is missing is noticed (older recordings: OrderIntent)
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Protocol

from trading.adapters.recording.plain_values import dumps
from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.messages import Action, EngineEvent, PlaceOrder
from trading.model.market import BestQuote, BookDelta, MarketTrade

ENGINE_START = "engine:start"
ENGINE_STEP = "engine:step"
ENGINE_EVENT = "engine:event"
ENGINE_INTENT = "engine:intent"
FROM_FRAMES = (BookDelta, MarketTrade, BestQuote)
"""Events that come out of frames and nowhere else: the frame itself is recorded, the event is decoded from it again."""

NOW = Struct("<q")


class InputTap(Protocol):
    """Where inputs are written; see `recorder.SegmentRecorder.on_input`. Must not raise and must not block."""

    def on_input(self, stream: str, payload: bytes) -> None:
        """Take a row, after everything that was taken before."""
        ...


class InputRecorder:
    """Writes down what an engine is told, before it acts on it, and the intents that come out. A watcher of it."""

    def __init__(self, config: SymbolConfig, bootstrap: SymbolBootstrap, tap: InputTap) -> None:
        """Begin a life: config and bootstrap are those the engine is built with."""
        self._tap = tap
        self._steps = 0
        tap.on_input(ENGINE_START, dumps((config, bootstrap)))

    def before(self, event: EngineEvent, now_ns: int) -> None:
        """Record the input of a step."""
        self._steps += 1
        if isinstance(event, FROM_FRAMES):
            self._tap.on_input(ENGINE_STEP, NOW.pack(now_ns))
        else:
            self._tap.on_input(ENGINE_EVENT, dumps((now_ns, event)))

    def after(self, event: EngineEvent, now_ns: int, actions: Sequence[Action], engine: SymbolEngine) -> None:
        """Record the intents it made."""
        for action in actions:
            if isinstance(action, PlaceOrder):
                self._tap.on_input(ENGINE_INTENT, dumps((action.intent, self._steps)))
