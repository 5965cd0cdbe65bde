"""What lists are asked for and what comes back: queries, pages, cursors. May import trading.model."""

from __future__ import annotations

import base64
import binascii
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Literal

from trading.model.errors import ConfigError
from trading.model.units import plain

Row = dict[str, Any]
PnlBy = Literal["session", "symbol", "day"]

# An average is a quotient and may never end; 16 significant digits are more than any venue quotes.
_AVERAGE = Context(prec=16)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list is filtered by. Rows come newest first; `cursor` is what an earlier page gave.

    `since_ns`: rows created (or booked) at or after it. limit: 1..1000.
    """

    symbol: str | None = None
    status: str | None = None
    session: str | None = None
    since_ns: int | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RowPage:
    """One page of rows in the contract's item shapes."""

    items: tuple[Row, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ChangeCursor:
    """How far a follower has read: the greatest journal event, fill and alert ids seen. All None: begin at the end."""

    event_id: int | None = None
    fill_id: int | None = None
    alert_id: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What was committed after a cursor, oldest first, at most `limit` of each; `cursor` goes on from here.

    orders: the rows of every order that an event touched, as they are now.
    """

    cursor: ChangeCursor
    orders: tuple[Row, ...] = ()
    fills: tuple[Row, ...] = ()
    alerts: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What an idempotency key is bound to. status_code None: its first request is still at work."""

    body_hash: str
    status_code: int | None
    response: Any


def encode_cursor(time_ns: int, row_id: str | int) -> str:
    """Name the row after which the next page begins."""
    return base64.urlsafe_b64encode(json.dumps([time_ns, row_id]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, id_type: type[str] | type[int]) -> tuple[int, str | int]:
    """Read a cursor back. Raises: ConfigError when it is not one that a page of this list gave."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        time_ns, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        raise ConfigError("cursor: expected the next_cursor of an earlier page of this list") from None
    if type(time_ns) is not int or type(row_id) is not id_type or not all(_fits(item) for item in (time_ns, row_id)):
        raise ConfigError("cursor: expected the next_cursor of an earlier page of this list")
    return time_ns, row_id


def one_of(query: ListQuery, known: Sequence[str]) -> ListQuery:
    """Refuse a status that nothing ever has: an empty list would read as "there are none". Raises: ConfigError."""
    if query.status is not None and query.status not in known:
        raise ConfigError(f"status: expected one of {', '.join(known)}, was {query.status!r}")
    return query


def page_in_memory(
    rows: Iterable[Mapping[str, Any]], key: str, query: ListQuery, *, is_descending: bool = False
) -> RowPage:
    """Page through rows that are held in memory, in the order of a text key. Raises: ConfigError on a bad cursor."""
    after = decode_cursor(query.cursor, str)[1] if query.cursor is not None else None
    ordered: Sequence[Row] = sorted((dict(row) for row in rows), key=lambda row: str(row[key]), reverse=is_descending)
    is_beyond = operator.lt if is_descending else operator.gt
    left = [row for row in ordered if after is None or is_beyond(str(row[key]), after)]
    page = left[: query.limit]
    is_more = len(left) > len(page)
    return RowPage(tuple(page), encode_cursor(0, str(page[-1][key])) if is_more else None)


def quotient(dividend: Decimal, divisor: Decimal) -> str | None:
    """Render an average in plain digits; None when there is nothing to divide by."""
    return plain(_AVERAGE.divide(dividend, divisor)) if divisor else None


def _fits(item: object) -> bool:
    """Tell whether the database can compare with it: a bigint, or a text without NUL."""
    return abs(item) < 2**63 if isinstance(item, int) else isinstance(item, str) and item.isprintable()
