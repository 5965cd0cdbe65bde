"""Random requests on the venue's routes while its market lives: what accounts and books show must add up from outside.

Everything is checked as a stranger would: by /sim/state, REST answers and the frames of the streams.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.exchange.accounts import Account
from simulator.settings import Credentials, SimulatorSettings
from simulator.venue import Venue
from simulator.wire.connection import Connection
from simulator.wire.hub import Hub
from simulator.wire.limits import LimitMode
from simulator.wire.requests import Request
from simulator.wire.routes import handle
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.signing import encode_params, sign

SYMBOLS = ("XRPUSDT", "MXUSDT")
TICK = {"XRPUSDT": Decimal("0.00001"), "MXUSDT": Decimal("0.0001")}
KEYS = ("one", "two")
SECRET = "secret"
BEAT_MS = 10
WHO = st.sampled_from(KEYS)
WHERE = st.sampled_from(SYMBOLS)
SIDE = st.sampled_from(("BUY", "SELL"))
LIMIT_TYPES = st.sampled_from(("LIMIT", "LIMIT", "LIMIT", "LIMIT_MAKER", "IMMEDIATE_OR_CANCEL", "FILL_OR_KILL"))
STP = st.sampled_from(("", "cancel_maker", "cancel_taker", "cancel_both"))
# Distance from the opposite best price, in half spreads of XRP: far, near, through.
DISTANCE = st.sampled_from((-300, -60, -30, -5, 0, 5, 60))
QTY = st.sampled_from(("20", "75.5", "400", "3000.1"))
ORDER = st.tuples(SIDE, LIMIT_TYPES, DISTANCE, QTY, STP)


class Wire:
    """A socket that keeps the payloads of the binary frames written to it."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def write(self, frame: bytes) -> None:
        if frame[0] == 0x82:
            size = frame[1]
            self.frames.append(frame[2:] if size < 126 else frame[4:] if size == 126 else frame[10:])

    def backlog(self) -> int:
        return 0

    def abort(self) -> None:
        raise AssertionError("the venue broke a connection")

    def close(self, code: int) -> None:
        raise AssertionError("the venue closed a connection")

    def pushes(self) -> Iterator[pb.PushDataV3ApiWrapper]:
        taken, self.frames = self.frames, []
        return (pb.PushDataV3ApiWrapper.FromString(frame) for frame in taken)


class VenueMachine(RuleBasedStateMachine):
    """Two accounts use two pairs of a living market."""

    @initialize(seed=st.integers(1, 5))
    def open(self, seed: int) -> None:
        self.now_ms = 1_790_000_000_000
        accounts = tuple(Credentials(key, SECRET) for key in KEYS)
        chosen = SimulatorSettings(symbols=SYMBOLS, seed=seed, accounts=accounts, limits=LimitMode.OFF)
        self.venue = Venue(chosen, lambda: self.now_ms)
        self.venue.open_market()
        self.venue.open_accounts()
        self.hub = Hub(self.venue)
        self.public = self._connect(None, [f"spot@public.aggre.depth.v3.api.pb@10ms@{symbol}" for symbol in SYMBOLS])
        self.private = {
            key: self._connect(
                self.venue.exchange.accounts[key],
                [f"spot@private.{name}.v3.api.pb" for name in ("account", "deals", "orders")],
            )
            for key in KEYS
        }
        state = self._get("/sim/state", depth=1_000)
        self.deposits = {key: self._totals(state, key) for key in KEYS}
        self.pushed = {key: dict(state["accounts"][key]["balances"]) for key in KEYS}
        self.deals: dict[str, int] = dict.fromkeys(KEYS, 0)
        self.books = {symbol: self._book(state["symbols"][symbol]) for symbol in SYMBOLS}
        self.versions = {symbol: state["symbols"][symbol]["version"] for symbol in SYMBOLS}

    def _connect(self, account: Account | None, topics: list[str]) -> Wire:
        wire = Wire()
        connection = Connection(wire, self.hub, self.now_ms, account, "")
        self.hub.connections.add(connection)
        for topic in topics:
            assert self.hub.subscribe(connection, topic)
        return wire

    def _ask(self, method: str, path: str, query: str = "", body: str = "", key: str = "") -> Any:
        headers = {"x-mexc-apikey": key} if key else {}
        reply = handle(self.venue, Request(method, path, query, body, headers, "127.0.0.1"))
        assert reply.status in (200, 400), reply.body
        answer = json.loads(reply.body)
        assert reply.status == 200 or (answer["code"] and answer["msg"]), answer
        self.hub.push_private(self.venue.now_ms())
        return answer

    def _get(self, path: str, **params: object) -> Any:
        return self._ask("GET", path, encode_params([(name, str(value)) for name, value in params.items()]))

    def _signed(self, key: str, method: str, path: str, **params: object) -> Any:
        pairs = [(name, str(value)) for name, value in params.items() if value != ""]
        query = encode_params([*pairs, ("timestamp", str(self.now_ms))])
        return self._ask(method, path, f"{query}&signature={sign(SECRET, query)}", key=key)

    def _price(self, symbol: str, side: str, distance: int) -> str:
        best = self._get("/api/v3/ticker/bookTicker", symbol=symbol)
        price = best["askPrice"] if side == "BUY" else best["bidPrice"]
        if price is None:  # somebody has bought or sold out: any price will do
            price = self._get("/api/v3/ticker/price", symbol=symbol)["price"]
        step = TICK[symbol] * distance
        return format(Decimal(price) + (step if side == "BUY" else -step), "f")

    def _order(self, symbol: str, order: tuple[str, str, int, str, str]) -> dict[str, str]:
        side, kind, distance, qty, stp = order
        price = self._price(symbol, side, distance)
        return {"symbol": symbol, "side": side, "type": kind, "price": price, "quantity": qty, "stpMode": stp}

    @rule(key=WHO, symbol=WHERE, order=ORDER)
    def place(self, key: str, symbol: str, order: tuple[str, str, int, str, str]) -> None:
        self._signed(key, "POST", "/api/v3/order", **self._order(symbol, order))

    @rule(key=WHO, symbol=WHERE, side=SIDE, qty=QTY, stp=STP)
    def place_market(self, key: str, symbol: str, side: str, qty: str, stp: str) -> None:
        order = {"symbol": symbol, "side": side, "type": "MARKET", "quantity": qty, "stpMode": stp}
        self._signed(key, "POST", "/api/v3/order", **order)

    @rule(key=WHO, symbol=WHERE, value=st.sampled_from(("1.5", "77.123456", "2500")))
    def place_market_by_value(self, key: str, symbol: str, value: str) -> None:
        self._signed(key, "POST", "/api/v3/order", symbol=symbol, side="BUY", type="MARKET", quoteOrderQty=value)

    @rule(key=WHO, symbol=WHERE, orders=st.lists(ORDER, min_size=1, max_size=6))
    def place_batch(self, key: str, symbol: str, orders: list[tuple[str, str, int, str, str]]) -> None:
        batch = [self._order(symbol, order) for order in orders]
        answers = self._signed(key, "POST", "/api/v3/batchOrders", batchOrders=json.dumps(batch))
        assert len(answers) == len(batch)
        assert all(("orderId" in answer) != ("code" in answer) for answer in answers)

    @rule(key=WHO, index=st.integers(0, 30))
    def cancel(self, key: str, index: int) -> None:
        found = self._signed(key, "GET", "/api/v3/openOrders", symbol=",".join(SYMBOLS))
        if found:
            order = found[index % len(found)]
            self._signed(key, "DELETE", "/api/v3/order", symbol=order["symbol"], orderId=order["orderId"])
            again = self._signed(key, "DELETE", "/api/v3/order", symbol=order["symbol"], orderId=order["orderId"])
            assert again["code"] == -2011

    @rule(key=WHO, symbols=st.sampled_from(("XRPUSDT", "MXUSDT", "XRPUSDT,MXUSDT", "")))
    def cancel_many(self, key: str, symbols: str) -> None:
        path = "/api/v3/openOrders" if symbols else "/api/v3/order/all"
        self._signed(key, "DELETE", path, symbol=symbols)
        assert self._signed(key, "GET", "/api/v3/openOrders", symbol=symbols or ",".join(SYMBOLS)) == []

    @rule(key=WHO, is_on=st.booleans())
    def switch_mx(self, key: str, is_on: bool) -> None:
        self._signed(key, "POST", "/api/v3/mxDeduct/enable", mxDeductEnable=str(is_on).lower())

    @rule(key=WHO)
    def join_a_group(self, key: str) -> None:
        self._signed(key, "POST", "/api/v3/strategy/group", tradeGroupName=f"of-{key}")

    @rule(
        symbol=st.sampled_from((*SYMBOLS, None)),
        key=st.sampled_from((*KEYS, None)),
        maker=st.sampled_from((None, "0", "0.001")),
        taker=st.sampled_from((None, "0", "0.0005", "0.01")),
        asset=st.sampled_from((None, "quote", "base", "mx")),
    )
    def switch_fees(
        self, symbol: str | None, key: str | None, maker: str | None, taker: str | None, asset: str | None
    ) -> None:
        body = {"symbol": symbol, "account": key, "maker": maker, "taker": taker, "asset": asset}
        self._ask("POST", "/sim/fees", body=json.dumps(body))

    @rule(beats=st.integers(1, 60))
    def market_lives(self, beats: int) -> None:
        for _ in range(beats):
            self.now_ms += BEAT_MS
            self.hub.beat(self.venue.advance())

    @invariant()
    def balances_are_deposits_and_trades(self) -> None:
        state = self._get("/sim/state", depth=1_000)
        for key in KEYS:
            account = state["accounts"][key]
            expected = dict(self.deposits[key])
            filled: dict[str, list[Decimal]] = {}
            for trade in account["trades"]:
                base, sign_ = trade["symbol"].removesuffix("USDT"), 1 if trade["isBuyer"] else -1
                expected[base] += sign_ * Decimal(trade["qty"])
                expected["USDT"] -= sign_ * Decimal(trade["quoteQty"])
                expected[trade["commissionAsset"]] -= Decimal(trade["commission"])
                filled.setdefault(trade["orderId"], []).append(Decimal(trade["qty"]))
            assert self._totals(state, key) == expected
            locked = dict.fromkeys(account["balances"], Decimal(0))
            for order in account["orders"]:
                done = Decimal(order["executedQty"])
                assert done == sum(filled.get(order["orderId"], ())), order
                assert done <= Decimal(order["origQty"])
                assert (order["status"] == "FILLED") == (done == Decimal(order["origQty"]) and done > 0), order
                if order["status"] in ("NEW", "PARTIALLY_FILLED"):
                    left = Decimal(order["origQty"]) - done
                    is_buy = order["side"] == "BUY"
                    asset = "USDT" if is_buy else order["symbol"].removesuffix("USDT")
                    locked[asset] += left * Decimal(order["price"]) if is_buy else left
            assert {asset: Decimal(held["locked"]) for asset, held in account["balances"].items()} == locked

    @invariant()
    def private_pushes_tell_the_same(self) -> None:
        state = self._get("/sim/state", depth=1)
        for key, wire in self.private.items():
            told: dict[str, tuple[int, str]] = {}
            for push in wire.pushes():
                if push.HasField("privateAccount"):
                    body = push.privateAccount
                    before = self.pushed[key][body.vcoinName]
                    assert Decimal(before["free"]) + Decimal(body.balanceAmountChange) == Decimal(body.balanceAmount)
                    assert Decimal(before["locked"]) + Decimal(body.frozenAmountChange) == Decimal(body.frozenAmount)
                    self.pushed[key][body.vcoinName] = {"free": body.balanceAmount, "locked": body.frozenAmount}
                elif push.HasField("privateDeals"):
                    self.deals[key] += 1
                else:
                    told[push.privateOrders.id] = push.privateOrders.status, push.privateOrders.cumulativeQuantity
            account = state["accounts"][key]
            assert self.pushed[key] == account["balances"]
            assert self.deals[key] == len(account["trades"])
            codes = {"NEW": 1, "FILLED": 2, "PARTIALLY_FILLED": 3, "CANCELED": 4, "PARTIALLY_CANCELED": 5}
            for order in account["orders"]:
                if order["orderId"] in told:
                    assert told[order["orderId"]] == (codes[order["status"]], order["executedQty"])

    @invariant()
    def deltas_rebuild_every_book(self) -> None:
        self.hub.beat(self.now_ms)
        self.now_ms += BEAT_MS
        self.hub.beat(self.now_ms)  # no market between: whatever changed is pushed now
        for push in self.public.pushes():
            delta, book = push.publicAggreDepths, self.books[push.symbol]
            assert int(delta.fromVersion) == self.versions[push.symbol] + 1
            assert delta.asks or delta.bids
            self.versions[push.symbol] = int(delta.toVersion)
            for side, items in (("asks", delta.asks), ("bids", delta.bids)):
                for item in items:
                    book[side][Decimal(item.price)] = Decimal(item.quantity)
        for symbol in SYMBOLS:
            truth = self._get("/sim/book", symbol=symbol, version=self.versions[symbol])
            shown = {side: {p: q for p, q in self.books[symbol][side].items() if q} for side in ("bids", "asks")}
            assert shown == self._book(truth)
            bids, asks = shown["bids"], shown["asks"]
            assert not bids or not asks or max(bids) < min(asks)

    @staticmethod
    def _book(view: Any) -> dict[str, dict[Decimal, Decimal]]:
        return {side: {Decimal(price): Decimal(qty) for price, qty in view[side]} for side in ("bids", "asks")}

    @staticmethod
    def _totals(state: Any, key: str) -> dict[str, Decimal]:
        balances = state["accounts"][key]["balances"]
        return {asset: Decimal(held["free"]) + Decimal(held["locked"]) for asset, held in balances.items()}


TestVenueMachine = VenueMachine.TestCase
TestVenueMachine.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
