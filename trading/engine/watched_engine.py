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
from trading.engine.messages import Action, EngineEvent, NoteRaised
from trading.engine.shadow_twin import ShadowTwin


class EngineWatcher(Protocol):
    """A listener. Must not block; one that raises is dropped."""

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
        """Take one event, as `SymbolEngine.step` does. A listener that fails is dropped, and that is said."""
        dropped: list[Action] = []
        for watcher in self._watchers:
            try:
                watcher.before(event, now_ns)
            except Exception as error:  # noqa: BLE001 - whatever a listener does, the engine decides as without it
                dropped.append(self._drop(watcher, error))
        actions = super().step(event, now_ns)
        for watcher in self._watchers:
            try:
                watcher.after(event, now_ns, actions, self)
            except Exception as error:  # noqa: BLE001 - as above
                dropped.append(self._drop(watcher, error))
        return actions + dropped if dropped else actions

    def _drop(self, watcher: EngineWatcher, error: Exception) -> NoteRaised:
        self._watchers = tuple(item for item in self._watchers if item is not watcher)
        if watcher is self._twin:
            self._twin = None
        text = f"{type(error).__name__}: {error}"
        return NoteRaised("warning", "watcher_dropped", (("watcher", type(watcher).__name__), ("error", text)))

    def view(self) -> EngineView:
        """Return the state, with what the twin has found."""
        view = super().view()
        return view if self._twin is None else replace(view, twin=self._twin.report())
