"""Cursors and averages of lists, and order events as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from trading.adapters.store.event_codec import decode_event, encode_event
from trading.adapters.store.journal_rows import halt_state, to_json
from trading.adapters.store.pages import decode_cursor, encode_cursor, quotient
from trading.adapters.store.tables import UNFINISHED
from trading.model.errors import ConfigError, StoreError
from trading.model.market import Side
from trading.model.orders import Fill, OrderFilled, OrderStatus
from trading.model.session import HaltState

FILL = Fill(
    venue="paper",
    trade_id="t1",
    client_order_id="o1",
    venue_order_id="v1",
    symbol="牛市USDT",
    side=Side.SELL,
    price_ticks=2**60,
    qty_lots=1,
    quote_qty=Decimal("1E-18"),
    fee=Decimal("0.000000000000000001"),
    fee_asset="MX",
    is_maker=False,
    exch_ts_ns=1,
    recv_ts_ns=2,
    fee_rate_quote=None,
)
TOO_GREAT = encode_cursor(2**64, "x")
WITH_NUL = encode_cursor(1, "nul\x00")
OTHER_ID = encode_cursor(1, 5)
FOREIGN = ["", "x", "!!", "W10", "WzEsMl0", "WyIxIiwieCJd", "é", "[1,2]", "A" * 5000, "W3RydWUsInQiXQ"]


@pytest.mark.parametrize("row_id", ["mx-1-2-3", "牛市", 0, 2**62])
def test_cursor_when_given_back_names_its_row(row_id: str | int) -> None:
    cursor = encode_cursor(1_700_000_000_000_000_000, row_id)
    assert decode_cursor(cursor, type(row_id)) == (1_700_000_000_000_000_000, row_id)


@pytest.mark.parametrize("cursor", [*FOREIGN, TOO_GREAT, WITH_NUL, OTHER_ID])
def test_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    with pytest.raises(ConfigError, match="cursor: expected"):
        decode_cursor(cursor, str)


def test_average_ends_and_shows_no_exponent() -> None:
    assert quotient(Decimal(1), Decimal(3)) == "0.3333333333333333"
    assert quotient(Decimal("1E-9"), Decimal(4)) == "0.00000000025"
    assert quotient(Decimal(1), Decimal(0)) is None


def test_event_with_extreme_values_survives_json() -> None:
    event = OrderFilled(FILL.symbol, "o1", FILL, OrderStatus.FILLED, 3)
    kind, body = encode_event(event)
    assert decode_event(kind, json.loads(to_json(body))) == event
    other = replace(event, fill=replace(FILL, fee_rate_quote=Decimal("2.50")))
    assert str(decode_event(*encode_event(other))) == str(other)


@pytest.mark.parametrize(("kind", "body"), [("melted", {}), ("filled", {}), ("denied", {"reason": "no such reason"})])
def test_event_that_cannot_be_read_is_a_store_error(kind: str, body: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=kind):
        decode_event(kind, {"symbol": "S", "client_order_id": "o", "at_ns": 1, "text": "", **body})


def test_text_that_postgres_cannot_hold_is_replaced() -> None:
    rows = [{"reason": "a\x00b", "symbol": "牛"}, {"reason": "\ud800", "pairs": (("x", "\x00"),)}]
    assert json.loads(to_json(rows)) == [
        {"reason": "a\ufffdb", "symbol": "牛"},
        {"reason": "?", "pairs": [["x", "\ufffd"]]},
    ]


def test_halt_state_that_cannot_be_read_means_halted() -> None:
    assert halt_state("REDUCING") is HaltState.REDUCING
    assert halt_state("reducing") is HaltState.HALTED


def test_unfinished_predicate_names_exactly_the_states_that_are_not_terminal() -> None:
    named = {part.strip(" '") for part in UNFINISHED.split("(")[1].rstrip(")").split(",")}
    assert named == {status.value for status in OrderStatus if not status.is_terminal}
