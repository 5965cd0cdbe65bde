"""The dashboard's pure parts: figures, markup, ladder, the head's sentences."""

from __future__ import annotations

from typing import Any

import pytest

from api.schemas import Book, HaltBody, OrderItem, Snapshot, TwinBody
from dashboard.figures import (
    amount,
    clock_time,
    day_time,
    duration,
    latency_ms,
    plain_number,
    signed,
    spread_bps,
    tone,
)
from dashboard.head import halt_sentence, head_html
from dashboard.ladder import ladder_html
from dashboard.markup import Column, Html, html, table, tag
from dashboard.order_table import order_table
from dashboard.reading import Reading
from dashboard.twin_table import twin_html
from dashboard.view_fleet import fleet_html

NS = 1_000_000_000
NOON = 1_790_000_000 * NS
EVIL = "<script>alert(1)</script>"

ORDER: dict[str, Any] = {
    "client_order_id": "mx-1-1-1", "venue_order_id": "v", "session": "s", "symbol": "AUSDT", "mode": "paper",
    "side": "BUY", "type": "LIMIT", "price": "99.5", "qty": "2", "filled_qty": "0.5", "avg_price": None,
    "status": "PARTIALLY_FILLED", "reason": "", "created_ns": NOON, "committed_ns": NOON + 3_000_000,
    "sent_ns": NOON + 4_000_000, "acked_ns": 0, "updated_ns": NOON,
}  # fmt: skip
SYMBOL: dict[str, Any] = {
    "symbol": "AUSDT", "state": "TRADING", "reason": "", "since_ns": NOON, "epoch": 3, "pid": 1, "node": "n",
    "strategy": "capture", "params": {},
    "book": {"state": "PROVEN", "version": 7, "bid": "99", "ask": "101", "age_ms": 5},
    "position_qty": "0", "realized_pnl": "0", "open_orders": 1, "restarts": 0, "desired": "TRADING", "run_id": "run-1",
}  # fmt: skip
SNAPSHOT: dict[str, Any] = {
    "seq": 1, "now_ns": NOON, "session": "s1", "mode": "paper", "venue": "sim",
    "halt": {"state": "ACTIVE", "confirmed": False, "open_orders": 1, "verified_at_ns": 0, "reason": ""},
    "symbols": [SYMBOL], "positions": [], "open_orders": 1, "alerts": 0,
    "pnl": {"realized": "1", "unrealized": "-0.5", "fees": "0.25", "net": "0.25"},
}  # fmt: skip


def _snapshot(**changes: Any) -> Snapshot:
    return Snapshot.model_validate({**SNAPSHOT, **changes})


# --- figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digits", "shown"),
    [
        ("1234567.891", 2, "1,234,567.89"),
        ("-0.5", 2, "−0.50"),
        ("0", 2, "0.00"),
        ("0.0004321", 2, "0.00043"),
        ("-0.00001", 4, "−0.000010"),
        (None, 2, "–"),
    ],
)
def test_amount_is_rounded_for_the_eye_and_never_hides_a_small_one(text: str | None, digits: int, shown: str) -> None:
    assert amount(text, digits) == shown


def test_gains_and_losses_have_sign_and_tone() -> None:
    assert [signed(text) for text in ("1", "-1", "0", None)] == ["+1.00", "−1.00", "0.00", "–"]
    assert [tone(text) for text in ("1", "-0.1", "0", None)] == ["gain", "loss", "flat", "flat"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("64251.20", "64,251.20"), ("0.00000001", "0.00000001"), ("-1234.5", "−1,234.5"), ("-0.5", "−0.5"), (None, "–")],
)
def test_plain_number_keeps_every_digit(text: str | None, shown: str) -> None:
    assert plain_number(text) == shown


def test_spread_is_in_basis_points_of_the_middle() -> None:
    assert (spread_bps("99", "101"), spread_bps(None, "1"), spread_bps("0", "0")) == ("200.0", "–", "–")


def test_times_are_utc() -> None:
    assert clock_time(NOON + 7_000_000) == "14:13:20.007"
    assert (day_time(NOON), day_time(None), clock_time(0)) == ("2026-09-21 14:13:20", "–", "–")
    assert (latency_ms(NOON, NOON + 2_500_000), latency_ms(NOON, 0)) == ("2.5", "–")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.25, "250 ms"), (5.25, "5.2 s"), (42.0, "42 s"), (90.0, "1.5 min"), (7200.0, "2.0 h"), (345_600.0, "4.0 d")],
)
def test_duration_takes_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


# --- markup ---------------------------------------------------------------------------------------------------------


def test_what_is_not_marked_as_html_is_escaped() -> None:
    assert EVIL not in tag("td", EVIL, aria_label=f'"{EVIL}')
    assert html(Html("<b>x</b>")) == "<b>x</b>"
    assert EVIL not in table((Column("A"),), [(EVIL,)], "none", EVIL)


def test_text_from_outside_is_escaped_wherever_it_is_shown() -> None:
    order = OrderItem.model_validate({**ORDER, "reason": EVIL, "symbol": EVIL, "client_order_id": EVIL})
    assert "<script" not in order_table([order], "Orders")
    snapshot = _snapshot(
        session=EVIL, symbols=[{**SYMBOL, "reason": EVIL, "symbol": EVIL, "machine_state": EVIL}],
        halt={**SNAPSHOT["halt"], "reason": EVIL}, is_stale=True, stale_reason=EVIL,
    )  # fmt: skip
    assert "<script" not in fleet_html(snapshot)
    assert "<script" not in head_html(Reading(snapshot, 0.1, ""))
    book = Book(symbol=EVIL, state="PROVEN", version=1, bids=[], asks=[], exch_ts_ns=0, recv_ts_ns=0)
    assert "<script" not in ladder_html(book, [], 5)


def test_table_without_rows_says_so() -> None:
    assert "Nothing here." in table((Column("A"),), [], "Nothing here.", "Things")


# --- views ----------------------------------------------------------------------------------------------------------


def test_ladder_shows_asks_above_bids_and_marks_our_orders() -> None:
    book = Book.model_validate(
        {
            "symbol": "AUSDT", "state": "PROVEN", "version": 7, "bids": [["99.50", "4"], ["99.00", "1"]],
            "asks": [["101.00", "2"], ["102.00", "3"]], "exch_ts_ns": 1, "recv_ts_ns": 2,
        }
    )  # fmt: skip
    deep = OrderItem.model_validate({**ORDER, "client_order_id": "b", "price": "90", "filled_qty": "0"})
    shown = ladder_html(book, [OrderItem.model_validate(ORDER), deep], 10)
    prices = [part.split("<", 1)[0] for part in shown.split('class="price">')[1:]]
    assert prices == ["102.00", "101.00", "99.50", "99.00", "90"]
    rows = shown.split('<div class="row ')
    assert [row.startswith("bid own") for row in rows if "99.50" in row] == [True]
    assert "<span>1.5</span>" in next(row for row in rows if "99.50" in row)
    assert "width:100.0%" in next(row for row in rows if "99.50" in row)


def test_ladder_of_an_empty_book_is_empty() -> None:
    book = Book(symbol="A", state="SYNCING", version=0, bids=[], asks=[], exch_ts_ns=0, recv_ts_ns=0)
    assert "spread – bps" in ladder_html(book, [], 5)


def test_fleet_keeps_its_order_and_filters_by_name_and_state() -> None:
    snapshot = _snapshot(symbols=[{**SYMBOL, "symbol": name} for name in ("BUSDT", "AUSDT")])
    shown = fleet_html(snapshot)
    assert shown.index("BUSDT") < shown.index("AUSDT")
    assert "BUSDT" not in fleet_html(snapshot, "aus")
    assert "No symbol matches." in fleet_html(snapshot, "", ("FAILED",))
    assert "No symbol runs" in fleet_html(_snapshot(symbols=[]))
    many = _snapshot(symbols=[{**SYMBOL, "symbol": f"S{number}"} for number in range(201)])
    assert "200 of 201 symbols" in fleet_html(many)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state": "ACTIVE"}, "orders may flow"),
        ({"state": "HALTED"}, "NOT CONFIRMED: open orders 1 · why"),
        ({"state": "HALTED", "open_orders": None}, "NOT CONFIRMED: open orders unknown · why"),
        ({"state": "REDUCING"}, "exits only; open orders 1 · why"),
        (
            {"state": "HALTED", "confirmed": True, "open_orders": 0, "verified_at_ns": NOON},
            "CONFIRMED: open orders 0, verified at 2026-09-21 14:13:20 UTC · why",
        ),
    ],
)
def test_halt_is_one_plain_sentence(changes: dict[str, Any], text: str) -> None:
    reason = "" if changes["state"] == "ACTIVE" else "why"
    assert halt_sentence(HaltBody.model_validate({**SNAPSHOT["halt"], "reason": reason, **changes})) == text


def test_head_says_when_nothing_or_nothing_new_can_be_read() -> None:
    assert "Nothing can be read: no route" in head_html(Reading(None, float("inf"), "no route"))
    assert "no longer the present" in head_html(Reading(_snapshot(), 12.0, "no route"))
    # The tables of the other views: old ones say so, and what was never read is not shown as empty.
    assert Reading(_snapshot(), 12.0, "the database is away").warning == "This is 12 s old: the database is away."
    assert Reading(None, float("inf"), "the database is away").warning == "Not read: the database is away."
    assert Reading(_snapshot(), 1.0, "one slow answer").warning == Reading(_snapshot(), 0.5, "").warning == ""
    assert "no longer the present" not in head_html(Reading(_snapshot(), 1.0, "one slow answer"))
    assert "Some of this is old: x" in head_html(Reading(_snapshot(is_stale=True, stale_reason="x"), 0.1, ""))


def test_shadow_twin_shows_each_side_and_what_the_queue_is_like() -> None:
    side = {"fill_rate": 0.25, "filled_orders": 3, "time_to_fill_ms": 446.4, "markout_bps": -0.374, "markouts": 3}
    body: dict[str, Any] = {"orders": 12, "pessimistic": side, "probabilistic": {}, "queue": {"telling": 4}}
    paper = twin_html(TwinBody.model_validate(body))
    assert "25.0%" in paper
    assert "-0.37 bps (3)" in paper
    assert "live" not in paper
    assert "queue is" not in paper
    live = twin_html(TwinBody.model_validate({**body, "live": side}))
    assert "4 of them tell one queue from another: too few" in live
    body["queue"] = {"telling": 40, "power": 1.5, "low": 1.0, "high": 2.25}
    told = twin_html(TwinBody.model_validate({**body, "live": side}))
    assert "n = 1.5 (95 %: 1 to 2.25), by 40 of them" in told
