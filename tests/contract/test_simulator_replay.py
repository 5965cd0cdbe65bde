"""A recorded market on the simulator: frames as recorded, own orders by the paper model, an end that is told."""

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest
from simulator_process import RunningSimulator, pushes, running
from test_simulator_process import run_wrong
from test_simulator_streams import BookCopy

from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.recording.importer import import_public
from trading.adapters.recording.parquet import write_recording
from trading.adapters.recording.rows import REST_DEPTH, REST_EXCHANGE_INFO, Row

SYMBOL = "OLDUSDT"
DEPTH = f"spot@public.aggre.depth.v3.api.pb@10ms@{SYMBOL}"
DEALS = f"spot@public.aggre.deals.v3.api.pb@100ms@{SYMBOL}"
BOOK_TICKER = f"spot@public.aggre.bookTicker.v3.api.pb@100ms@{SYMBOL}"
START_NS = 1_600_000_000_000_000_000
START_MS = START_NS // 1_000_000
LISTING = {
    "symbol": SYMBOL,
    "status": "1",
    "baseAsset": "OLD",
    "baseAssetPrecision": 2,
    "quoteAsset": "USDT",
    "quotePrecision": 3,
    "baseSizePrecision": "0.01",
    "quoteAmountPrecision": "1",
    "maxQuoteAmount": "4000000",
    "makerCommission": "0",
    "takerCommission": "0.001",
    "isSpotTradingAllowed": True,
    "permissions": ["SPOT"],
}


def depth_row(after_ms: int, first: int, last: int, bids: dict[str, str], asks: dict[str, str]) -> Row:
    frame = pb.PushDataV3ApiWrapper(channel=DEPTH.replace("10ms", "100ms"), symbol=SYMBOL, sendTime=START_MS + after_ms)
    body = frame.publicAggreDepths
    for side, levels in ((body.asks, asks), (body.bids, bids)):
        for price, qty in levels.items():
            side.add(price=price, quantity=qty)
    body.fromVersion, body.toVersion = str(first), str(last)
    return Row(START_NS + after_ms * 1_000_000, frame.channel, frame.SerializeToString())


def deal_row(after_ms: int, price: str, qty: str, trade_type: int) -> Row:
    frame = pb.PushDataV3ApiWrapper(channel=DEALS, symbol=SYMBOL, sendTime=START_MS + after_ms)
    frame.publicAggreDeals.deals.add(price=price, quantity=qty, tradeType=trade_type, time=START_MS + after_ms - 2)
    return Row(START_NS + after_ms * 1_000_000, DEALS, frame.SerializeToString())


def rows() -> list[Row]:
    """Two seconds of a quiet market with a sweep through 9.99 near its end."""
    snapshot = {
        "symbol": SYMBOL,
        "lastUpdateId": 100,
        "bids": [["10.000", "5.00"], ["9.990", "5.00"], ["9.980", "50.00"]],
        "asks": [["10.010", "4.00"], ["10.020", "4.00"], ["10.500", "40.00"]],
    }
    listing = json.dumps({"timezone": "CST", "symbols": [LISTING]}).encode()
    found = [
        Row(START_NS, REST_EXCHANGE_INFO, listing),
        depth_row(0, 99, 101, {"9.970": "1"}, {}),
        Row(START_NS, REST_DEPTH, json.dumps(snapshot).encode()),
    ]
    version = 101
    for number in range(1, 20):
        size = f"{4 + number % 3}"
        found.append(depth_row(number * 100, version + 1, version + 2, {}, {"10.02": size}))
        version += 2
    found.append(deal_row(1_950, "9.99", "3", 2))
    found.append(deal_row(1_951, "9.98", "20", 2))
    found.append(depth_row(2_000, version + 1, version + 3, {"10": "0", "9.99": "0", "9.98": "30"}, {}))
    return found


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "old.parquet"
    write_recording(path, rows())
    return path


def wait_until_done(simulator: RunningSimulator) -> None:
    until = time.monotonic() + 60
    while not simulator.state()["replay"]["done"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_replay_pushes_recorded_versions_at_rebased_times_and_ends(recording: Path) -> None:
    with running("--replay", str(recording), "--limits", "off") as simulator:
        assert simulator.get("/api/v3/defaultSymbols").json()["data"] == [SYMBOL]
        assert simulator.state()["replay"] == {"done": False}
        book = BookCopy()
        deals: list[pb.PublicAggreDealsV3ApiItem] = []
        began_ms = int(time.time() * 1_000)
        with simulator.stream(DEPTH, DEALS) as socket:
            listening_ms = time.time() * 1_000
            for number, push in enumerate(pushes(socket, 60)):
                assert began_ms <= push.sendTime <= time.time() * 1_000
                if number == 0:
                    assert (push.publicAggreDepths.fromVersion, push.channel) == ("99", DEPTH)
                    book.load(simulator.get("/api/v3/depth", symbol=SYMBOL, limit=5000).json())
                if push.HasField("publicAggreDepths"):
                    assert book.apply(push.publicAggreDepths) != "gap"
                deals.extend(push.publicAggreDeals.deals)
                if book.version == 142:
                    break
        wait_until_done(simulator)
        assert [(deal.price, deal.tradeType) for deal in deals] == [("9.99", 2), ("9.98", 2)]
        assert began_ms + 1_948 <= deals[0].time <= listening_ms + 1_949, "as long after the start as it was recorded"
        truth = simulator.get("/sim/book", symbol=SYMBOL).json()
        assert book.version == truth["version"] == 142
        for side in ("bids", "asks"):
            assert book.sides[side] == {Decimal(price): Decimal(qty) for price, qty in truth[side]}
        assert simulator.get("/api/v3/ticker/price", symbol=SYMBOL).json()["price"] == "9.980"


def test_replay_own_orders_trade_by_the_paper_model(recording: Path) -> None:
    with running("--replay", str(recording), "--limits", "off") as simulator:
        # Nobody listens yet, so that the market stands still.
        order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT_MAKER"}
        behind = simulator.signed("POST", "/api/v3/order", **order, price="9.99", quantity="2").json()
        swept = simulator.signed("POST", "/api/v3/order", **order, price="9.985", quantity="2").json()
        early = simulator.signed("POST", "/api/v3/order", **order, price="9.9", quantity="2").json()
        taker = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET"}
        taken = simulator.signed("POST", "/api/v3/order", **taker, quantity="6").json()
        worth = simulator.signed("POST", "/api/v3/order", **taker, quoteOrderQty="20").json()
        fills = simulator.signed("GET", "/api/v3/myTrades", symbol=SYMBOL, orderId=taken["orderId"]).json()
        assert sum(Decimal(fill["qty"]) for fill in fills) == 6
        assert {fill["price"] for fill in fills} == {"10.01", "10.02"}
        assert all(Decimal(fill["commission"]) == Decimal(fill["quoteQty"]) / 1_000 for fill in fills)
        with simulator.stream(DEPTH, BOOK_TICKER):
            wait_until_done(simulator)

        def status(placed: dict[str, str]) -> str:
            answer = simulator.signed("GET", "/api/v3/order", symbol=SYMBOL, orderId=placed["orderId"]).json()
            return str(answer["status"])

        assert (status(taken), status(worth)) == ("FILLED", "FILLED")
        assert (status(behind), status(swept), status(early)) == ("FILLED", "FILLED", "NEW")
        cancelled = simulator.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL).json()
        assert [answer["orderId"] for answer in cancelled] == [early["orderId"]]
        account = simulator.state()["accounts"][simulator.api_key]
        trades = account["trades"]
        spent = sum(Decimal(trade["quoteQty"]) + Decimal(trade["commission"]) for trade in trades)
        assert account["balances"]["USDT"] == {"free": f"{100_000 - spent}", "locked": "0"}


@pytest.mark.parametrize("content", [b"", b"PAR1 this is none", b"\x00" * 5_000])
def test_replay_of_a_broken_file_exits_2_with_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(content)
    ended = run_wrong("--replay", str(path))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_replay_charges_the_recordings_fees_unless_others_are_asked_for(recording: Path) -> None:
    for flags, expected in (((), ("0", "0.001")), (("--maker-fee", "0.0002", "--taker-fee", "0"), ("0.0002", "0"))):
        with running("--replay", str(recording), "--limits", "off", *flags) as simulator:
            (shown,) = simulator.get("/api/v3/exchangeInfo").json()["symbols"]
            assert (shown["makerCommission"], shown["takerCommission"]) == expected
            own = simulator.signed("GET", "/api/v3/tradeFee", symbol=SYMBOL).json()["data"]
            assert (own["makerCommission"], own["takerCommission"]) == tuple(float(rate) for rate in expected)


def test_replay_of_a_symbol_that_is_not_recorded_exits_2(recording: Path) -> None:
    ended = run_wrong("--replay", str(recording), "--symbols", "NEWUSDT")
    assert ended.returncode == 2
    assert "OLDUSDT" in ended.stderr


def test_replay_of_the_sample_runs_through_at_speed_with_an_unbroken_chain(sample_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "btc.parquet"
    report = import_public(sample_path, path)
    topics = ("spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT", "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT")
    depth = trades = 0
    last = None
    with running("--replay", str(path), "--speed", "120", "--limits", "off") as simulator:
        with simulator.stream(*topics) as socket:
            for push in pushes(socket, 90):
                trades += len(push.publicAggreDeals.deals)
                if push.HasField("publicAggreDepths"):
                    delta = push.publicAggreDepths
                    assert last is None or int(delta.fromVersion) == last + 1
                    last, depth = int(delta.toVersion), depth + 1
                if (depth, trades) == (report.depth, report.trades):
                    break
        assert (depth, trades) == (report.depth, report.trades)
        wait_until_done(simulator)
        book = simulator.get("/sim/book", symbol="BTCUSDT").json()
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
