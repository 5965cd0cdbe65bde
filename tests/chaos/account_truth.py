"""Venue and journal side by side, read by nothing of the executor's: the simulator's state and plain SQL.

May import psycopg and the simulator process.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from tests.embedded_database import plain_url
from trading.engine.reconcile import OrphanPolicy

OUR_PREFIX = "mx-"
STATUSES = {"NEW": "OPEN", "CANCELED": "CANCELLED", "PARTIALLY_CANCELED": "PARTIALLY_CANCELLED"}
# A row in one of these says that the venue never held the order.
NEVER_HELD = frozenset({"DENIED", "NOT_SENT", "REJECTED"})
UNFINISHED = frozenset({"PENDING", "SENT", "UNKNOWN", "OPEN", "PARTIALLY_FILLED", "CANCELLING"})
# What only a fault of ours raises. Losing the private stream is the venue's fault, and normal here.
BAD_ALERTS = frozenset(
    {"orphan_order", "order_contradiction", "order_vanished", "books_broken", "negative_position", "account_refused"}
)
D0 = Decimal(0)


@dataclass
class Verdict:
    """What the comparison found. Everything in `lost`, `duplicated`, `orphans` and `other` is a defect."""

    orders: int = 0
    fills: int = 0
    not_sent: int = 0
    planted: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def defects(self) -> list[str]:
        """Everything that is wrong, in words."""
        named = (("lost", self.lost), ("duplicated", self.duplicated), ("orphan", self.orphans), ("", self.other))
        return [f"{name} {text}".strip() for name, texts in named for text in texts]


def compare(
    database_url: str,
    account: Any,
    deposits: dict[str, Decimal],
    symbol: str,
    log: Path,
    policy: OrphanPolicy = OrphanPolicy.CANCEL,
) -> Verdict:
    """Compare one account after its last life.

    Args: account: the account's part of /sim/state. deposits: its totals per asset before the first life. log: what the
    lives promised and told. policy: what became of the orphans that they planted.
    """
    verdict = Verdict()
    planted = _planted(log)
    with psycopg.connect(plain_url(database_url)) as link:
        rows = {row[0]: row for row in link.execute(_ORDERS).fetchall()}
        fills = link.execute(_FILLS).fetchall()
        events = {(seq, kind, order) for seq, kind, order in link.execute(_EVENTS, [symbol]).fetchall()}
        ledger: dict[str, Decimal] = dict(
            link.execute(
                "SELECT asset, sum(amount) FROM ledger WHERE kind IN ('trade', 'fee') GROUP BY asset"
            ).fetchall()
        )
        opened = {asset: Decimal(amount) for asset, amount in link.execute(_OPENING).fetchall()}
        adjusted = link.execute("SELECT asset, amount, reference FROM ledger WHERE kind = 'adjustment'").fetchall()
        balances = {asset: (free, locked) for asset, free, locked in link.execute(_BALANCES).fetchall()}
        positions: dict[str, Decimal] = dict(link.execute("SELECT symbol, qty FROM positions").fetchall())
        alerts = link.execute("SELECT name, text FROM alerts").fetchall()
    ours = [order for order in account["orders"] if order["clientOrderId"].startswith(OUR_PREFIX)]
    verdict.orders = len(ours)
    _compare_orders(verdict, ours, rows, frozenset() if policy is OrphanPolicy.ADOPT else planted)
    at_venue = [order["clientOrderId"] for order in ours if order["clientOrderId"] in planted]
    _compare_orphans(verdict, at_venue, events, alerts, policy)
    _compare_fills(verdict, account["trades"], fills)
    _compare_balances(verdict, account["balances"], deposits, ledger, balances)
    # Nobody else moved anything: whatever was booked as such is an order of ours that was not understood.
    verdict.other += [f"{amount} {asset} were booked as moved by others ({why})" for asset, amount, why in adjusted]
    if opened and {asset: opened.get(asset, D0) for asset in deposits} != deposits:
        verdict.other.append(f"the ledger opened with {opened}, the venue with {deposits}")
    bought = sum((qty if side == "BUY" else -qty for _, side, _, qty, *_ in fills), D0)
    base_fees = sum((fee for *_, fee, asset, _ in fills if symbol.startswith(asset)), D0)
    if positions.get(symbol, D0) != bought - base_fees:
        verdict.other.append(f"the position is {positions.get(symbol)}, fills make {bought - base_fees}")
    _compare_promises(verdict, log, rows, events)
    verdict.other += [
        f"alert {name}: {text}"
        for name, text in alerts
        if name in BAD_ALERTS and not (name == "orphan_order" and text.partition(":")[0] in planted)
    ]
    return verdict


_ORDERS = "SELECT client_order_id, status, filled_qty, filled_quote, venue_order_id FROM orders"
_FILLS = "SELECT client_order_id, side, price, qty, fee, fee_asset, is_maker FROM fills"
_EVENTS = "SELECT seq, kind, client_order_id FROM order_events WHERE symbol = %s ORDER BY seq"
_OPENING = "SELECT asset, sum(amount) FROM ledger WHERE kind = 'opening' GROUP BY asset"
_BALANCES = "SELECT asset, free, locked FROM balances"


def _planted(log: Path) -> frozenset[str]:
    facts = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return frozenset(fact["orphan"] for fact in facts if "orphan" in fact)


def _compare_orphans(
    verdict: Verdict,
    at_venue: list[str],
    events: set[tuple[int, str, str]],
    alerts: list[tuple[str, str]],
    policy: OrphanPolicy,
) -> None:
    """Each orphan was told to people, and to its symbol once where it was adopted; never in any other case.

    An alert that is not stored yet dies with its life: those of the last life are all there.
    """
    verdict.planted = len(at_venue)
    told = Counter(order for _, kind, order in events if kind == "adopted")
    reported = {text.partition(":")[0] for name, text in alerts if name == "orphan_order"}
    for name in at_venue:
        if name not in reported and "-last-" in name:
            verdict.other.append(f"the orphan {name} was told to nobody")
        if told[name] != (policy is OrphanPolicy.ADOPT):
            verdict.other.append(f"the orphan {name} was told to its symbol {told[name]} times")


def _compare_orders(verdict: Verdict, ours: list[Any], rows: dict[str, Any], rowless: frozenset[str]) -> None:
    at_venue: dict[str, Any] = {}
    for order in ours:
        name = order["clientOrderId"]
        if name in at_venue:
            verdict.duplicated.append(f"order {name} reached the venue twice")
        at_venue[name] = order
        is_open = order["status"] in ("NEW", "PARTIALLY_FILLED")
        if name in rowless:
            if name in rows:
                verdict.other.append(f"the orphan {name} has a row")
            if is_open:
                verdict.orphans.append(f"the orphan {name} is open after a confirmed halt")
        elif name not in rows:
            (verdict.orphans if is_open else verdict.lost).append(f"order {name} has no row")
        elif is_open:
            verdict.orphans.append(f"order {name} is open at the venue after a confirmed halt")
    for name, status, filled_qty, filled_quote, venue_order_id in rows.values():
        verdict.not_sent += status == "NOT_SENT"
        order = at_venue.get(name)
        if order is None:
            if status not in NEVER_HELD:
                verdict.lost.append(f"order {name} is {status} here and unknown to the venue")
            continue
        told = (
            STATUSES.get(order["status"], order["status"]),
            Decimal(order["executedQty"]),
            Decimal(order["cummulativeQuoteQty"]),
            order["orderId"],
        )
        if (status, filled_qty, filled_quote, venue_order_id) != told:
            verdict.other.append(
                f"order {name}: here {(status, filled_qty, filled_quote, venue_order_id)}, there {told}"
            )
        if status in UNFINISHED:
            verdict.other.append(f"order {name} is still {status}")


def _compare_fills(verdict: Verdict, trades: list[Any], fills: list[Any]) -> None:
    """Ids differ between the venue's two sources, so that fills are compared by everything but their id."""
    here = Counter((name, price, qty, fee, asset, is_maker) for name, _, price, qty, fee, asset, is_maker in fills)
    there = Counter(
        (
            trade["clientOrderId"],
            Decimal(trade["price"]),
            Decimal(trade["qty"]),
            Decimal(trade["commission"]),
            trade["commissionAsset"],
            trade["isMaker"],
        )
        for trade in trades
        if trade["clientOrderId"].startswith(OUR_PREFIX)
    )
    verdict.fills = sum(there.values())
    verdict.lost += [f"fill {item} is not booked" for item in (there - here).elements()]
    verdict.duplicated += [f"fill {item} is booked too often" for item in (here - there).elements()]


def _compare_balances(
    verdict: Verdict,
    venue: dict[str, Any],
    deposits: dict[str, Decimal],
    ledger: dict[str, Decimal],
    balances: dict[str, tuple[Decimal, Decimal]],
) -> None:
    for asset, amounts in venue.items():
        free, locked = Decimal(amounts["free"]), Decimal(amounts["locked"])
        if free + locked != deposits.get(asset, D0) + ledger.get(asset, D0):
            verdict.other.append(
                f"{asset}: the venue holds {free + locked}, deposit and ledger make "
                f"{deposits.get(asset, D0) + ledger.get(asset, D0)}"
            )
        if balances.get(asset, (D0, D0)) != (free, locked):
            verdict.other.append(f"{asset}: stored {balances.get(asset)}, the venue holds {(free, locked)}")


def _compare_promises(verdict: Verdict, log: Path, rows: dict[str, Any], events: set[tuple[int, str, str]]) -> None:
    """What a submitter was told to be durable stands; what a symbol was told happened, under the same number."""
    if sorted(seq for seq, _, _ in events) != list(range(1, len(events) + 1)):
        verdict.lost.append(f"events have holes: {sorted(seq for seq, _, _ in events)}")
    kinds = {seq: order for seq, _, order in events}
    for line in log.read_text(encoding="utf-8").splitlines():
        fact = json.loads(line)
        if "durable" in fact and fact["durable"] not in rows:
            verdict.lost.append(f"order {fact['durable']} was called durable and has no row")
        if "told" in fact and kinds.get(fact["told"]) != fact["order"]:
            verdict.other.append(f"event {fact['told']} of {fact['order']} was told and is not in the journal")


def report_of(log: Path) -> dict[str, Any]:
    """The last life's own report, with why lives ended that were not meant to; empty when none settled and all well."""
    facts = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    ends = {name: fact[name] for fact in facts for name in ("failed", "crashed") if name in fact}
    return next((fact for fact in reversed(facts) if fact.get("settled")), {}) | ends
