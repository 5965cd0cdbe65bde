"""An order explained: what was kept with it, sorted; every timestamp; parameters only as far as they are sure."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.cli_explain import _view, derivation
from api.schemas import OrderExplanation
from trading.adapters.store.explanations import explained
from trading.engine.parameters import parameter
from trading.engine.reconcile import ADOPTED
from trading.engine.strategy.registry import parse_parameters, register

MADE = parse_parameters("spread_capture", {"order_quote": "33", "timeout_s": "7"})


def found(**changes: Any) -> dict[str, Any]:
    order = {
        "client_order_id": "mx-1-1-1", "venue_order_id": "V", "session": "s", "symbol": "AAABBB", "mode": "paper",
        "side": "BUY", "type": "LIMIT_MAKER", "price": "99.9", "qty": "1", "filled_qty": "1", "avg_price": "99.9",
        "status": "FILLED", "reason": "", "created_ns": 2_000, "committed_ns": 5_000, "sent_ns": 6_000,
        "acked_ns": 9_000, "updated_ns": 20_000, "strategy": "spread_capture",
    }  # fmt: skip
    fill = {
        "venue": "paper", "trade_id": "t1", "client_order_id": "mx-1-1-1", "venue_order_id": "V", "symbol": "AAABBB",
        "side": "BUY", "price": "99.9", "qty": "1", "quote_qty": "99.9", "fee": "0", "fee_asset": "BBB",
        "is_maker": True, "exch_ts_ns": 12_000, "recv_ts_ns": 15_000,
    }  # fmt: skip
    decision = {
        "reason": "entry", "state": "FLAT", "book_version": "77", "book_recv_ns": "1000", "bid": "99.9", "ask": "100.1",
        "params": MADE.digest(), "params_set": MADE.changes(), "edge_net_bps": "1.5", "imbalance": "0.6",
        "account_judged_ns": "3000", "account_balance": "99.9 of 1000 BBB",
    }  # fmt: skip
    events = [{"seq": 1, "kind": "filled", "at_ns": 20_000, "body": {}}]
    return {"order": order, "decision": {**decision, **changes}, "events": events, "fills": [fill]}


def test_explanation_sorts_what_was_kept_and_names_every_moment() -> None:
    body = explained(found())
    OrderExplanation.model_validate(body)
    assert body["book"]["book_version"] == "77"
    assert body["edge"] == {"edge_net_bps": "1.5"}
    assert body["inputs"] == {"reason": "entry", "state": "FLAT", "imbalance": "0.6"}
    assert body["parameters"] == dict(MADE.as_texts())
    assert (body["parameters"]["order_quote"], body["parameters_note"]) == ("33", "")
    assert [(item["judge"], item["verdict"]) for item in body["risk"]] == [
        ("symbol", "approved"),
        ("account", "approved"),
    ]
    assert body["risk"][1]["measured"] == {"balance": "99.9 of 1000 BBB"}
    times = [point["at_ns"] for point in body["timeline"]]
    assert times == [1_000, 2_000, 3_000, 5_000, 6_000, 9_000, 12_000, 15_000, 20_000]
    assert [point["after_us"] for point in body["timeline"]] == [None, 1, 1, 2, 1, 3, 3, 3, 5]


@dataclass(frozen=True, slots=True)
class _Labelled:
    label: str = parameter("a", "", "free text")
    depth: int = parameter(1, "count", "levels", 0, 10)


class _Labelling:
    """A strategy whose parameters are words of people."""

    name, summary, parameters_class = "labelling", "none", _Labelled

    def decide(self, view: object) -> None:
        """Never asked."""


@pytest.mark.parametrize("label", ["two words", "it's", "a=b  c\t", "100%", "%20", "\u3000ü"])
def test_text_parameters_are_shown_as_they_were_set(label: str) -> None:
    register("labelling", _Labelling)
    made = parse_parameters("labelling", {"label": label, "depth": "3"})
    body = found(params=made.digest(), params_set=made.changes())
    body["order"]["strategy"] = "labelling"
    shown = explained(body)
    assert (shown["parameters"]["label"], shown["parameters"]["depth"], shown["parameters_note"]) == (label, "3", "")


def test_parameters_of_other_defaults_are_not_pretended_to_be_known() -> None:
    body = explained(found(params="other"))
    assert body["parameters"] == dict(pair.split("=") for pair in MADE.changes().split())
    assert "defaults are others now" in body["parameters_note"]
    gone = explained(found(params_set="no_such_parameter=1"))
    assert gone["parameters"] == {"no_such_parameter": "1"}
    assert "no_such_parameter" in gone["parameters_note"]


def test_denied_order_shows_who_said_no_and_why() -> None:
    row = found()
    row["fills"] = []
    row["events"] = [{"seq": 1, "kind": "denied", "at_ns": 3_500, "body": {"reason": "balance", "text": "needs 9"}}]
    body = explained(row)
    assert body["risk"][1] | {"measured": {}} == {
        "judge": "account", "verdict": "denied", "reason": "balance", "text": "needs 9", "at_ns": 3_500, "measured": {},
    }  # fmt: skip


def test_cancelled_order_shows_why_and_when_its_end_was_wanted_and_asked_of_the_venue() -> None:
    row = found()
    wish = {"filled_lots": 0, "reason": "", "why": "spread too wide", "asked_ns": 11_000, "sent_ns": 11_500}
    row["fills"], row["events"] = [], [{"seq": 2, "kind": "cancelled", "at_ns": 20_000, "body": wish}]
    assert [(point["at_ns"], point["what"]) for point in explained(row)["timeline"][-3:]] == [
        (11_000, "its cancel was wanted: spread too wide"),
        (11_500, "cancel sent"),
        (20_000, "journaled: cancelled"),
    ]


def test_order_of_an_older_version_is_explained_as_far_as_it_goes() -> None:
    row = found()
    row["decision"] = {"reason": "entry"}
    body = explained(row)
    assert (body["book"], body["edge"], body["parameters"]) == ({}, {}, {})
    assert "digest" in body["parameters_note"]
    assert len(body["risk"]) == 1


def test_adopted_order_is_explained_by_the_venues_facts_and_by_no_decision() -> None:
    told = found()
    told["decision"] = {ADOPTED: "the venue held it under our prefix, and no row explained it"}
    told["order"] |= {"strategy": ADOPTED, "sent_ns": 0}
    body = explained(told)
    OrderExplanation.model_validate(body)
    assert (body["parameters"], body["book"], body["edge"], body["risk"]) == ({}, {}, {}, [])
    assert body["parameters_note"].startswith("none: no decision of ours made this order")
    assert body["inputs"] == told["decision"]
    assert body["timeline"][0]["what"] == "taken by the venue"
    assert "decided" not in [point["what"] for point in body["timeline"]]
    assert derivation(body, Path("nowhere"))["reason"] == "there was no decision of ours: the order was adopted"
    text = shown_by_cli(body)
    assert "adopted, no decision of ours made it: the venue held it under our prefix" in text
    assert "parameters" not in text
    assert "none was needed" not in text


def shown_by_cli(body: dict[str, Any]) -> str:
    console = Console(record=True, width=160, file=StringIO())
    console.print(_view({**body, "derivation": derivation(body, Path("nowhere"))}))
    return console.export_text()
