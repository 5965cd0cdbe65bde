"""The scenarios of `accounting_scenarios.toml`, computed by hand, through the account that executor and replay use."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading.engine.account import Account
from trading.engine.account_limits import AccountLimits
from trading.engine.accounting import verify, withdraw
from trading.engine.ports import LedgerLine
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill, VenueBalance
from trading.model.units import NS_PER_S

SYMBOL = "ETHUSDT"
CASES: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("accounting_scenarios.toml").read_text(encoding="utf-8")
)["case"]
FOREIGN = ("BALANCE",)


def instrument_of(case: dict[str, Any]) -> Instrument:
    steps = case.get("instrument", {"tick": "0.01", "lot": "0.001"})
    zero, base = Decimal(0), steps.get("base", "ETH")
    return Instrument(
        SYMBOL, base, "USDT", Decimal(steps["tick"]), Decimal(steps["lot"]), zero, Decimal(1), zero, zero, zero
    )


@dataclass
class Played:
    """One scenario, booked."""

    instrument: Instrument
    account: Account
    fills: list[Fill] = field(default_factory=list)
    lines: list[LedgerLine] = field(default_factory=list)
    left: Decimal = Decimal(0)

    def step(self, text: str, at_ns: int) -> None:
        words = text.split()
        match words[0]:
            case "BALANCE":
                balance = VenueBalance(words[1], Decimal(words[2]), Decimal(words[3]), at_ns, at_ns)
                self.account.on_balance(balance)
            case "MARK":
                self.account.on_mark(SYMBOL, self.instrument.price_ticks(words[1]), at_ns)
            case "LEFT":
                qty = Decimal(words[1])
                self.left += qty
                self.account.withdraw(withdraw(self.account.position(SYMBOL), qty, at_ns))
            case "BUY" | "SELL":
                fill = self._fill(words, at_ns)
                self.fills.append(fill)
                self.lines += self.account.on_fill(fill)[1]
            case other:
                raise ValueError(other)

    def _fill(self, words: list[str], at_ns: int) -> Fill:
        lots, ticks = self.instrument.qty_lots(words[1]), self.instrument.price_ticks(words[3])
        has_fee, has_rate = len(words) > 4, len(words) > 7
        return Fill(
            venue="hand",
            trade_id=str(len(self.fills) + 1),
            client_order_id="mx-1-1-1",
            venue_order_id="v",
            symbol=SYMBOL,
            side=Side(words[0]),
            price_ticks=ticks,
            qty_lots=lots,
            quote_qty=self.instrument.notional(ticks, lots),
            fee=Decimal(words[5]) if has_fee else Decimal(0),
            fee_asset=words[6] if has_fee else "USDT",
            is_maker=True,
            exch_ts_ns=at_ns,
            recv_ts_ns=at_ns,
            fee_rate_quote=Decimal(words[8]) if has_rate else None,
            fee_rate_source="the scenario" if has_rate else "",
        )

    def shown(self, at_ns: int) -> dict[str, Decimal | int]:
        position, equity = self.account.position(SYMBOL), self.account.equity(at_ns)
        found: dict[str, Decimal | int] = {
            "qty": position.qty,
            "cost": position.cost,
            "avg": position.avg_price,
            "realized": position.realized_pnl,
            "fees": position.fees,
            "unrealized": equity.unrealized,
            "net": equity.net_pnl,
            "today": self.account.net_pnl_today(at_ns),
            "drawdown": self.account.drawdown(at_ns),
            "sellable": self.account.sellable_lots(SYMBOL),
        }
        return found | {asset: self.account.total(asset) for asset in ("USDT", "ETH", "MX")}


def play(case: dict[str, Any]) -> tuple[Played, dict[str, Decimal | int]]:
    instrument = instrument_of(case)
    opening = case.get("opening", {"USDT": "1000", "MX": "1"})
    balances = [VenueBalance(asset, Decimal(free), Decimal(0), 0, 0) for asset, free in opening.items()]
    played = Played(instrument, Account(AccountLimits(), {SYMBOL: instrument}, balances))
    for number, text in enumerate(case["steps"], start=1):
        played.step(text, number * NS_PER_S)
    return played, played.shown((len(case["steps"]) + 1) * NS_PER_S)


def test_there_are_about_thirty_scenarios_each_with_its_own_name() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names) >= 30


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_scenario_matches_to_the_last_digit(case: dict[str, Any]) -> None:
    played, found = play(case)
    expected = {name: value if isinstance(value, int) else Decimal(value) for name, value in case["expect"].items()}
    assert {name: found[name] for name in expected} == expected
    assert verify(played.account.position(SYMBOL), played.fills, played.instrument, adjustments=-played.left) == ()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_ledger_lines_of_a_scenario_move_the_balances(case: dict[str, Any]) -> None:
    if any(step.startswith(FOREIGN) for step in case["steps"]):
        return  # moved by others as well
    played, found = play(case)
    opening = case.get("opening", {"USDT": "1000", "MX": "1"})
    for asset in ("USDT", "ETH", "MX"):
        moved = sum((line.amount for line in played.lines if line.asset == asset), Decimal(0))
        assert found[asset] == Decimal(opening.get(asset, "0")) + moved
