"""A venue without its sockets, on a manual clock: requests go straight to the routes, frames to a list.

Imported by unit and property tests of the simulator's wire. May import the simulator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from simulator.exchange.accounts import Account
from simulator.exchange.rules import ExchangeRules
from simulator.settings import DEFAULT_KEY, DEFAULT_SECRET, Credentials, SimulatorSettings
from simulator.venue import Venue
from simulator.wire.connection import Connection
from simulator.wire.hub import Hub
from simulator.wire.limits import LimitMode
from simulator.wire.requests import Reply, Request
from simulator.wire.routes import handle
from trading.adapters.mexc.signing import encode_params, sign

NOW_MS = 1_795_000_000_000
CLIENT = "127.0.0.1"


class Desk:
    """One venue with a generated market of a few pairs and two accounts, and the ways to ask it."""

    def __init__(
        self,
        *symbols: str,
        rules: ExchangeRules | None = None,
        limits: LimitMode = LimitMode.OFF,
        time_scale: float = 1.0,
    ) -> None:
        self.now_ms = NOW_MS
        self.settings = SimulatorSettings(
            symbols=symbols or ("XRPUSDT",),
            limits=limits,
            rules=rules or ExchangeRules(),
            time_scale=time_scale,
            accounts=(Credentials(DEFAULT_KEY, DEFAULT_SECRET), Credentials("second", "other")),
        )
        self.venue = Venue(self.settings, lambda: self.now_ms)
        self.venue.open_market()
        self.venue.open_accounts()
        self.hub = Hub(self.venue)

    @property
    def account(self) -> Account:
        """The first account."""
        return self.venue.exchange.accounts[DEFAULT_KEY]

    def send(self, method: str, path: str, query: str = "", body: str = "", key: str | None = DEFAULT_KEY) -> Reply:
        """Send a request as it is."""
        headers = {} if key is None else {"x-mexc-apikey": key}
        return handle(self.venue, Request(method, path, query, body, headers, CLIENT))

    def ask(self, method: str, name: str, **params: object) -> Reply:
        """Send a signed request to /api/v3/NAME, everything in the query."""
        given = [(key, str(value)) for key, value in params.items()]
        if "timestamp" not in params:
            given.append(("timestamp", str(self.now_ms)))
        query = encode_params(given)
        return self.send(method, f"/api/v3/{name}", f"{query}&signature={sign(DEFAULT_SECRET, query)}")

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """Send a control request to /sim/PATH."""
        return self.send(method, f"/sim/{path}", "", "" if body is None else json.dumps(body), None)

    def connect(self, listen_key: str = "") -> tuple[Connection, Frames]:
        """Open a WebSocket connection, a private one with a key."""
        frames = Frames()
        account = self.venue.listen_keys.owner(listen_key, self.now_ms) if listen_key else None
        connection = Connection(frames, self.hub, self.now_ms, account, listen_key)
        self.hub.connections.add(connection)
        return connection, frames

    def pass_ms(self, length_ms: int) -> None:
        """Let time pass, in beats of ten milliseconds."""
        for _ in range(length_ms // 10):
            self.now_ms += 10
            self.hub.beat(self.venue.advance())


class Frames:
    """A socket that remembers what is written to it."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.is_broken = False
        self.close_code: int | None = None

    def write(self, frame: bytes) -> None:
        size = frame[1]
        self.payloads.append(frame[2 if size < 126 else 4 if size == 126 else 10 :])

    def backlog(self) -> int:
        return 0

    def abort(self) -> None:
        self.is_broken = True

    def close(self, code: int) -> None:
        self.close_code = code

    def answer(self) -> Any:
        """Return the last control answer."""
        return orjson.loads(next(payload for payload in reversed(self.payloads) if payload.startswith(b"{")))


def body_of(reply: Reply) -> Any:
    """Return the JSON of a reply."""
    return orjson.loads(reply.body)


def code_of(reply: Reply) -> int | None:
    """Return the venue's code of an answer, None when it has none."""
    body = body_of(reply)
    return body.get("code") if isinstance(body, dict) else None
