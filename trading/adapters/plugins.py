"""Strategies of other packages: the entry-point group `mexcbot.strategies`. May import `trading.model`.

A package adds a strategy without touching this one:

    [project.entry-points."mexcbot.strategies"]
    my_strategy = "my_package.my_module:MyStrategy"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trading.model.errors import ConfigError

GROUP = "mexcbot.strategies"
OURS = Path(__file__).parents[1]


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


def code_of(name: str, strategy_class: type[Any], found: Iterable[EntryPoint] | None = None) -> tuple[str, ...]:
    """Name the code a strategy's decisions come from: the same answer, the same decisions on the same market.

    Our engine and model by a hash of their sources; a strategy of another package by its distribution, version and a
    hash of that package's files too (data files with them: a strategy may read some).
    """
    parts = [_hash_of((OURS / "engine", OURS / "model"))]
    packages = {strategy_class.__module__.partition(".")[0]}
    for point in entry_points(group=GROUP) if found is None else found:
        if point.name == name:
            parts.append(f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value)
            packages.add(point.module.partition(".")[0])
    parts += [f"{package} {_hash_of(_files_of(package))}" for package in sorted(packages - {OURS.name})]
    return tuple(parts)


def _files_of(package: str) -> tuple[Path, ...]:
    spec = find_spec(package)
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(Path(place) for place in spec.submodule_search_locations)
    return (Path(spec.origin),) if spec.has_location and spec.origin is not None else ()


def _hash_of(places: Iterable[Path]) -> str:
    digest = sha256()
    for place in places:
        files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        for path in files:
            if "__pycache__" in path.parts:
                continue
            with path.open("rb") as file:
                digest.update(f"{path.relative_to(place.parent)} {file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
