"""pymexc trades on the simulator with nothing changed but its addresses."""

import time
from typing import Any

import pymexc.base
import pymexc.base_websocket
import pytest
from pymexc import spot
from simulator_process import RunningSimulator


@pytest.fixture
def client(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(pymexc.base, "SPOT", simulator.rest)
    monkeypatch.setattr(pymexc.base_websocket, "SPOT", simulator.ws)
    return spot.HTTP(api_key=simulator.api_key, api_secret=simulator.secret)


def test_pymexc_order_life(client: Any, simulator: RunningSimulator) -> None:
    placed = client.order("XRPUSDT", "BUY", "LIMIT", quantity="100", price="0.4", new_client_order_id="py-1")
    assert client.query_order("XRPUSDT", order_id=placed["orderId"])["status"] == "NEW"
    assert client.cancel_order("XRPUSDT", order_id=placed["orderId"])["clientOrderId"] == "py-1"
    assert client.current_open_orders("XRPUSDT") == []
    free = {balance["asset"]: balance["free"] for balance in client.account_information()["balances"]}
    truth = simulator.state("XRPUSDT")["accounts"][simulator.api_key]["balances"]
    assert free["USDT"] == truth["USDT"]["free"]


def wait_for(gathered: list[Any], timeout_s: float) -> Any:
    until = time.monotonic() + timeout_s
    while not gathered:
        assert time.monotonic() < until, "nothing came"
        time.sleep(0.02)
    return gathered[0]


def test_pymexc_streams_depth_and_own_orders(client: Any, simulator: RunningSimulator) -> None:
    depths: list[Any] = []
    orders: list[Any] = []
    public = spot.WebSocket(proto=True)
    private = spot.WebSocket(api_key=simulator.api_key, api_secret=simulator.secret, proto=True)
    try:
        public.endpoint = simulator.ws
        public.depth_stream(depths.append, "XRPUSDT", "100ms")
        assert wait_for(depths, 10).toVersion
        private.endpoint = f"{simulator.ws}?listenKey={private.listenKey}"
        private.account_orders(orders.append)
        time.sleep(0.5)
        placed = client.order("XRPUSDT", "SELL", "MARKET", quantity="20")
        assert wait_for(orders, 10).id == placed["orderId"]
    finally:
        public.exit()
        private.exit()
