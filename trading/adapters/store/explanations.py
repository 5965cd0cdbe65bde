"""Sorts what is kept with an order into an explanation. May import `trading.engine` and the plug-ins' loader."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import unquote

from trading.adapters.plugins import load_strategies
from trading.adapters.store.pages import Row
from trading.engine.account_verdicts import PREFIX
from trading.engine.reconcile import ADOPTED
from trading.engine.strategy import registry
from trading.model.errors import ConfigError

BOOK = ("book_version", "book_recv_ns", "bid", "bid_qty", "ask", "ask_qty")
PARAMETERS = ("params", "params_set")
NO_DECISION = "none: no decision of ours made this order. The venue held it under our prefix, and it was adopted"


def explained(found: Row) -> Row:
    """Add book, edge, inputs, parameters, risk and timeline to {"order", "decision", "events", "fills"}."""
    decision: dict[str, str] = found["decision"]
    account = {name: text for name, text in decision.items() if name.startswith(PREFIX)}
    edge = {name: text for name, text in decision.items() if name.startswith("edge_")}
    sorted_out = {*account, *edge, *BOOK, *PARAMETERS}
    is_adopted = ADOPTED in decision
    values, note = ({}, NO_DECISION) if is_adopted else _parameters(found["order"]["strategy"], decision)
    return {
        **found,
        "book": {name: decision[name] for name in BOOK if name in decision},
        "edge": edge,
        "inputs": {name: text for name, text in decision.items() if name not in sorted_out},
        "parameters": values,
        "parameters_note": note,
        "risk": [] if is_adopted else _risk(found, account),
        "timeline": _timeline(found),
    }


def _parameters(strategy: str, decision: dict[str, str]) -> tuple[dict[str, str], str]:
    """Return every value of then: what was set, over the defaults; the digest says whether those still hold."""
    if "params_set" not in decision:
        return {}, "the order was made by a version that kept the digest of its parameters only"
    pairs = (word.partition("=") for word in decision["params_set"].split())
    given = {name: unquote(value) for name, sign, value in pairs if sign}
    _load()
    try:
        values = registry.parse_parameters(strategy, given)
    except ConfigError as error:
        return given, f"only what was set is known: {error}"
    if values.digest() != decision.get("params"):
        return given, "only what was set is known: the defaults are others now"
    return dict(values.as_texts()), ""


@cache
def _load() -> None:
    load_strategies(registry.register)


def _risk(found: Row, account: dict[str, str]) -> list[dict[str, Any]]:
    order = found["order"]
    verdicts = [_verdict("symbol", order["created_ns"], {})]
    denied = next((event for event in found["events"] if event["kind"] == "denied"), None)
    if denied is not None:
        body = denied["body"]
        said = {"verdict": "denied", "reason": str(body.get("reason", "")), "text": str(body.get("text", ""))}
        verdicts.append({**_verdict("account", denied["at_ns"], _bare(account)), **said})
    elif account:
        verdicts.append(_verdict("account", int(account.get(f"{PREFIX}judged_ns", "0")), _bare(account)))
    return verdicts


def _verdict(judge: str, at_ns: int, measured: dict[str, str]) -> dict[str, Any]:
    return {"judge": judge, "verdict": "approved", "reason": "", "text": "", "at_ns": at_ns, "measured": measured}


def _bare(account: dict[str, str]) -> dict[str, str]:
    pairs = ((name.removeprefix(PREFIX), text) for name, text in account.items())
    return {name: text for name, text in pairs if name != "judged_ns"}


def _timeline(found: Row) -> list[dict[str, Any]]:
    order, decision = found["order"], found["decision"]
    points = [
        (int(decision.get("book_recv_ns", "0")), "last book frame received"),
        (order["created_ns"], "taken by the venue" if ADOPTED in decision else "decided"),
        (int(decision.get(f"{PREFIX}judged_ns", "0")), "judged by the account's rules"),
        (order["committed_ns"], "committed to the journal"),
        (order["sent_ns"], "sent"),
        (order["acked_ns"], "answered by the venue"),
    ]
    for event in found["events"]:
        points.append((event["at_ns"], f"journaled: {event['kind']}"))
        wish = event["body"]
        points.append((wish.get("asked_ns", 0), f"its cancel was wanted: {wish.get('why') or 'asked anew'}"))
        points.append((wish.get("sent_ns", 0), "cancel sent"))
    for fill in found["fills"]:
        points.append((fill["exch_ts_ns"], f"traded at the venue ({fill['qty']} @ {fill['price']})"))
        points.append((fill["recv_ts_ns"], f"fill received ({fill['trade_id']})"))
    known = sorted((at_ns, place, what) for place, (at_ns, what) in enumerate(points) if at_ns)
    timeline = []
    before: int | None = None
    for at_ns, _, what in known:
        timeline.append(
            {"at_ns": at_ns, "what": what, "after_us": None if before is None else (at_ns - before) // 1000}
        )
        before = at_ns
    return timeline
