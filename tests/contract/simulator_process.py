"""A running simulator for tests: the real process on a free port, and small clients of its wire."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.signing import encode_params, sign

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 30
# A busy machine gives a process its quarter of a second late; no outcome depends on these.
STOP_TIMEOUT_S = 30
ANSWER_TIMEOUT_S = 30


@dataclass(slots=True)
class RunningSimulator:
    """Addresses and credentials of one process."""

    process: subprocess.Popen[str]
    rest: str
    ws: str
    api_key: str
    secret: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=ANSWER_TIMEOUT_S))

    def get(self, path: str, **params: object) -> httpx.Response:
        """Send a public GET."""
        return self.client.get(self.rest + path, params={name: str(value) for name, value in params.items()})

    def signed(self, method: str, path: str, **params: object) -> httpx.Response:
        """Send a signed request, parameters in the query."""
        pairs = [(name, str(value)) for name, value in params.items()]
        if "timestamp" not in params:
            pairs.append(("timestamp", str(time.time_ns() // 1_000_000)))
        query = encode_params(pairs)
        url = f"{self.rest}{path}?{query}&signature={sign(self.secret, query)}"
        return self.client.request(method, url, headers={"X-MEXC-APIKEY": self.api_key})

    def state(self, symbol: str | None = None, depth: int = 20) -> Any:
        """Return /sim/state."""
        return self.get("/sim/state", depth=depth, **({"symbol": symbol} if symbol else {})).json()

    def inject(self, kind: str, **fields: object) -> str:
        """Put a fault in force and return its id."""
        answer = self.client.post(self.rest + "/sim/faults", json={"kind": kind, **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def lift(self) -> None:
        """Lift all faults."""
        self.client.delete(self.rest + "/sim/faults")

    def listen_key(self) -> str:
        """Make a listen key."""
        return str(self.signed("POST", "/api/v3/userDataStream").json()["listenKey"])

    @contextmanager
    def stream(self, *topics: str, listen_key: str = "") -> Iterator[ClientConnection]:
        """Connect and subscribe; all topics must be accepted."""
        address = f"{self.ws}?listenKey={listen_key}" if listen_key else self.ws
        with connect(
            address, compression=None, proxy=None, close_timeout=1, max_queue=4_096, open_timeout=ANSWER_TIMEOUT_S
        ) as socket:
            if topics:
                assert ask(socket, "SUBSCRIPTION", *topics)["msg"] == ",".join(topics)
            yield socket

    def best(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Return the best bid and ask."""
        answer = self.get("/api/v3/ticker/bookTicker", symbol=symbol).json()
        return Decimal(answer["bidPrice"]), Decimal(answer["askPrice"])


def ask(socket: ClientConnection, method: str, *topics: str, **fields: object) -> Any:
    """Send a control message and return its answer; pushes before it are dropped."""
    socket.send(json.dumps({"method": method, "params": list(topics), **fields}))
    while True:
        answer = socket.recv(timeout=ANSWER_TIMEOUT_S)
        if isinstance(answer, str):
            return json.loads(answer)


def pushes(socket: ClientConnection, timeout_s: float) -> Iterator[pb.PushDataV3ApiWrapper]:
    """Iterate pushes until `timeout_s` have passed in all."""
    until = time.monotonic() + timeout_s
    while (left := until - time.monotonic()) > 0:
        try:
            message = socket.recv(timeout=left)
        except TimeoutError:
            return
        if isinstance(message, bytes):
            yield pb.PushDataV3ApiWrapper.FromString(message)


def start(*flags: str) -> RunningSimulator:
    """Start a simulator and wait for its ready line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--json", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.stdout.close()
        raise AssertionError(f"the simulator ended with {process.wait(START_TIMEOUT_S)} instead of getting ready")
    fields = json.loads(line)
    assert fields.pop("ready") is True
    return RunningSimulator(process, **fields)


def stop(simulator: RunningSimulator) -> int:
    """End a simulator and return its exit code."""
    simulator.client.close()
    simulator.process.send_signal(signal.SIGINT)
    try:
        code = simulator.process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        simulator.process.kill()
        simulator.process.wait()
        raise
    finally:
        assert simulator.process.stdout is not None
        simulator.process.stdout.close()
    return code


@contextmanager
def running(*flags: str) -> Iterator[RunningSimulator]:
    """Run a simulator for the length of a block; it must end well."""
    simulator = start(*flags)
    try:
        yield simulator
    finally:
        assert stop(simulator) == 0
