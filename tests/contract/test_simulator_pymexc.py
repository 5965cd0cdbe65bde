"""What pymexc makes of the simulator's errors, and its calls beyond the common suite (test_trading_clients.py)."""

from collections.abc import Iterator
from typing import Any

import pymexc.base
import pytest
from pymexc import spot
from simulator_process import RunningSimulator


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pymexc.base, "SPOT", simulator.rest)
        yield spot.HTTP(api_key=simulator.api_key, api_secret=simulator.secret)


def test_pymexc_reads_account_routes(client: Any) -> None:
    assert client.get_default_symbols()["data"] == ["BTCUSDT", "XRPUSDT", "DOGEUSDT", "MXUSDT"]
    assert client.query_symbol_commission("XRPUSDT")["data"] == {"makerCommission": 0.0, "takerCommission": 0.0005}
    assert client.get_kyc_status()["status"] == "1"
    assert client.get_currency_info() == []
    # It signs True and sends true, so that a bool is refused, here as at MEXC.
    assert client.enable_mx_deduct("true")["data"] == {"mxDeductEnable": True}
    assert client.query_mx_deduct_status()["data"] == {"mxDeductEnable": True}
    client.enable_mx_deduct("false")


def test_pymexc_keeps_strategy_groups_and_listen_keys(client: Any) -> None:
    own = client.get_uid()["uid"]
    group = client.create_stp_strategy_group("py")["data"]["tradeGroupId"]
    assert client.add_uid_to_stp_strategy_group(own, group)["data"]["tradeGroupUid"] == own
    assert client.query_stp_strategy_group("py")["data"][0]["tradeGroupId"] == group
    assert client.delete_uid_from_stp_strategy_group(own, group)["data"] is True
    key = client.create_listen_key()["listenKey"]
    assert key in client.get_listen_keys()["listenKey"]
    assert client.keep_alive_listen_key(key) == client.close_listen_key(key) == {"listenKey": key}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": "1000000"}, 10101),
        ({"quantity": "1"}, 30002),
        ({"price": "0.05"}, 30087),
        ({"symbol": "NOPEUSDT"}, 10007),
    ],
)
def test_pymexc_raises_with_the_code_of_a_wrong_order(client: Any, changes: dict[str, str], code: int) -> None:
    order = {"symbol": "XRPUSDT", "side": "BUY", "order_type": "LIMIT", "quantity": "100", "price": "0.5"}
    with pytest.raises(pymexc.base.MexcAPIError, match=f"code={code}"):
        client.order(**order | changes)
