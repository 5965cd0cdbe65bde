"""A failed audit behind the engine's door: the proof goes, and with it every quote, in the same step."""

from __future__ import annotations

from tests.engine_desk import Desk, engine
from tests.market_scenes import SYMBOL, S, delta, snapshot
from trading.engine.messages import CancelOrder, FetchSnapshot, TimerFired
from trading.model.market import FeedAlive, FeedConnected

BIDS = [(9_990, 1_000), (9_980, 5_000)]
ASKS = [(10_010, 1_000), (10_020, 5_000)]


def test_audit_that_differs_cancels_in_the_same_step_and_asks_for_a_snapshot() -> None:
    desk, now_ns = Desk(engine()), S
    desk.play(FeedConnected(SYMBOL, S), S)
    desk.play(snapshot(BIDS, ASKS, version=1, at_ns=S), S)
    desk.play(delta(2, at_ns=S), S)
    audits: list[FetchSnapshot] = []
    while not audits:
        now_ns += S
        desk.play(FeedAlive(SYMBOL, now_ns), now_ns)
        actions = desk.play(TimerFired(now_ns), now_ns)
        audits = [action for action in actions if isinstance(action, FetchSnapshot) and action.is_audit]
        assert now_ns < 65 * S
    working = [order.client_order_id for order in desk.engine.view().open_orders]
    assert len(working) == 1
    actions = desk.play(snapshot([(9_990, 999), *BIDS[1:]], ASKS, version=2, at_ns=now_ns), now_ns)
    assert [action.cancel.client_order_id for action in actions if isinstance(action, CancelOrder)] == working
    (fetch,) = (action for action in actions if isinstance(action, FetchSnapshot))
    assert not fetch.is_audit
    assert desk.engine.view().audit.differing == 1
    assert "audit: 1 levels differ" in desk.engine.view().book_reason
