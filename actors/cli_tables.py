"""How answers look to people: tables by rich. Imports rich; knows the API's bodies as plain JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from actors.cli_output import answers

Row = Mapping[str, Any]
NS_PER_S = 1_000_000_000

_STATE_STYLES = {
    "TRADING": "green", "PROVEN": "green", "ACTIVE": "bold green", "FILLED": "green", "OPEN": "cyan",
    "SYNCING": "yellow", "STARTING": "yellow", "REQUESTED": "yellow", "PAUSED": "yellow", "DRAINING": "yellow",
    "REDUCING": "bold yellow", "UNKNOWN": "bold red", "FAILED": "bold red", "KILLED": "red", "HALTED": "bold red",
    "DENIED": "magenta", "REJECTED": "red", "GAP": "red", "STALE": "red", "CROSSED": "red",
    "BUY": "green", "SELL": "red",
}  # fmt: skip
# Columns by list: (header, field, justify).
ORDER_COLUMNS = (
    ("time", "created_ns"), ("symbol", "symbol"), ("side", "side"), ("type", "type"), ("price", "price"),
    ("qty", "qty"), ("filled", "filled_qty"), ("avg", "avg_price"), ("status", "status"), ("reason", "reason"),
    ("client order id", "client_order_id"),
)  # fmt: skip
FILL_COLUMNS = (
    ("time", "recv_ts_ns"), ("symbol", "symbol"), ("side", "side"), ("price", "price"), ("qty", "qty"),
    ("value", "quote_qty"), ("fee", "fee"), ("asset", "fee_asset"), ("maker", "is_maker"),
    ("client order id", "client_order_id"),
)  # fmt: skip
POSITION_COLUMNS = (
    ("symbol", "symbol"), ("qty", "qty"), ("avg price", "avg_price"), ("mark", "mark_price"),
    ("realized", "realized_pnl"), ("unrealized", "unrealized_pnl"), ("fees", "fees"), ("updated", "updated_ns"),
)  # fmt: skip
PNL_COLUMNS = (
    ("", "key"), ("fills", "fills"), ("volume", "quote_volume"), ("realized", "realized"),
    ("unrealized", "unrealized"), ("fees", "fees"), ("net", "net"),
)  # fmt: skip
SESSION_COLUMNS = (
    ("session", "session"), ("mode", "mode"), ("venue", "venue"), ("started", "started_ns"), ("ended", "ended_ns"),
    ("how", "end_reason"),
)  # fmt: skip
SCAN_COLUMNS = (
    ("", "rank"), ("symbol", "symbol"), ("tier", "tier"), ("net bps", "net_edge_bps"), ("spread", "spread_bps"),
    ("fees", "fees_bps"), ("adverse", "adverse_bps"), ("trades/min", "trades_per_min"),
    ("minute range", "volatility_bps"), ("bid depth", "bid_depth_quote"), ("24 h turnover", "volume_quote"),
    ("why not", "reason"),
)  # fmt: skip
_RIGHT = frozenset(
    {"price", "qty", "filled_qty", "avg_price", "quote_qty", "fee", "mark_price", "realized_pnl", "unrealized_pnl"}
    | {"fees", "fills", "quote_volume", "realized", "unrealized", "net"}
    | {"net_edge_bps", "spread_bps", "fees_bps", "adverse_bps", "trades_per_min", "volatility_bps"}
    | {"bid_depth_quote", "volume_quote"}
)


_NUMBERS = frozenset({"proven", "age", "gaps", "bid", "ask", "position", "realized"})


def show(*items: RenderableType) -> None:
    """Print to stdout; plain text when it is no terminal."""
    console = Console(file=answers(), highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(file=answers(), highlight=False, width=200)
    console.print(*items, sep="\n")


def list_table(columns: Sequence[tuple[str, str]], rows: Sequence[Row], empty: str) -> RenderableType:
    """Render rows of a list; `empty` is said when there are none."""
    if not rows:
        return Text(empty, style="dim")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header, name in columns:
        table.add_column(header, justify="right" if name in _RIGHT else "left", no_wrap=name != "reason")
    for row in rows:
        table.add_row(*(_cell(name, row.get(name)) for _, name in columns))
    return table


def status_view(snapshot: Row) -> RenderableType:
    """Render GET /v1/snapshot: halt, money, and one line a symbol."""
    halt, pnl = snapshot["halt"], snapshot["pnl"]
    head = Text.assemble(
        ("mexcbot ", "bold"), f"{snapshot['mode']} on {snapshot['venue']}, session {snapshot['session']}   halt: ",
        (str(halt["state"]), _STATE_STYLES.get(str(halt["state"]), "")),
        f"   open orders: {snapshot['open_orders']}   alerts: {snapshot['alerts']}",
    )  # fmt: skip
    money = Text(
        f"P&L net {pnl['net']}  (realized {pnl['realized']}, unrealized {pnl['unrealized']}, fees {pnl['fees']})"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in (
        "symbol", "state", "book", "proven", "age", "gaps", "bid", "ask", "position", "realized", "orders", "restarts",
        "strategy",
    ):  # fmt: skip
        table.add_column(header, justify="right" if header in _NUMBERS else "left")
    table.add_column("reason", overflow="fold")
    for row in snapshot["symbols"]:
        book = row["book"]
        table.add_row(
            str(row["symbol"]), _cell("state", row["state"]), _cell("state", book["state"]), _proven(row),
            _age(book["age_ms"]), _cell("", row.get("gaps")), _cell("", book["bid"]), _cell("", book["ask"]),
            _cell("", row["position_qty"]), _cell("", row["realized_pnl"]), _cell("", row["open_orders"]),
            _cell("", row["restarts"]), _cell("", row["strategy"]), str(row["reason"]),
        )  # fmt: skip
    stale = [Text(f"stale: {snapshot['stale_reason']}", style="red")] if snapshot.get("is_stale") else []
    shown = table if snapshot["symbols"] else Text("no symbols", style="dim")
    return Group(head, money, *stale, Text(), shown, *_refused(snapshot["symbols"]))


def _refused(symbols: Iterable[Row]) -> tuple[Text, ...]:
    """Say how often our own rules said no, by reason, over all symbols."""
    counts: Counter[str] = Counter()
    for row in symbols:
        counts.update(row.get("refusals") or {})
    texts = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
    return (Text(f"refused since their start, counted about once a second: {texts}", style="dim"),) if texts else ()


def _proven(row: Row) -> Text:
    """How much of its time the symbol had a proven book, and what is odd about its wire."""
    market = row.get("market")
    if not market or "frames" not in row:
        return _cell("", None)
    text = f"{market['proven_percent']:.2f} %"
    return Text(f"{text} drift", style="red") if market["drift"] else Text(text)


def _age(age_ms: int | None) -> Text:
    if age_ms is None:
        return _cell("", None)
    return Text(f"{age_ms} ms" if age_ms < 10_000 else f"{age_ms / 1000:.0f} s")


def halt_view(halt: Row) -> RenderableType:
    """Render a halt's report: verified, or plainly NOT CONFIRMED."""
    state = Text.assemble("halt: ", (str(halt["state"]), _STATE_STYLES.get(str(halt["state"]), "")))
    if halt["confirmed"]:
        at = time_text(halt["verified_at_ns"])
        return Group(state, Text(f"open orders: {halt['open_orders']}, verified at {at}", style="green"))
    count = "unknown" if halt["open_orders"] is None else halt["open_orders"]
    reason = f" ({halt['reason']})" if halt.get("reason") else ""
    if halt["state"] == "ACTIVE":
        return state
    return Group(state, Text(f"NOT CONFIRMED: open orders: {count}{reason}", style="bold red"))


def _cell(name: str, value: Any) -> Text:
    if value is None or value == "":
        return Text("–", style="dim")
    if name.endswith("_ns"):
        return Text(time_text(int(value)))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(str(value), style=_STATE_STYLES.get(str(value), ""))


def time_text(time_ns: int) -> str:
    """Render a time, UTC, to the millisecond."""
    if not time_ns:
        return "–"
    seconds, rest = divmod(time_ns, NS_PER_S)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03d}"
