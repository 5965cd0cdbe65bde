"""Strategies of other packages: the entry-point group `mexcbot.strategies`. May import `trading.model`.

A package adds a strategy without touching this one:

    [project.entry-points."mexcbot.strategies"]
    my_strategy = "my_package.my_module:MyStrategy"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from trading.model.errors import ConfigError

GROUP = "mexcbot.strategies"


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What loading found. `failed`: (name, reason) of plug-ins that are left out; the others work."""

    loaded: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def load_strategies(register: Callable[[str, Any], None], found: Iterable[EntryPoint] | None = None) -> PluginReport:
    """Load every installed strategy and hand it to `register(name, strategy_class)`, in order of name.

    Args:
        register: the engine's registry; it raises ConfigError for what it does not take (name taken, no strategy).
        found: entry points to load; default: those of the installed packages.
    Guarantee: a broken plug-in never stops the start and never hides another one; it is in the report.
    """
    loaded: list[str] = []
    failed: list[tuple[str, str]] = []
    for point in sorted(entry_points(group=GROUP) if found is None else found, key=lambda point: point.name):
        try:
            register(point.name, point.load())
        except ConfigError as error:
            failed.append((point.name, str(error)))
        except Exception as error:  # noqa: BLE001 - the code is not ours: importing it may raise anything
            failed.append((point.name, f"{point.value} cannot be loaded: {type(error).__name__}: {error}"))
        else:
            loaded.append(point.name)
    return PluginReport(tuple(loaded), tuple(failed))
