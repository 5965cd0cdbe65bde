"""One row of a recording, and the names of its streams. May import the standard library only.

A recording is a sequence of rows in order of arrival. `stream` is one of

    a MEXC topic            payload: one serialised PushDataV3ApiWrapper, as it came from the socket
    rest:depth              payload: the JSON body of GET depth with a leading "symbol" key
    rest:exchangeInfo       payload: an exchangeInfo JSON body with one symbol; the first row, and again on a change
    raw:frame@SYMBOL        payload: a binary frame that names none of the symbol's topics
    event:disconnected      payload: the reason, UTF-8; the book's proof is gone from here
    engine:…                what the engine was told beside the frames, and what it wanted: see `recorded_engine`
"""

from __future__ import annotations

from typing import NamedTuple

REST_DEPTH = "rest:depth"
REST_EXCHANGE_INFO = "rest:exchangeInfo"
RAW_FRAME = "raw:frame"
EVENT_DISCONNECTED = "event:disconnected"
OWN_STREAMS = ("rest", "event", "engine")
"""What stands before the colon of streams that are no frames of the venue."""


class Row(NamedTuple):
    """What came, from where, and when: `recv_ts_ns` is our clock's, ns UTC."""

    recv_ts_ns: int
    stream: str
    payload: bytes


def depth_payload(symbol: str, body: bytes) -> bytes:
    """Put a leading "symbol" key into the JSON object of a depth answer; the rest stays byte for byte."""
    quoted = symbol.replace("\\", "\\\\").replace('"', '\\"')
    inside = body.strip()[1:]
    separator = b"" if inside.lstrip().startswith(b"}") else b","
    return f'{{"symbol":"{quoted}"'.encode() + separator + inside
