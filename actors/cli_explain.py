"""`mexcbot explain`: why an order exists and what became of it; where the session was recorded, derived again.

May import typer, httpx, rich and, for the derivation, `trading`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.cli_api import ApiClient, data_dir_of, find_api
from actors.cli_fleet import Api, DataDir, Json, TokenFile
from actors.cli_output import OK, answer_json, say, sentence
from actors.cli_stored import is_left, stored_explanation
from trading.model.errors import ConfigError, DecodeError, NotRunning

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trading.adapters.recording.rederive import Derived

RECORDINGS = "recordings"
NOT_KEPT = "(not kept)"


def explain(
    client_order_id: Annotated[str, typer.Argument(metavar="CLIENT_ORDER_ID", help="The order's id (mx-…).")],
    recording: Annotated[
        Path | None,
        typer.Option("--recording", metavar="DIR", help="Recorded session (default: the instance's recordings)."),
    ] = None,
    derive: Annotated[
        bool, typer.Option("--derive/--no-derive", help="Derive the decision again from the recorded session.")
    ] = True,
    json: Json = False,
    data_dir: DataDir = None,
    api: Api = None,
    token_file: TokenFile = None,
) -> int:
    """Show why an order exists: book, inputs, edge, parameters, risk, timestamps; and derive it again if recorded."""
    try:
        body = _asked(client_order_id, data_dir, api, token_file)
    except NotRunning as error:
        if api is not None or not is_left(data_dir):
            raise
        say(f"{sentence(error)}. Read from the database it left")
        body = stored_explanation(data_dir, client_order_id)
    if derive:
        folder = recording if recording is not None else data_dir_of(data_dir) / RECORDINGS
        if recording is not None and not recording.is_dir():
            raise ConfigError(f"--recording: there is no folder {recording}")
        body["derivation"] = derivation(body, folder)
    if json:
        answer_json(body)
        return OK
    from actors.cli_tables import show

    show(_view(body))
    return OK


def _asked(client_order_id: str, data_dir: DataDir, api: Api, token_file: TokenFile) -> dict[str, Any]:
    from urllib.parse import quote

    with ApiClient(find_api(data_dir, api, token_file)) as client:
        body: dict[str, Any] = client.get(f"/v1/orders/{quote(client_order_id, safe='')}/explain", {})
    return body


def derivation(body: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Derive an order's decision again and compare; `status` is same, different or unavailable (with the reason)."""
    from actors.cli_replay import load_plugins
    from trading.adapters.recording.findings import findings
    from trading.adapters.recording.rederive import PARQUET_SUFFIX, rederive, session_rows, session_segments

    order = body["order"]
    if _adopted(body):
        return _unavailable("there was no decision of ours: the order was adopted")
    if not folder.is_dir():
        return _unavailable("the session was not recorded (mexcbot up --record)")
    load_plugins()
    differing: list[str] = []
    try:
        asked = (folder, order["symbol"], order["created_ns"])
        for item in rederive(session_rows(*asked)):
            if item.recorded.client_order_id == order["client_order_id"]:
                sealed = [path for path in session_segments(*asked) if path.suffix == PARQUET_SUFFIX]
                notes = [note for path in sealed for note in findings(path)]
                if differing:
                    notes.append(
                        f"{len(differing)} decisions before it were not derived the same, first {differing[0]}"
                    )
                return {**compared(body, item), "notes": notes}
            if not item.is_equal:
                differing.append(item.recorded.client_order_id)
    except (ConfigError, DecodeError) as error:
        return _unavailable(" ".join(str(error).split()))
    return _unavailable("the recording of that time does not hold this order (yet: it is flushed once a second)")


def _adopted(body: dict[str, Any]) -> str:
    """Say why an order is ours that no decision of ours made; empty for every other one."""
    from trading.engine.reconcile import ADOPTED

    return str(body["decision"].get(ADOPTED, ""))


def _unavailable(reason: str) -> dict[str, Any]:
    return {"status": "unavailable", "reason": reason, "differences": []}


def compared(body: dict[str, Any], item: Derived) -> dict[str, Any]:
    """Compare the fresh engine's decision with the recorded one, and with what the journal holds."""
    order, derived = body["order"], item.derived
    differences = [{"field": name, "was": was, "derived": now} for name, was, now in item.differences]
    if derived is None:
        return {
            **_unavailable("the engine, told the same, did not want this order"),
            "status": "different",
            "steps": item.steps,
        }
    instrument = item.config.instrument
    for name, was, now in (
        ("side", order["side"], derived.side.value),
        ("type", order["type"], derived.type.value),
        ("price", order["price"], instrument.price_text(derived.price_ticks)),
        ("qty", order["qty"], instrument.qty_text(derived.qty_lots)),
    ):
        if not _is_same(was, now):
            differences.append({"field": f"journal {name}", "was": was, "derived": now})
    for name, text in dict(derived.decision).items():
        was = body["decision"].get(name, NOT_KEPT)
        if was != text:
            differences.append({"field": f"journal {name}", "was": was, "derived": text})
    return {
        "status": "different" if differences else "same",
        "reason": "",
        "differences": differences,
        "steps": item.steps,
        "now_ns": item.now_ns,
        "trigger": item.trigger,
        "decision": dict(derived.decision),
    }


def _is_same(one: str, two: str) -> bool:
    from decimal import Decimal, InvalidOperation

    try:
        return Decimal(one) == Decimal(two)
    except InvalidOperation:
        return one == two


def _view(body: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from actors import cli_tables

    parts: list[RenderableType] = [cli_tables.list_table(cli_tables.ORDER_COLUMNS, [body["order"]], "")]

    def section(title: str, pairs: dict[str, str], none: str = "") -> None:
        parts.extend((Text(), Text(title, style="bold")))
        if not pairs:
            parts.append(Text(none, style="dim"))
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, text in pairs.items():
            table.add_row(f"  {name}", str(text))
        parts.append(table)

    if body["order"].get("reason"):
        parts.append(Text(f"reason: {body['order']['reason']}"))
    if why := _adopted(body):
        parts.append(Text(f"adopted, no decision of ours made it: {why}", style="bold"))
    else:
        section("book", body["book"], "none was needed")
        section("inputs", body["inputs"])
        terms = {name.removeprefix("edge_"): text for name, text in body["edge"].items()}
        section("edge, bps", terms, "none kept: an exit, or its strategy handed no edge over")
        section("parameters" + (f" ({body['parameters_note']})" if body["parameters_note"] else ""), body["parameters"])
    for verdict in body["risk"]:
        said = " ".join(text for text in (verdict["verdict"], verdict["reason"], verdict["text"]) if text)
        section(f"{verdict['judge']} risk: {said}", verdict["measured"])
    parts.extend((Text(), Text("life", style="bold")))
    life = Table(box=None, pad_edge=False, show_header=False)
    for point in body["timeline"]:
        after = "" if point["after_us"] is None else f"+{point['after_us'] / 1000:.3f} ms"
        life.add_row(f"  {cli_tables.time_text(point['at_ns'])}", str(point["at_ns"]), after, point["what"])
    parts.append(life)
    if body["fills"]:
        parts += [Text(), cli_tables.list_table(cli_tables.FILL_COLUMNS, body["fills"], "")]
    if "derivation" in body:
        parts += [Text(), *_derivation_view(body["derivation"])]
    return Group(*parts)


def _derivation_view(found: dict[str, Any]) -> list[RenderableType]:
    from rich.text import Text

    if found["status"] == "same":
        text = f"derived again from the recorded session ({found['steps']} steps, by {found['trigger']}): the same"
        return [Text(text, style="green"), *(Text(f"but {note}", style="yellow") for note in found.get("notes", ()))]
    if found["status"] == "unavailable":
        return [Text(f"not derived again: {found['reason']}", style="dim")]
    lines: list[RenderableType] = [Text(f"derived again: DIFFERENT. {found['reason']}", style="bold red")]
    lines += [Text(f"  {item['field']}: was {item['was']}, derived {item['derived']}") for item in found["differences"]]
    lines += [Text(f"  {note}", style="yellow") for note in found.get("notes", ())]
    return lines


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(explain)
