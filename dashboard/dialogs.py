"""Dialogs for what is dangerous: the target is named, shown as it is now, and sent with the epoch that was shown.

May import streamlit and the dashboard. A dialog stays open with its result until it is closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec

import streamlit as st

from api.schemas import HaltOutcome, OperationBody, SymbolItem
from dashboard.api_client import ApiAway, ApiRefused
from dashboard.figures import plain_number
from dashboard.head import halt_sentence
from dashboard.markup import facts, pill
from dashboard.reading import DIALOG_IS_OPEN, SharedReads

POLL_S = 0.4
OPERATION_PATIENCE_S = 25.0
P = ParamSpec("P")


def _dialog(title: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a dialog of a function: while it is open no tick redraws the page, and closing it does."""

    def decorate(show: Callable[P, None]) -> Callable[P, None]:
        opened = st.dialog(title, on_dismiss="rerun")(show)

        @wraps(show)
        def open_dialog(*args: P.args, **kwargs: P.kwargs) -> None:
            st.session_state[DIALOG_IS_OPEN] = True
            opened(*args, **kwargs)

        return open_dialog

    return decorate


@_dialog("Halt trading")
def halt_dialog(reads: SharedReads) -> None:
    """Ask what to halt, halt it, and say whether the venue confirmed it."""
    body = reads.snapshot().body
    symbols = [item.symbol for item in body.symbols] if body is not None else []
    st.write("Cancels every open order of ours and lets no new one out, until somebody resumes. It survives restarts.")
    # A list that folds: what stops stays in sight, however many symbols there are.
    scope = st.selectbox("What", ["The whole account", *symbols], key="halt-scope")
    flatten = st.checkbox("Sell what is held first, with bounded prices", key="halt-flatten")
    reason = st.text_input("Reason", max_chars=500, key="halt-reason", placeholder="for the audit")
    if not st.button("Halt now", type="primary", width="stretch", key="halt-now"):
        return
    target = {"scope": "account"} if scope == "The whole account" else {"scope": "symbol", "symbol": scope}
    with st.spinner("Cancelling, and asking the venue…"):
        _show_halt(reads, lambda: reads.client.halt({**target, "flatten": flatten, "reason": reason}))


@_dialog("Resume trading")
def resume_dialog(reads: SharedReads) -> None:
    """Lift a halt."""
    body = reads.snapshot().body
    halted = sorted(body.halt.symbols) if body is not None else []
    st.write("Lets orders flow again. Symbols that were paused by hand stay paused.")
    scope = st.selectbox("What", ["The whole account", *halted], key="resume-scope")
    reason = st.text_input("Reason", max_chars=500, key="resume-reason", placeholder="for the audit")
    if not st.button("Resume now", type="primary", width="stretch", key="resume-now"):
        return
    target = {"scope": "account"} if scope == "The whole account" else {"scope": "symbol", "symbol": scope}
    try:
        outcome = reads.client.resume({**target, "reason": reason})
    except (ApiAway, ApiRefused) as error:
        st.error(f"Not resumed: {error.args[0]}")
        return
    finally:
        reads.forget()
    st.success(f"{outcome.state}: {halt_sentence(outcome)}")


def _show_halt(reads: SharedReads, send: Callable[[], HaltOutcome]) -> None:
    try:
        outcome = send()
    except ApiRefused as error:
        st.error(f"NOT CONFIRMED: {error.args[0]}")
        return
    except ApiAway as error:
        st.error(
            f"NOT CONFIRMED: {error.args[0]}. The halt may have been taken: watch the banner, or run "
            "`mexcbot halt --direct`."
        )
        return
    finally:
        reads.forget()
    if outcome.confirmed:
        st.success(f"{outcome.state} {halt_sentence(outcome)}")
    else:
        st.error(f"{outcome.state} {halt_sentence(outcome)}")


@_dialog("Command")
def symbol_dialog(reads: SharedReads, item: SymbolItem, verb: str) -> None:
    """Confirm a command for one symbol, as it was when the dialog opened."""
    words = {
        "Pause": "No new entries; its quotes are cancelled, exits go on.",
        "Resume": "Entries are allowed again.",
        "Flatten": "Cancels its orders, sells what it holds with bounded prices, and pauses it.",
        "Kill": "Cancels its orders, verifies at the venue, and ends its actor. What it holds stays held.",
    }
    st.subheader(item.symbol)
    st.html(
        facts(
            [
                ("State", pill(item.state)),
                ("Epoch", item.epoch),
                ("Open orders", item.open_orders),
                ("Position", plain_number(item.position_qty)),
            ]
        )
    )
    st.write(words[verb])
    flatten = verb == "Kill" and st.checkbox("Sell what it holds first", key="kill-flatten")
    if not st.button(f"{verb} {item.symbol}", type="primary", width="stretch", key="symbol-now"):
        return
    base = f"/v1/symbols/{item.symbol}"
    if verb == "Kill":
        _run(reads, "DELETE", f"{base}?flatten={'true' if flatten else 'false'}", epoch=item.epoch)
    else:
        _run(reads, "POST", f"{base}/{verb.lower()}", epoch=item.epoch)


@_dialog("Set parameters")
def set_dialog(reads: SharedReads, item: SymbolItem) -> None:
    """Change parameters of one symbol."""
    st.subheader(item.symbol)
    name = st.selectbox("Parameter", sorted(item.params), key="set-name")
    value = st.text_input("Value", value=item.params.get(name or "", ""), key=f"set-value-{name}")
    if st.button(f"Set for {item.symbol}", type="primary", width="stretch", key="set-now") and name:
        _run(reads, "PATCH", f"/v1/symbols/{item.symbol}", {"params": {name: value}}, item.epoch)


@_dialog("Start symbols")
def spawn_dialog(reads: SharedReads) -> None:
    """Start symbols by name."""
    names = st.text_input("Symbols", placeholder="BTCUSDT, ETHUSDT", key="spawn-names")
    strategy = st.text_input("Strategy", placeholder="the session's own", key="spawn-strategy")
    params = st.text_area("Parameters", placeholder="name=value, one a line", key="spawn-params", height=90)
    if not st.button("Start", type="primary", width="stretch", key="spawn-now"):
        return
    symbols = [name for name in names.replace(",", " ").split() if name]
    pairs = [line.partition("=") for line in params.splitlines() if line.strip()]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        st.error(f"Write parameters as name=value, was {wrong[0]!r}")
        return
    values = {name.strip(): value.strip() for name, _, value in pairs}
    _run(reads, "POST", "/v1/symbols", {"symbols": symbols, "strategy": strategy.strip(), "params": values})


def _run(
    reads: SharedReads,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    epoch: int | None = None,
) -> None:
    """Send a command and follow its operation to the end."""
    with st.spinner("At work…"):
        try:
            operation = reads.client.command(method, path, body, epoch)
            deadline = time.monotonic() + OPERATION_PATIENCE_S
            while operation.status in ("pending", "running") and time.monotonic() < deadline:
                time.sleep(POLL_S)
                operation = reads.client.read(f"/v1/operations/{operation.operation_id}", OperationBody)
        except ApiRefused as error:
            hint = " Close this, look again, then decide." if error.code == "stale_epoch" else ""
            st.error(f"Refused: {error.args[0]}.{hint}")
            return
        except ApiAway as error:
            st.error(f"Not known: {error.args[0]}. Look at the fleet before you try again.")
            return
        finally:
            reads.forget()
    match operation.status:
        case "succeeded":
            st.success("Done.")
        case "failed":
            st.error(f"Failed: {operation.error}")
        case _:
            st.warning("Still at work: the fleet shows when it is done.")
