"""Which deaths a seed dies, and under which faults. Pure: the same seed gives the same case.

May import the crash points, the orphan policies and the standard library.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from trading.engine.ports import Crashpoint
from trading.engine.reconcile import OrphanPolicy

# The contract's own faults of the order path (contract.md, simulator control), all on at once in each seed:
# kind, probability, delay in ms.
FAULTS: tuple[tuple[str, float, int], ...] = (
    ("delay_reply", 0.12, 250),
    ("delay_reply", 0.04, 1_300),  # longer than the gateway waits: the outcome is unknown
    ("lose_reply", 0.12, 0),
    ("accept_then_5xx", 0.12, 0),
    ("http_429", 0.03, 0),
    ("delay_push", 0.25, 300),
    ("duplicate_push", 0.25, 0),
    ("reorder_push", 0.25, 0),
)
FAULT_KINDS = tuple(sorted({kind for kind, _, _ in FAULTS}))

# Points that a life reaches only after another death has left something behind, and points of the start itself.
_FIRST = {
    Crashpoint.START_AFTER_LEASE: Crashpoint.SEND_AFTER,
    Crashpoint.START_AFTER_RECOVER: Crashpoint.SEND_AFTER,
    Crashpoint.ATTACH_AFTER_EPOCH: Crashpoint.OUTCOME_BEFORE_COMMIT,
    Crashpoint.RESOLVE_BEFORE_ABSENT: Crashpoint.SEND_BEFORE,
    Crashpoint.FETCH_BEFORE_BOOK: Crashpoint.FILL_BEFORE_COMMIT,
}
# Passed this often at most before the death; 0 where the point is passed once in a life.
_PASSES = {
    Crashpoint.INTENT_BEFORE_COMMIT: 10,
    Crashpoint.INTENT_AFTER_COMMIT: 10,
    Crashpoint.SEND_BEFORE: 10,
    Crashpoint.SEND_AFTER: 10,
    Crashpoint.OUTCOME_BEFORE_COMMIT: 12,
    Crashpoint.OUTCOME_AFTER_COMMIT: 12,
    Crashpoint.FILL_BEFORE_COMMIT: 5,
    Crashpoint.FILL_AFTER_COMMIT: 5,
    Crashpoint.DELIVER_AFTER: 12,
    Crashpoint.CANCEL_BEFORE: 3,
    Crashpoint.CANCEL_AFTER: 3,
    Crashpoint.RECONCILE_BEFORE: 2,
    Crashpoint.RECONCILE_AFTER_QUERY: 2,
}


# By the last digit of the seed; in the others nobody places an order under our prefix but we.
_ORPHANS = {
    1: OrphanPolicy.ADOPT,
    3: OrphanPolicy.LEAVE,
    6: OrphanPolicy.ADOPT,
    8: OrphanPolicy.CANCEL,
    9: OrphanPolicy.ADOPT,
}


@dataclass(frozen=True, slots=True)
class Death:
    """SIGKILL at a point, once it has been passed `after` times."""

    point: Crashpoint
    after: int


@dataclass(frozen=True, slots=True)
class Case:
    """One seed: the deaths of its lives, in order; then one more life settles.

    policy, has_orphans: another client of the account places orders under our prefix all the while, or none does.
    has_budget: its lives live on the product's own rate budget; without it the faults are denser.
    """

    seed: int
    deaths: tuple[Death, ...]
    policy: OrphanPolicy = OrphanPolicy.CANCEL
    has_orphans: bool = False
    has_budget: bool = False


def case_of(seed: int) -> Case:
    """Make the case of a seed. Seeds 0, 1, 2, ... go round the points, so that any 18 in a row cover them all.

    Each later round adds a second and third death anywhere, which the first one's recovery may meet.
    """
    dice = random.Random(f"case:{seed}")
    points = tuple(Crashpoint)
    target = points[seed % len(points)]
    deaths = [_death(_FIRST[target], dice)] if target in _FIRST else []
    deaths.append(_death(target, dice))
    if seed >= len(points):
        for _ in range(dice.randint(1, 2)):
            deaths.insert(0, _death(dice.choice([point for point in points if point not in _FIRST]), dice))
    policy = _ORPHANS.get(seed % 10)
    has_budget = seed % 3 == 0
    return Case(seed, tuple(deaths), policy or OrphanPolicy.CANCEL, policy is not None, has_budget)


def _death(point: Crashpoint, dice: random.Random) -> Death:
    return Death(point, dice.randint(0, _PASSES.get(point, 0)))
