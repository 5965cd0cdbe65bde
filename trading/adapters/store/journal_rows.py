"""Records of the journal as rows, and rows as records. May import trading.model, trading.engine.ports and orjson.

Rows travel to the server as one JSON array a table (`jsonb_to_recordset` unpacks them): one parameter and one plan for
any number of rows. Decimals are text there, which NUMERIC reads exactly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

import orjson

from trading.adapters.store.event_codec import encode_event
from trading.engine.ports import JournalEntry, LedgerLine, OrderRecord
from trading.model.errors import FencedOut, InvariantViolated
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Delivery, Fill, OrderStatus, OrderType, Purpose, VenueBalance
from trading.model.position import Position, TripRecord
from trading.model.session import HaltState, Lease

# What the statements select of an order, in this order; the fields of `OrderRecord` but for the decision.
ORDER_NAMES = tuple(field.name for field in fields(OrderRecord) if field.name != "decision")
FILL_NAMES = tuple(field.name for field in fields(Fill))


def to_json(rows: object) -> str:
    """Serialise rows. Text that Postgres cannot hold (NUL, lone surrogates; only a venue could send it) is replaced."""
    try:
        raw = orjson.dumps(rows)
    except TypeError:
        raw = orjson.dumps(storable(rows))
    if b"\\u0000" in raw:
        raw = orjson.dumps(storable(rows))
    return raw.decode()


def order_row(order: OrderRecord, instruments: Mapping[str, Instrument], is_step: bool = False) -> dict[str, Any]:
    """Return an order as JSON values, with the NUMERIC twins of its ticks and lots.

    is_step: a step of an order. What a sent one was decided on stands since the commit of its intent: it is left out.
    """
    instrument = _instrument(order.symbol, instruments)
    return {
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "run_id": order.run_id,
        "owner_epoch": order.owner_epoch,
        "executor_epoch": order.executor_epoch,
        "side": order.side,
        "type": order.type,
        "price_ticks": order.price_ticks,
        "qty_lots": order.qty_lots,
        "purpose": order.purpose,
        "strategy": order.strategy,
        "status": order.status,
        "created_ns": order.created_ns,
        "valid_until_ns": order.valid_until_ns,
        "signed_ms": order.signed_ms,
        "recv_window_ms": order.recv_window_ms,
        "venue_order_id": order.venue_order_id,
        "filled_lots": order.filled_lots,
        "filled_quote": str(order.filled_quote),
        "venue_filled_lots": order.venue_filled_lots,
        "reason": order.reason,
        "committed_ns": order.committed_ns,
        "sent_ns": order.sent_ns,
        "acked_ns": order.acked_ns,
        "updated_ns": order.updated_ns,
        "price": str(instrument.price(order.price_ticks)),
        "qty": str(instrument.qty(order.qty_lots)),
        "filled_qty": str(instrument.qty(order.filled_lots)),
        "decision": () if is_step and order.sent_ns else order.decision,
    }


def order_from_row(row: Sequence[Any]) -> OrderRecord:
    """Read an order back: the `ORDER_NAMES`, then the decision's pairs (None when it has none)."""
    values = dict(zip(ORDER_NAMES, row[:-1], strict=True))
    values["side"] = Side(values["side"])
    values["type"] = OrderType(values["type"])
    values["purpose"] = Purpose(values["purpose"])
    values["status"] = OrderStatus(values["status"])
    return OrderRecord(**values, decision=tuple((str(name), str(value)) for name, value in row[-1] or ()))


def fill_row(index: int, entry: JournalEntry, instruments: Mapping[str, Instrument]) -> dict[str, Any]:
    """Return an entry's fill and the position after it as JSON values; `index` is the entry's place in its batch."""
    fill, position = entry.fill, entry.position
    if fill is None or position is None:
        raise InvariantViolated(f"{entry.order.client_order_id}: a fill comes with the position after it")
    instrument = _instrument(fill.symbol, instruments)
    return {
        "index": index,
        "venue": fill.venue,
        "trade_id": fill.trade_id,
        "client_order_id": fill.client_order_id,
        "venue_order_id": fill.venue_order_id,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "price_ticks": fill.price_ticks,
        "qty_lots": fill.qty_lots,
        "price": str(instrument.price(fill.price_ticks)),
        "qty": str(instrument.qty(fill.qty_lots)),
        "quote_qty": str(fill.quote_qty),
        "fee": str(fill.fee),
        "fee_asset": fill.fee_asset,
        "fee_rate_quote": None if fill.fee_rate_quote is None else str(fill.fee_rate_quote),
        "fee_rate_source": fill.fee_rate_source,
        "source": fill.source,
        "is_maker": fill.is_maker,
        "exch_ts_ns": fill.exch_ts_ns,
        "recv_ts_ns": fill.recv_ts_ns,
        "position_qty": str(position.qty),
        "position_cost": str(position.cost),
        "position_realized_pnl": str(position.realized_pnl),
        "position_fees": str(position.fees),
        "position_updated_ns": position.updated_ns,
    }


def fill_identity(fill: Fill) -> tuple[str, str, str, str]:
    """Return what makes a fill the same fill, within an account."""
    return fill.symbol, fill.venue_order_id, fill.side.value, fill.trade_id


def fill_from_row(row: Sequence[Any]) -> Fill:
    """Read a fill back: the fields of `Fill` in their order."""
    values: dict[str, Any] = dict(zip(FILL_NAMES, row, strict=True))
    return Fill(**{**values, "side": Side(values["side"])})


def uncommitted(entries: Sequence[JournalEntry], committed: Collection[int]) -> list[JournalEntry]:
    """Return what of a repeated batch is still to be written.

    Args: committed: indexes of the entries whose very event stands in the journal.
    Entries are written in order, so one without an event of its own stands when a later one does: written again, it
    would put its order back to where it was before that.
    """
    last = max(committed, default=-1)
    return [
        entry
        for index, entry in enumerate(entries)
        if index not in committed and (index > last or entry.delivery is not None)
    ]


def ledger_row(index: int, line: LedgerLine, client_order_id: str | None) -> dict[str, Any]:
    """Return a ledger line as JSON values."""
    return {
        "index": index,
        "kind": line.kind,
        "symbol": line.symbol,
        "asset": line.asset,
        "amount": str(line.amount),
        "client_order_id": client_order_id,
        "reference": line.reference,
        "at_ns": line.at_ns,
    }


def position_row(position: Position) -> dict[str, Any]:
    """Return a position as JSON values."""
    return {
        "symbol": position.symbol,
        "qty": str(position.qty),
        "cost": str(position.cost),
        "realized_pnl": str(position.realized_pnl),
        "fees": str(position.fees),
        "updated_ns": position.updated_ns,
    }


def fenced(lease: Lease) -> FencedOut:
    """Return what a write under a lease that is not ours any more raises."""
    return FencedOut(f"the lease {lease.name} is not ours any more (our epoch was {lease.epoch}): nothing was written")


def event_row(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as a row of `order_events`."""
    kind, body = encode_event(delivery.event)
    return {
        "symbol": delivery.event.symbol,
        "seq": delivery.seq,
        "client_order_id": delivery.event.client_order_id,
        "kind": kind,
        "body": body,
        "at_ns": delivery.event.at_ns,
    }


def halt_state(value: str) -> HaltState:
    """Read a stored halt state; what cannot be read is HALTED (promise 5)."""
    try:
        return HaltState(value)
    except ValueError:
        return HaltState.HALTED


def storable_text(text: str) -> str:
    """Replace what Postgres cannot hold in a text: NUL and lone surrogates."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _instrument(symbol: str, instruments: Mapping[str, Instrument]) -> Instrument:
    if symbol not in instruments:
        raise InvariantViolated(f"the journal was never told the instrument {symbol}: call register_instrument first")
    return instruments[symbol]


def storable(value: object) -> object:
    """Replace what Postgres cannot hold in every text of a JSON value."""
    match value:
        case str():
            return storable_text(value)
        case Mapping():
            return {storable(key): storable(item) for key, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
        case _:
            return value


def instrument_row(item: Instrument) -> dict[str, Any]:
    """Return the row of an instrument, as `SAVE_INSTRUMENT` reads it."""
    return {
        "symbol": item.symbol,
        "base": item.base,
        "quote": item.quote,
        "tick_size": str(item.tick_size),
        "lot_size": str(item.lot_size),
        "min_qty": str(item.min_qty),
        "min_notional": str(item.min_notional),
        "max_notional": str(item.max_notional),
        "maker_fee_rate": str(item.maker_fee_rate),
        "taker_fee_rate": str(item.taker_fee_rate),
        "exclusion": item.exclusion,
    }


def trips_to_text(record: TripRecord) -> str:
    """Return a record of round trips as one text, the way it is stored."""
    times = ",".join(map(str, record.losses_ns))
    start = f"{record.start_net}:{record.start_realized}"
    return f"{record.losses_in_row} {record.ended_ns} {start} {times}".rstrip()


def trips_from_text(text: str) -> TripRecord:
    """Read what `trips_to_text` wrote; older rows lack the times of the losses, or what was realised."""
    losses, ended_ns, start, *times = text.split()
    start_net, _, start_realized = start.partition(":")
    losses_ns = tuple(int(item) for item in times[0].split(",")) if times else ()
    return TripRecord(int(losses), int(ended_ns), Decimal(start_net), losses_ns, Decimal(start_realized or 0))


def balance_row(balance: VenueBalance) -> dict[str, Any]:
    """Return the row of a balance, as `SAVE_BALANCES` reads it."""
    return {
        "asset": balance.asset,
        "free": str(balance.free),
        "locked": str(balance.locked),
        "exch_ts_ns": balance.exch_ts_ns,
        "recv_ts_ns": balance.recv_ts_ns,
    }
