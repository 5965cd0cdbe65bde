"""The strategies known by name, and their parameters read from text. Pure: `trading.model`, `trading.engine`.

The shipped ones are here; `trading.adapters.plugins.load_strategies(register)` adds those of other packages at start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from hashlib import sha256
from typing import Any

from trading.engine import parameters
from trading.engine.parameters import Declaration
from trading.engine.risk import SymbolRiskLimits
from trading.engine.strategy.market_maker import MarketMaker
from trading.engine.strategy.protocol import Strategy
from trading.engine.strategy.spread_capture import SpreadCapture
from trading.model.errors import ConfigError
from trading.model.instrument import Instrument

_SHIPPED: dict[str, type[Any]] = {SpreadCapture.name: SpreadCapture, MarketMaker.name: MarketMaker}
_KNOWN: dict[str, type[Any]] = dict(_SHIPPED)


@dataclass(frozen=True, slots=True)
class SymbolParameters:
    """All that `--set` can say of one symbol: the strategy's own parameters and the limits of symbol risk."""

    strategy_name: str
    strategy: Any
    risk: SymbolRiskLimits

    def as_texts(self) -> tuple[tuple[str, str], ...]:
        """Render every value; `parse_parameters` reads them back."""
        return parameters.as_texts(self.strategy) + parameters.as_texts(self.risk)

    def changes(self) -> str:
        """Return what differs from the defaults, as `name=value name=value`; kept with every order.

        White space and % within a value are percent-encoded (RFC 3986, UTF-8).
        """
        declared = {item.name: item.default for item in declarations(self.strategy_name)}
        return " ".join(f"{name}={_one_word(value)}" for name, value in self.as_texts() if declared[name] != value)

    def digest(self) -> str:
        """Return a short name of exactly these values, kept with every order."""
        text = "\n".join(f"{name}={value}" for name, value in self.as_texts())
        return sha256(f"{self.strategy_name}\n{text}".encode()).hexdigest()[:12]


def _one_word(text: str) -> str:
    """Percent-encode what would end a word, and the sign of that."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in sign.encode()) if sign.isspace() or sign == "%" else sign for sign in text
    )


def register(name: str, strategy_class: Any) -> None:
    """Add a strategy of another package.

    Raises: ConfigError when the name is taken by another class, or the class does not look like a `Strategy`.
    """
    known = _KNOWN.get(name)
    if known is not None and known is not strategy_class:
        raise ConfigError(f"strategy {name!r} is already taken by {known.__module__}.{known.__qualname__}")
    parameters_class = getattr(strategy_class, "parameters_class", None)
    if not callable(getattr(strategy_class, "decide", None)) or not is_dataclass(parameters_class):
        raise ConfigError(f"strategy {name!r}: expected a class with decide() and a dataclass parameters_class")
    _KNOWN[name] = strategy_class


def names() -> tuple[str, ...]:
    """List the strategies that can be asked for."""
    return tuple(sorted(_KNOWN))


def strategy_class(name: str) -> type[Any]:
    """Return a strategy's class. Raises: ConfigError naming those that exist."""
    found = _KNOWN.get(name)
    if found is None:
        raise ConfigError(f"unknown strategy {name!r}; known are: {', '.join(names())}")
    return found


def build(values: SymbolParameters, instrument: Instrument) -> Strategy:
    """Make the strategy of one symbol."""
    made: Strategy = strategy_class(values.strategy_name)(instrument, values.strategy)
    return made


def declarations(name: str) -> tuple[Declaration, ...]:
    """List what can be set for a strategy: its own parameters, then those of symbol risk."""
    found = strategy_class(name)
    return parameters.declarations(found.parameters_class) + parameters.declarations(SymbolRiskLimits)


def parse_parameters(
    name: str, values: Mapping[str, str] | Iterable[tuple[str, str]], base: SymbolParameters | None = None
) -> SymbolParameters:
    """Read parameters from text, over `base` or the defaults; whole or not at all.

    Raises: ConfigError for an unknown strategy or parameter, or a value out of range, in one sentence.
    """
    found = strategy_class(name)
    given = dict(values)
    risk_names = {item.name for item in fields(SymbolRiskLimits)}
    own_names = {item.name for item in fields(found.parameters_class)}
    unknown = sorted(set(given) - risk_names - own_names)
    if unknown:
        known = ", ".join(sorted(own_names | risk_names))
        raise ConfigError(f"{name} has no parameter {unknown[0]!r}; known are: {known}")
    own = {key: text for key, text in given.items() if key in own_names}
    risk = {key: text for key, text in given.items() if key in risk_names}
    return SymbolParameters(
        name,
        parameters.parse(found.parameters_class, own, base.strategy if base is not None else None),
        parameters.parse(SymbolRiskLimits, risk, base.risk if base is not None else None),
    )
