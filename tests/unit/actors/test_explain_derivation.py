"""A derived decision is compared with what the journal kept; what the journal lost is no agreement."""

from __future__ import annotations

from typing import Any

from actors.cli_explain import compared
from tests.engine_desk import config
from tests.market_scenes import SYMBOL
from trading.adapters.recording.rederive import Derived
from trading.model.market import Side
from trading.model.orders import OrderIntent, OrderType, Purpose

DECISION = (("reason", "entry"), ("edge_net_bps", "1.5000"))
INTENT = OrderIntent(
    "mx-7-1-1", SYMBOL, Side.BUY, OrderType.LIMIT_MAKER, 9_990, 250, Purpose.ENTRY, 5, 6, 1, "spread_capture", DECISION
)


def answer_for(**decision: str) -> dict[str, Any]:
    made = config()
    order = {
        "side": "BUY", "type": "LIMIT_MAKER", "price": made.instrument.price_text(9_990),
        "qty": made.instrument.qty_text(250),
    }  # fmt: skip
    item = Derived(INTENT, INTENT, 5, 40, "book", made, (), ())
    return compared({"order": order, "decision": decision}, item)


def test_decision_kept_whole_is_the_same_whatever_the_account_added() -> None:
    assert answer_for(reason="entry", edge_net_bps="1.5000", account_judged_ns="5")["status"] == "same"


def test_term_that_the_journal_did_not_keep_is_a_difference() -> None:
    found = answer_for(reason="entry")
    assert found["status"] == "different"
    assert found["differences"] == [{"field": "journal edge_net_bps", "was": "(not kept)", "derived": "1.5000"}]
