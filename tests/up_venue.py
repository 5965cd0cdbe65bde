"""The venue of a running `up`, as only the simulator itself knows it, and what is made to go wrong there.

May import httpx, the adapters' signing and instruments, and the standard library.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import httpx

from tests.up_process import UpProcess, eventually
from trading.adapters.mexc.rest_codec import instruments_of
from trading.adapters.mexc.signing import signed_query

OUR_PREFIX = "mx-"
ORDER_PATH = "/api/v3/order"
OPEN = ("NEW", "PARTIALLY_FILLED")
FAR_QUOTE = Decimal(20)
# What a venue lets one address and one account do in a second is little, and shared with the system under test.
PATIENCE_S, PAUSE_S = 60.0, 0.25


class UpVenue:
    """Speaks to the simulator past the system under test."""

    def __init__(self, up: UpProcess) -> None:
        simulator = up.ready["simulator"]
        self._rest, self._key, self._secret = simulator["rest"], simulator["api_key"], simulator["secret"]
        listed = self._get("/api/v3/exchangeInfo")
        self._instruments = instruments_of(listed)

    def _get(self, path: str) -> Any:
        """Return what a public path says; waits while that is too fast."""
        answer = eventually(lambda: self._unless_too_fast("GET", path), PATIENCE_S, PAUSE_S)
        assert answer is not None, f"{path}: too fast"
        return answer.raise_for_status().json()

    def _unless_too_fast(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response | None:
        answer = httpx.request(method, self._rest + path, headers=headers, timeout=30, trust_env=False)
        return None if answer.status_code == 429 else answer

    def _bid(self, symbol: str) -> Decimal:
        return Decimal(self._get(f"/api/v3/ticker/bookTicker?symbol={symbol}")["bidPrice"])

    def account(self) -> Any:
        """Return orders, trades and balances of the account."""
        return self._get("/sim/state")["accounts"][self._key]

    def open_orders(self, symbol: str | None = None) -> set[str]:
        """Return the client ids of what is open, in one symbol or in all."""
        rows = self.account()["orders"]
        return {row["clientOrderId"] for row in rows if row["status"] in OPEN and symbol in (None, row["symbol"])}

    def ours(self, symbol: str | None = None) -> set[str]:
        """Return the ids under our prefix of what is open."""
        return {name for name in self.open_orders(symbol) if name.startswith(OUR_PREFIX)}

    def sales(self, symbol: str) -> list[str]:
        """Return the ids of a flatten's orders of a symbol of which something traded."""
        rows = self.account()["orders"]
        return [
            row["clientOrderId"]
            for row in rows
            if row["symbol"] == symbol
            and row["clientOrderId"].startswith(f"{OUR_PREFIX}x")
            and Decimal(row["executedQty"]) > 0
        ]

    def held(self, symbol: str) -> Decimal:
        """Return what was bought and not sold again by orders of ours, in base units."""
        trades = [row for row in self.account()["trades"] if row["symbol"] == symbol]
        return sum((Decimal(row["qty"]) if row["isBuyer"] else -Decimal(row["qty"]) for row in trades), Decimal(0))

    def worth(self, symbol: str) -> Decimal:
        """Return what that is worth at the bid."""
        return self.held(symbol) * self._bid(symbol)

    def injected(self, kind: str) -> int:
        """Return how often a fault of a kind has struck."""
        return int(self._get("/sim/state")["injected"].get(kind, 0))

    def fault(self, kind: str, symbol: str, method: str, **params: Any) -> None:
        """Let every order operation of a symbol by this method meet a fault."""
        body = {"kind": kind, "symbol": symbol, "probability": 1.0}
        body["params"] = {"path": ORDER_PATH, "method": method, **params}
        httpx.post(f"{self._rest}/sim/faults", json=body, timeout=30, trust_env=False).raise_for_status()

    def clear_faults(self) -> None:
        """Lift all faults."""
        httpx.delete(f"{self._rest}/sim/faults", timeout=30, trust_env=False).raise_for_status()

    def place_far_buy(self, symbol: str, name: str) -> None:
        """Place a buy that nobody will meet, as another client of the account; waits while that is too fast."""
        instrument = self._instruments[symbol]
        price = instrument.price_ticks_floor(self._bid(symbol) * Decimal("0.95"))
        lots = instrument.qty_lots_ceil(FAR_QUOTE / instrument.price(price))
        order = [("symbol", symbol), ("side", "BUY"), ("type", "LIMIT"), ("newClientOrderId", name)]
        order += [("price", instrument.price_text(price)), ("quantity", instrument.qty_text(lots))]
        assert eventually(lambda: self._is_placed(order), PATIENCE_S, PAUSE_S), f"{name}: too fast"

    def _is_placed(self, order: list[tuple[str, str]]) -> bool:
        now_ms = str(self._get("/sim/state")["now_ms"])
        query = signed_query(self._secret, [*order, ("timestamp", now_ms), ("recvWindow", "50000")])
        answer = self._unless_too_fast("POST", f"{ORDER_PATH}?{query}", {"X-MEXC-APIKEY": self._key})
        assert answer is None or answer.status_code == 200, answer.text
        return answer is not None

    def differences(self, rows: list[dict[str, Any]], fills: list[dict[str, Any]], rowless: str) -> list[str]:
        """Say where the journal's orders and fills differ from the venue's after a halt, in words.

        Args: rowless: the beginning of the ids that another client placed under our prefix: they have no row.
        """
        account, known = self.account(), {row["client_order_id"]: row for row in rows}
        ours = [row for row in account["orders"] if row["clientOrderId"].startswith(OUR_PREFIX)]
        times = Counter(row["clientOrderId"] for row in ours)
        found = [f"{name} was sent {count} times" for name, count in times.items() if count > 1]
        for order in ours:
            name, row = order["clientOrderId"], known.get(order["clientOrderId"])
            if order["status"] in OPEN:
                found.append(f"{name} is open after the halt")
            elif name.startswith(rowless):
                continue
            elif row is None or Decimal(row["filled_qty"]) != Decimal(order["executedQty"]):
                found.append(f"{name}: {row and row['filled_qty']} here, {order['executedQty']} there")
        booked = sum((Decimal(row["qty"]) for row in fills), Decimal(0))
        traded = sum((Decimal(row["qty"]) for row in account["trades"]), Decimal(0))
        return found + ([] if booked == traded else [f"{booked} booked, {traded} traded"])
