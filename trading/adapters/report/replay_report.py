"""The report of a replay: one HTML file with its data inside, which opens without a network.

May import `trading.model`, `trading.engine` and the standard library. The page's look is `replay.css`, its charts are
`replay.js`; both are put into the file. A content policy in the page forbids every request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from trading.engine import parameters
from trading.engine.account_limits import AccountLimits
from trading.engine.matching_models import LatencyModel, Leg, MatchingRules, QueueModel, leg_ms, queue_text
from trading.engine.replay_result import ModelResult, ReplayResult
from trading.engine.replay_tape import HORIZONS_NS, ExitSum, ReplayTape, TapeFill, markout_curve
from trading.engine.strategy import registry
from trading.model.errors import ConfigError
from trading.model.orders import Purpose
from trading.model.units import NS_PER_MS, NS_PER_S, ZERO, plain

FILLS_SHOWN = 4_000
"""More would make the page slow; the sums and markouts are of all that the tape holds, and the page says so."""
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ReplayFacts:
    """What the report says of the input and the assumptions, beside the result itself.

    data_sha256: of the recording's bytes. balances: opening, by asset. wall_s: how long the replay took.
    """

    recording: str
    data_sha256: str
    strategy: str
    seed: int
    latency: LatencyModel
    matching: MatchingRules
    balances: Mapping[str, Decimal]
    allocation_quote: Decimal
    limits: AccountLimits
    wall_s: float
    version: str


def render(result: ReplayResult, tape: ReplayTape, facts: ReplayFacts) -> str:
    """Return the whole page. Guarantee: it names no address, and nothing of its input can leave its place as markup."""
    data = json.dumps(_data(result, tape, facts), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    parts = {
        "@TITLE@": escape(f"{tape.instrument.symbol} {facts.strategy} replay"),
        "@STYLE@": _text("replay.css"),
        "@SCRIPT@": _text("replay.js"),
        # JSON inside a script element: nothing in it may close the element.
        "@DATA@": data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
    }
    page = _text("replay.html")
    for place, text in parts.items():
        page = page.replace(place, text, 1)
    return page


def write(path: Path, page: str) -> None:
    """Write the page, whole or not at all. Raises: ConfigError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"--report: {path} cannot be written: {error.strerror or error}")


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _data(result: ReplayResult, tape: ReplayTape, facts: ReplayFacts) -> dict[str, Any]:
    instrument = tape.instrument
    seconds = (result.last_ns - result.first_ns) / NS_PER_S

    def at(now_ns: int) -> float:
        return round((now_ns - result.first_ns) / NS_PER_S, 9)  # to the ns: less would move it past an event

    tick = float(instrument.tick_size)
    return {
        "title": f"{instrument.symbol} · {facts.strategy}",
        "subtitle": f"Replay of {facts.recording}: {result.events:,} events over {seconds:,.0f} s of market, "
        f"from {_utc(result.first_ns)} UTC, {seconds / max(facts.wall_s, 1e-9):,.0f} times real time. "
        f"Amounts in {instrument.quote}.",
        "first_s": result.first_ns / NS_PER_S,
        "seconds": seconds,
        "price_digits": len(instrument.price_text(1).partition(".")[2]),
        "tiles": _tiles(result, tape),
        "verdict": _verdict(result),
        "marks": {
            "t": [at(mark.now_ns) for mark in tape.marks],
            "mid": [
                (mark.bid_ticks + mark.ask_ticks) / 2 * tick if mark.bid_ticks and mark.ask_ticks else None
                for mark in tape.marks
            ],
            "pessimistic": [float(mark.pessimistic) for mark in tape.marks],
            "probabilistic": [float(mark.probabilistic) for mark in tape.marks],
        },
        "fills": [_fill(item, tape, at(item.now_ns)) for item in tape.fills[:FILLS_SHOWN]],
        "fills_note": _fills_note(tape),
        "horizons": [f"{horizon / NS_PER_S:g}" for horizon in HORIZONS_NS],
        "markouts": _markouts(tape.fills),
        "models": _models(result.pessimistic, result.probabilistic, tape),
        "refusals": sorted(result.refusals, key=lambda item: -item[1])[:15],
        "exits": _exits(tape.exits),
        "params": _params(result, facts.strategy),
        "input": _input(result, tape, facts),
        "limits": [
            (item.name, text, item.unit)
            for item, (_, text) in zip(
                parameters.declarations(AccountLimits), parameters.as_texts(facts.limits), strict=True
            )
        ],
    }


def _fills_note(tape: ReplayTape) -> str:
    """Say which fills are not drawn and not listed; empty when all are."""
    shown, total = tape.fills[:FILLS_SHOWN], len(tape.fills) + tape.uncounted_fills
    if len(shown) == total:
        return ""
    return (
        f"Shown are the first {len(shown):,} of {total:,} fills (both queue models), up to "
        f"{_utc(shown[-1].now_ns)} UTC; results and exits are of all of them."
    )


def _tiles(result: ReplayResult, tape: ReplayTape) -> list[dict[str, Any]]:
    one, two = result.pessimistic, result.probabilistic
    bps = one.net / one.traded * 10_000 if one.traded else ZERO

    def tile(label: str, value: str, note: str = "", signed: bool = False) -> dict[str, Any]:
        return {"label": label, "value": value, "note": note, "signed": signed}

    return [
        tile("Net, pessimistic queue", plain(one.net), f"{bps:+.2f} bps of {one.traded:,.2f} traded", True),
        tile("Net, probabilistic queue", plain(two.net), f"{two.fills} fills of the same orders", True),
        tile("Fees", f"{one.fees:,.4f}", f"gross {one.gross:+,.4f}"),
        tile("Max drawdown", f"{tape.max_drawdown:,.4f}", "from the highest equity"),
        tile("Orders", f"{result.orders:,}", f"{result.denied} denied"),
        tile("Fills", f"{one.fills:,}", f"held at the end {plain(one.held)}"),
    ]


def _verdict(result: ReplayResult) -> str:
    one, two = result.pessimistic, result.probabilistic
    if not result.orders:
        return "It placed no order. What stood in the way is counted below under “Why there was no entry”."
    if not one.fills and not two.fills:
        return "None of its orders was filled: equity stays at zero, and there is nothing to judge."
    if (one.net > 0) != (two.net > 0):
        return (
            f"The queue models disagree about the sign ({one.net:+.4f} and {two.net:+.4f}): whether this makes money "
            "depends on an assumption about the queue, not on the strategy."
        )
    return ""


def _fill(item: TapeFill, tape: ReplayTape, at_s: float) -> dict[str, Any]:
    fill, instrument = item.fill, tape.instrument
    return {
        "t": at_s,
        "model": item.model.value,
        "side": fill.side.value,
        "price": float(instrument.price(fill.price_ticks)),
        "price_text": instrument.price_text(fill.price_ticks),
        "qty": instrument.qty_text(fill.qty_lots),
        "fee": plain(fill.fee),
        "maker": fill.is_maker,
        "reason": item.reason,
        "order": fill.client_order_id,
    }


def _markouts(fills: list[TapeFill]) -> list[dict[str, Any]]:
    driving = [item for item in fills if item.model is QueueModel.PESSIMISTIC]
    groups = {
        "passive entries": [item for item in driving if item.fill.is_maker and item.purpose is Purpose.ENTRY],
        "passive exits": [item for item in driving if item.fill.is_maker and item.purpose is Purpose.EXIT],
        "taker": [item for item in driving if not item.fill.is_maker],
    }
    return [
        {
            "label": label,
            "fills": len(items),
            "points": [
                [HORIZONS_NS.index(point.horizon_ns), round(point.mean_bps, 5), round(point.error_bps, 5), point.fills]
                for point in markout_curve(items)
            ],
        }
        for label, items in groups.items()
    ]


def _models(one: ModelResult, two: ModelResult, tape: ReplayTape) -> list[list[Any]]:
    def row(name: str, first: Decimal | int, second: Decimal | int) -> list[Any]:
        if isinstance(first, int):
            return [name, str(first), str(second), f"{second - first:+d}"]
        return [name, f"{first:,.4f}", f"{second:,.4f}", f"{second - first:+,.4f}"]

    return [
        row("Fills", one.fills, two.fills),
        row("Traded", one.traded, two.traded),
        row("Gross", one.gross, two.gross),
        row("Fees", one.fees, two.fees),
        row("Net", one.net, two.net),
        row("Max drawdown", tape.max_drawdown, tape.max_drawdown_probabilistic),
        ["Held at the end", plain(one.held), plain(two.held), plain(two.held - one.held)],
    ]


def _exits(exits: Mapping[str, ExitSum]) -> dict[str, Any]:
    rows: list[list[Any]] = []
    total = ExitSum()
    for name, item in sorted(exits.items(), key=lambda pair: pair[1].net):
        rows.append(_exit_row(name, item))
        for field in ("orders", "fills", "wins", "value", "gross", "fees", "held_ns"):
            setattr(total, field, getattr(total, field) + getattr(item, field))
    if len(rows) > 1:
        rows.append(_exit_row("all", total))
    return {"rows": rows, "classes": [""] * (len(rows) - 1) + ["sum"] if len(rows) > 1 else [""]}


def _exit_row(name: str, item: ExitSum) -> list[Any]:
    bps = item.net / item.value * 10_000 if item.value else ZERO
    held_s = item.held_ns / NS_PER_S / item.fills if item.fills else 0.0
    return [
        name,
        str(item.orders),
        str(item.fills),
        f"{100 * item.wins / item.fills:.0f} %" if item.fills else "",
        f"{item.value:,.2f}",
        {"signed": plain(item.gross)},
        f"{item.fees:,.4f}",
        {"signed": plain(item.net)},
        f"{bps:+.2f}",
        f"{held_s:,.2f}",
    ]


def _params(result: ReplayResult, strategy: str) -> dict[str, Any]:
    values = dict(result.params)
    declared = registry.declarations(strategy)
    return {
        "rows": [(item.name, values[item.name], item.unit, item.reason) for item in declared],
        "classes": ["set" if values[item.name] != item.default else "" for item in declared],
    }


def _input(result: ReplayResult, tape: ReplayTape, facts: ReplayFacts) -> list[tuple[str, Any]]:
    instrument, latency = tape.instrument, facts.latency
    notes = ", ".join(f"{name} {count}" for name, count in result.notes) or "none"
    rows: list[tuple[str, Any]] = [
        ("Recording", facts.recording),
        ("Its SHA-256", {"code": facts.data_sha256}),
        ("Order log SHA-256", {"code": result.order_log_sha256}),
        ("Instrument", f"tick {plain(instrument.tick_size)}, lot {plain(instrument.lot_size)}"),
        ("Fees", f"maker {plain(instrument.maker_fee_rate)}, taker {plain(instrument.taker_fee_rate)} of the value"),
        (
            "Latency",
            f"feed {_leg(latency.feed_ns)}, order entry {_leg(latency.entry_ns)}, response {_leg(latency.response_ns)}",
        ),
        ("Late trades explain a shrink for", _ms(facts.matching.late_trade_ns)),
        ("Consumed size shared by own orders", "yes" if facts.matching.is_consumption_shared else "no"),
        ("Chance that a cancel was behind us, probabilistic queue", queue_text(facts.matching)),
        ("Opening balances", _amounts(facts.balances)),
        ("Allocation", f"{plain(facts.allocation_quote)} {instrument.quote}"),
        ("Seed", str(facts.seed)),
        ("Notes", notes),
        ("mexcbot", facts.version),
    ]
    if tape.uncounted_fills:
        rows.append(("Fills without detail", f"{tape.uncounted_fills}: beyond the first {len(tape.fills)}"))
    return rows


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _ms(time_ns: int) -> str:
    return f"{time_ns / NS_PER_MS:g} ms"


def _leg(leg: Leg) -> str:
    found = leg_ms(leg)
    return (
        f"{found:g} ms" if isinstance(found, float) else f"{len(found)} recorded, {min(found):g} to {max(found):g} ms"
    )


def _amounts(balances: Mapping[str, Decimal]) -> str:
    pairs: Iterable[tuple[str, Decimal]] = sorted(balances.items())
    return ", ".join(f"{plain(amount)} {asset}" for asset, amount in pairs)
