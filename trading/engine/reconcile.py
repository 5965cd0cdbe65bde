"""Journal and venue compared: what is unknown, missing, orphaned or foreign. Imports `trading.model`, `engine.ports`.

Pure decisions over what was read; the executor asks the questions and carries out the answers. The rule of promise 2 is
`resolve_unknown`: an order is absent only when the venue cannot accept it any more and all three places lack it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trading.engine.ports import OrderRecord
from trading.model.orders import OrderStatus, VenueOrder

OUR_PREFIX = "mx-"
"""Every order of ours starts with it; orders that do not are foreign."""

ADOPTED = "adopted"
"""The run and the strategy of an adopted order: no decision of ours made it."""


class OrphanPolicy(StrEnum):
    """What happens to an open order with our prefix that no journal row explains. It is always reported."""

    CANCEL = "cancel"
    ADOPT = "adopt"  # it gets a row and is ours; one that cannot be adopted is cancelled
    LEAVE = "leave"  # until a halt: it ends everything under our prefix, or "open orders: 0" would be untrue


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an order that the venue does not show may still be there, in ms.

    Attributes:
        clock_bound_ms: how wrong our idea of the venue's clock may be.
        query_lag_ms: how far the venue's queries may lag behind its matching (mexc-protocol §4: "a few seconds").
    """

    clock_bound_ms: int = 500
    query_lag_ms: int = 2_000


DEFAULT_PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the venue said when asked about one order. `None` means that it was not asked, or gave no answer."""

    is_in_query: bool | None
    is_in_orders: bool | None
    has_trades: bool | None


class Verdict(StrEnum):
    """What to do with an order of unknown outcome."""

    FOUND = "found"  # the venue knows it: apply its word
    WAIT = "wait"  # not provable yet: ask again
    ABSENT = "absent"  # NOT_SENT, for ever


def provable_from_ms(order: OrderRecord, patience: Patience = DEFAULT_PATIENCE) -> int:
    """Return the venue time, in ms, from which the absence of an order can be proven.

    The venue refuses the request once its clock is past signed + recvWindow (promise 4); clocks are off; queries lag.
    """
    return order.signed_ms + order.recv_window_ms + patience.clock_bound_ms + patience.query_lag_ms


def resolve_unknown(
    order: OrderRecord, evidence: Evidence, asked_ms: int, patience: Patience = DEFAULT_PATIENCE
) -> Verdict:
    """Judge an order of unknown outcome by promise 2.

    Args: asked_ms: venue time when the *first* of the questions was asked; answers older than the window prove nothing.
    """
    if evidence.is_in_query or evidence.is_in_orders or evidence.has_trades:
        return Verdict.FOUND
    is_everywhere_absent = evidence == Evidence(False, False, False)
    if is_everywhere_absent and asked_ms >= provable_from_ms(order, patience):
        return Verdict.ABSENT
    return Verdict.WAIT


@dataclass(frozen=True, slots=True)
class Comparison:
    """Open orders of the venue against ours.

    Attributes:
        reports: the venue's word on orders that we track; apply them.
        missing: ids that we hold as live at the venue and that it does not list; query each.
        orphans: open orders with our prefix that we do not track; look them up in the journal, then by policy.
        foreign: everybody else's; left alone.
    """

    reports: tuple[VenueOrder, ...]
    missing: tuple[str, ...]
    orphans: tuple[VenueOrder, ...]
    foreign: tuple[VenueOrder, ...]


LIVE_AT_VENUE = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELLING})


def compare(
    tracked: Mapping[str, OrderRecord],
    venue_open: Iterable[VenueOrder],
    symbols: Iterable[str],
    before: Mapping[str, OrderRecord],
    prefix: str = OUR_PREFIX,
) -> Comparison:
    """Compare what we track with the venue's open orders of some symbols.

    Args:
        tracked: by client order id. symbols: those the venue was asked about.
        before: what we tracked when it was asked; what changed here since then is not called missing.
    """
    reports, orphans, foreign = [], [], []
    seen = set()
    for order in venue_open:
        name = order.client_order_id
        if name in tracked:
            seen.add(name)
            reports.append(order)
        elif name.startswith(prefix):
            orphans.append(order)
        else:
            foreign.append(order)
    asked = frozenset(symbols)
    missing = tuple(
        name
        for name, record in tracked.items()
        if record.symbol in asked and record.status in LIVE_AT_VENUE and name not in seen and record == before.get(name)
    )
    return Comparison(tuple(reports), missing, tuple(orphans), tuple(foreign))


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """How to end what is ours in some symbols.

    Attributes:
        bulk: symbols that one call may clear: everything open there is ours, and none of it may stay.
        mixed: symbols with foreign orders, or with some of ours that stay: there ours end one by one.
        single: the open orders of ours to end in the mixed ones.
    """

    bulk: tuple[str, ...]
    mixed: frozenset[str]
    single: tuple[VenueOrder, ...]


def plan_sweep(
    symbols: Iterable[str],
    venue_open: Sequence[VenueOrder],
    held: Collection[str],
    spared: Mapping[str, str],
    prefix: str = OUR_PREFIX,
) -> SweepPlan:
    """Choose the fewest calls that end all our open orders of some symbols and no other.

    Args:
        symbols: those the venue was asked about. venue_open: what it shows there.
        held: symbols where orders of ours may be that it does not show (on their way, or unknown).
        spared: orders of ours that stay, shown or not, as symbol by client id.
    """
    foreign = {order.symbol for order in venue_open if not order.client_order_id.startswith(prefix)}
    mixed = frozenset(foreign | set(spared.values()))
    ours = [
        order
        for order in venue_open
        if order.client_order_id.startswith(prefix) and order.client_order_id not in spared
    ]
    wanted = {order.symbol for order in ours} | set(held)
    return SweepPlan(
        bulk=tuple(symbol for symbol in symbols if symbol in wanted and symbol not in mixed),
        mixed=mixed,
        single=tuple(order for order in ours if order.symbol in mixed),
    )
