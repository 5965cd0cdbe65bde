"""What a replay answers. Pure; may import `trading.model`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading.model.units import ZERO, plain


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One queue model's outcome, quote units; what is still held counts at the last bid.

    gross: realised and unrealised gain without fees. net: gross - fees, as everywhere in the system. held: base units
    left at the end. closing_fee: what a taker would pay to sell them at that bid; in no other figure but `net_closed`.
    """

    fills: int
    traded: Decimal
    gross: Decimal
    fees: Decimal
    held: Decimal
    closing_fee: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """gross - fees."""
        return self.gross - self.fees

    @property
    def net_closed(self) -> Decimal:
        """net - closing_fee: what results are compared by, so that holding on to the end is no way to save a fee."""
        return self.net - self.closing_fee

    def as_dict(self) -> dict[str, int | str]:
        """Render for JSON, decimals as text."""
        return {
            "fills": self.fills,
            "gross": plain(self.gross),
            "fees": plain(self.fees),
            "net": plain(self.net),
            "traded": plain(self.traded),
            "held": plain(self.held),
            "closing_fee": plain(self.closing_fee),
        }


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The outcome of one replay.

    Attributes:
        events: market events taken. orders: intents made. denied: how many of them the account refused.
        order_log: one line per order step, free of all that differs between sessions; its hash names the decisions.
        refusals: (reason, count), see `risk.RefusalCount`. exits: (reason, orders) of exit intents.
        notes: (name, count).
        pessimistic: drove strategy and books. probabilistic: the same orders under the other queue model.
        params: every parameter's value. first_ns, last_ns: receive times of the first and last event.
    """

    events: int
    orders: int
    denied: int
    order_log: tuple[str, ...]
    order_log_sha256: str
    refusals: tuple[tuple[str, int], ...]
    exits: tuple[tuple[str, int], ...]
    notes: tuple[tuple[str, int], ...]
    pessimistic: ModelResult
    probabilistic: ModelResult
    params: tuple[tuple[str, str], ...]
    first_ns: int
    last_ns: int

    def models(self) -> dict[str, dict[str, int | str]]:
        """Render both queue models' outcomes."""
        return {"pessimistic": self.pessimistic.as_dict(), "probabilistic": self.probabilistic.as_dict()}

    def as_dict(self) -> dict[str, object]:
        """Render the contract's summary (`replay --json`), with a few fields more."""
        return {
            "events": self.events,
            "orders": self.orders,
            "order_log_sha256": self.order_log_sha256,
            "refusals": dict(self.refusals),
            "models": self.models(),
            "denied": self.denied,
            "exits": dict(self.exits),
            "notes": dict(self.notes),
            "params": dict(self.params),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
        }
