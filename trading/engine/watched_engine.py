"""An engine with listeners: what they see is exactly what it is told and what it wants. Pure.

May import `trading.model` and `trading.engine`. Listeners decide nothing: without them the actions are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from trading.engine.bootstrap import SymbolBootstrap, SymbolConfig
from trading.engine.engine import SymbolEngine
from trading.engine.engine_view import EngineView
from trading.engine.messages import Action, EngineEvent
from trading.engine.shadow_twin import ShadowTwin


class EngineWatcher(Protocol):
    """A listener. Must not raise and must not block."""

    def before(self, event: EngineEvent, now_ns: int) -> None:
        """Hear the input of a step before it is taken."""
        ...

    def after(self, event: EngineEvent, now_ns: int, actions: Sequence[Action], engine: SymbolEngine) -> None:
        """Hear what came out of it; the engine is for reading."""
        ...


class WatchedEngine(SymbolEngine):
    """A `SymbolEngine` with listeners, among them perhaps the shadow twin of its live orders."""

    def __init__(
        self,
        config: SymbolConfig,
        bootstrap: SymbolBootstrap,
        watchers: Sequence[EngineWatcher],
        twin: ShadowTwin | None = None,
    ) -> None:
        super().__init__(config, bootstrap)
        self._twin = twin
        self._watchers: tuple[EngineWatcher, ...] = (*watchers, *((twin,) if twin is not None else ()))

    def step(self, event: EngineEvent, now_ns: int) -> list[Action]:
        """Take one event, as `SymbolEngine.step` does."""
        for watcher in self._watchers:
            watcher.before(event, now_ns)
        actions = super().step(event, now_ns)
        for watcher in self._watchers:
            watcher.after(event, now_ns, actions, self)
        return actions

    def view(self) -> EngineView:
        """Return the state, with what the twin has found."""
        view = super().view()
        return view if self._twin is None else replace(view, twin=self._twin.report())
