"""Bodies, items, lists and problems: the pure parts of the API."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from actors.fleet import SymbolRow
from api.items import mark_of, pnl_totals, position_item, symbol_item
from api.lists import csv_response
from api.metrics import ApiMetrics, fleet_metrics
from api.ports import ListQuery, RowPage
from api.problems import ProblemError, sentence
from api.routes_symbols import read_epoch
from api.schemas import AlertItem, HaltRequest, PositionItem, RiskRequest, SetRequest, SpawnRequest
from api.schemas.symbols import MarketHealthBody, SymbolItem
from api.twin_metrics import twin_metrics
from tests.unit.actors.fleet_fakes import fleet
from trading.adapters.store.pages import page_in_memory
from trading.model.errors import ConfigError
from trading.model.session import DesiredState, MarketHealth, QueueEstimate, RunState, TwinFigures, TwinSide
from trading.model.units import NS_PER_S

HELD = {
    "symbol": "AAAUSDT", "qty": "0.3", "avg_price": "3.333333333333333", "cost": "1", "realized_pnl": "2",
    "fees": "0.5", "updated_ns": 1,
}  # fmt: skip


async def _row(book_state: str = "PROVEN") -> SymbolRow:
    from actors.fleet import FleetCommand
    from actors.workflow import CommandKind

    made = fleet()
    await made.supervisor.request(FleetCommand(CommandKind.SPAWN, ("AAAUSDT",)))
    await made.settle()
    (row,) = await made.supervisor.table()
    return row


# --- items ----------------------------------------------------------------------------------------------------------


async def test_symbol_item_ages_with_the_silence_of_its_actor() -> None:
    row = await _row()
    item = symbol_item(row, None, row.heard_ns + 3 * NS_PER_S)
    assert item["book"]["age_ms"] == 3001
    assert (item["position_qty"], item["epoch"], item["pid"]) == ("0", 1, 101)
    assert item["book"]["state"] == "PROVEN"
    assert symbol_item(row, None, row.heard_ns + 11 * NS_PER_S)["book"]["state"] == "STALE"


async def test_symbol_item_tells_how_the_market_data_fares_in_the_words_of_its_schema() -> None:
    row = await _row()
    assert row.heartbeat is not None
    health = MarketHealth(proven_percent=99.5, audits=3, drift="unknown trade type 3")
    item = symbol_item(replace(row, heartbeat=replace(row.heartbeat, market=health, bytes_in=9)), None, row.heard_ns)
    body = SymbolItem.model_validate(item)
    assert (body.market.proven_percent, body.market.audits, body.market.drift) == (99.5, 3, "unknown trade type 3")
    assert body.bytes_in == 9
    assert {field.name for field in fields(MarketHealth)} == set(MarketHealthBody.model_fields)


async def test_metrics_page_shows_every_figure_of_the_market_data_by_symbol() -> None:
    row = await _row()
    assert row.heartbeat is not None
    values: dict[str, Any] = {field.name: 7 for field in fields(MarketHealth) if field.type in ("int", "float")}
    health = replace(MarketHealth(**values), drift="x")
    item = symbol_item(replace(row, heartbeat=replace(row.heartbeat, market=health)), None, row.heard_ns)
    pnl = dict.fromkeys(("realized", "unrealized", "fees", "net"), "0")
    snapshot = {
        "symbols": [item],
        "is_stale": False,
        "halt": {"state": "ACTIVE"},
        "pnl": pnl,
        "open_orders": 0,
        "alerts": 0,
    }
    status = await fleet().supervisor.status()
    page = ApiMetrics().page(fleet_metrics(snapshot, None, {"clients": 0}, status)).decode()
    label = '{symbol="AAAUSDT"}'
    for line in (
        f"mexcbot_symbol_book_proven_percent{label} 7.0",
        f"mexcbot_symbol_book_audits_total{label} 7.0",
        f"mexcbot_symbol_bytes_total{label} 1.0",
        f"mexcbot_symbol_frames_total{label} 1.0",
        f"mexcbot_symbol_book_gaps_total{label} 0.0",
        f"mexcbot_symbol_resync_seconds_count{label} 7.0",
        f"mexcbot_symbol_resync_seconds_sum{label} 0.007",
        f"mexcbot_symbol_resync_longest_seconds{label} 0.007",
        f"mexcbot_symbol_event_age_seconds{label} 0.007",
        f"mexcbot_symbol_inbox_depth{label} 0.0",
        f"mexcbot_symbol_inbox_limit{label} 7.0",
        f"mexcbot_symbol_wire_drift{label} 1.0",
        "mexcbot_book_proven_percent 7.0",
        "mexcbot_clock_skew_seconds 0.12",
        "mexcbot_clock_bound_seconds 0.002",
        'mexcbot_ip_turns_total{kind="audit"} 0.0',
    ):
        assert line in page
    shown = page.count("} 7.0") + page.count("} 0.007")
    assert shown >= len(values) - 1, "a figure that is not on the page"


async def test_metrics_page_shows_the_shadow_twin_of_each_live_symbol_and_invents_nothing() -> None:
    row = await _row()
    assert row.heartbeat is not None
    twin = TwinFigures(
        orders=8,
        live=TwinSide(0.5, 4, 1500.0, -0.25, 4),
        pessimistic=TwinSide(0.25, 2, None, None, 0),
        probabilistic=TwinSide(0.75, 6, 900.0, 0.5, 6),
        queue=QueueEstimate(31, 1.5, 1.1, 2.25),
    )
    live = symbol_item(replace(row, heartbeat=replace(row.heartbeat, twin=twin)), None, row.heard_ns)
    page = ApiMetrics().page(twin_metrics([live, {"symbol": "PAPERUSDT", "twin": None}])).decode()
    for line in (
        'mexcbot_twin_orders_total{symbol="AAAUSDT"} 8.0',
        'mexcbot_twin_telling_orders_total{symbol="AAAUSDT"} 31.0',
        'mexcbot_twin_queue_power{bound="estimate",symbol="AAAUSDT"} 1.5',
        'mexcbot_twin_queue_power{bound="high",symbol="AAAUSDT"} 2.25',
        'mexcbot_twin_fill_rate{side="live",symbol="AAAUSDT"} 0.5',
        'mexcbot_twin_fill_rate{side="probabilistic",symbol="AAAUSDT"} 0.75',
        'mexcbot_twin_time_to_fill_seconds{side="live",symbol="AAAUSDT"} 1.5',
        'mexcbot_twin_markout_bps{side="live",symbol="AAAUSDT"} -0.25',
    ):
        assert line in page
    assert 'seconds{side="pessimistic"' not in page
    assert "PAPERUSDT" not in page


async def test_symbol_item_of_a_stopped_symbol_repeats_nothing_of_its_last_heartbeat() -> None:
    row = replace(await _row(), state=RunState.STOPPED)
    assert row.heartbeat is not None
    item = symbol_item(replace(row, heartbeat=replace(row.heartbeat, open_orders=1, reason="rate_budget")), None, 10)
    assert (item["open_orders"], item["reason"], item["pid"]) == (0, row.reason, None)
    assert item["book"]["state"] == "SYNCING"


def test_symbol_item_before_the_first_heartbeat_invents_nothing() -> None:
    row = SymbolRow(
        "AAAUSDT", RunState.STARTING, "", 5, DesiredState.TRADING, "run-1", 1, 0, 0, "capture", (("edge", "1.0"),),
        None, 0,
    )  # fmt: skip
    item = symbol_item(row, HELD, 10)
    assert (item["pid"], item["book"]["bid"], item["book"]["age_ms"], item["params"]) == (
        None,
        None,
        None,
        {"edge": "1.0"},
    )
    assert (item["realized_pnl"], item["fees"], item["net_pnl"]) == ("2", "0.5", "1.5")
    assert mark_of(row, 10) is None


async def test_mark_is_the_bid_while_it_is_fresh() -> None:
    row = await _row()
    assert mark_of(row, row.heard_ns + 9 * NS_PER_S) == "1"
    assert mark_of(row, row.heard_ns + 11 * NS_PER_S) is None


def test_position_is_marked_from_its_cost_exactly() -> None:
    assert position_item(HELD, "4")["unrealized_pnl"] == "0.2"
    assert position_item(HELD, None)["unrealized_pnl"] is None
    assert position_item({**HELD, "qty": "0", "cost": "0"}, None)["unrealized_pnl"] == "0"


def test_totals_are_net_and_name_what_has_no_mark() -> None:
    other = {**HELD, "symbol": "BBBUSDT"}
    totals = pnl_totals([position_item(HELD, "4"), position_item(other, None)])
    assert totals == {"realized": "4", "unrealized": "0.2", "fees": "1", "net": "3.2", "unmarked": ["BBBUSDT"]}


# --- lists ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_descending", [False, True])
def test_pages_in_memory_hold_every_row_once_in_order(is_descending: bool) -> None:
    rows = [{"symbol": name} for name in ("B", "C", "A", "É", "D")]
    seen: list[str] = []
    cursor = None
    while True:
        page = page_in_memory(rows, "symbol", ListQuery(limit=2, cursor=cursor), is_descending=is_descending)
        seen += [row["symbol"] for row in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == sorted((row["symbol"] for row in rows), reverse=is_descending)


@pytest.mark.parametrize("cursor", ["!", "é", "abc", "____", "AAAA", "MTIz"])
def test_page_in_memory_refuses_a_foreign_cursor(cursor: str) -> None:
    with pytest.raises(ConfigError, match="cursor: "):
        page_in_memory([], "symbol", ListQuery(cursor=cursor))


def test_csv_disarms_formulas_and_keeps_numbers() -> None:
    row: dict[str, Any] = {
        "id": 1, "session": None, "level": "alert", "name": "=SUM(A1)", "text": '-cmd, "quoted"\nline',
        "symbol": "-1.5", "at_ns": 2,
    }  # fmt: skip
    lines = bytes(csv_response(AlertItem, RowPage((row,), None)).body).decode()
    assert lines == (
        'id,session,level,name,text,symbol,at_ns\r\n1,,alert,\'=SUM(A1),"\'-cmd, ""quoted""\nline",-1.5,2\r\n'
    )


# --- bodies ---------------------------------------------------------------------------------------------------------


def test_values_of_parameters_become_text() -> None:
    assert SpawnRequest(symbols=["A"], params={"a": 5, "b": 0.5, "c": True, "d": "x"}).params == {
        "a": "5", "b": "0.5", "c": "true", "d": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (SpawnRequest, {"symbols": []}),
        (SpawnRequest, {"symbols": ["A"], "surprise": 1}),
        (SpawnRequest, {"symbols": ["A"], "params": {"a": [1]}}),
        (SetRequest, {}),
        (RiskRequest, {}),
        (HaltRequest, {"scope": "symbol"}),
        (HaltRequest, {"symbol": "A"}),
        (HaltRequest, {"flatten": "perhaps"}),
        (PositionItem, {**HELD, "mark_price": "1E-8", "unrealized_pnl": None}),
    ],
)
def test_wrong_body_is_refused(model: Any, body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(body)


def test_schemas_import_pydantic_and_nothing_of_the_rest() -> None:
    code = (
        "import sys, api.schemas; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'fastapi', 'starlette', 'sqlalchemy', 'ray', 'trading', 'actors', 'httpx', 'streamlit'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


# --- headers and sentences ------------------------------------------------------------------------------------------


def test_epoch_is_read_with_and_without_quotes() -> None:
    assert [read_epoch(text) for text in ('"7"', "7", " * ", None)] == [7, 7, None, None]


@pytest.mark.parametrize("text", ["", '"', "seven", '"7","8"', "-1", "٧"])
def test_epoch_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ProblemError):
        read_epoch(text)


def test_sentence_names_the_place_and_how_much_more_is_wrong() -> None:
    with pytest.raises(ValidationError) as caught:
        SpawnRequest.model_validate({"symbols": [""], "surprise": 1})
    errors = [{**item, "loc": ("body", *item["loc"])} for item in caught.value.errors()]
    assert sentence(errors) == "symbols.0: string should have at least 1 character (and 1 more)"
    assert sentence([]) == "the request is not valid"


def test_decimals_survive_the_way_through_items() -> None:
    tiny = {**HELD, "qty": "0.00000001", "cost": "0.00000003"}
    assert Decimal(position_item(tiny, "4")["unrealized_pnl"]) == Decimal("0.00000001")
