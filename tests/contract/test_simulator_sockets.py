"""What is no request, no frame, or never ends: answered in JSON or dropped, and nobody else notices."""

import contextlib
import json
import random
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from simulator_process import ROOT, RunningSimulator, ask, pushes, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from trading.adapters.mexc.signing import encode_params, sign

TOPIC = "spot@public.aggre.depth.v3.api.pb@10ms@BTCUSDT"
HEAD = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\n"
UPGRADE = b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


def opened(simulator: RunningSimulator) -> socket.socket:
    address = urlsplit(simulator.rest)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=60)


def exchange(simulator: RunningSimulator, raw: bytes) -> tuple[int, str, bytes]:
    """Send bytes and read until the server closes. Returns the status, the content type and the body."""
    with opened(simulator) as plain:
        with contextlib.suppress(ConnectionError):  # the server may have had enough before the end
            plain.sendall(raw)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := plain.recv(65_536):
                received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    kind = re.search(rb"(?i)content-type: ([^\r]*)", head)
    return int(head.split()[1]), kind.group(1).decode() if kind else "", body


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (random.Random(7).randbytes(4_000).replace(b"\n", b"") + b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"BREW /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /api/v3/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: -5\r\n\r\nabc", 400),
        (HEAD + b"Content-Length: 6000000\r\n\r\n" + b"a" * 6_000_000, 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc", 400),
        (HEAD + b"X: " + b"a" * 2_000_000 + b"\r\n\r\n", 431),
        (HEAD + b"".join(b"X-%d: %s\r\n" % (number, b"a" * 90) for number in range(3_000)) + b"\r\n", 431),
        (HEAD + b"Content-Length: 65537\r\n\r\n" + b"a" * 65_537, 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n20000\r\n" + b"a" * 0x20000 + b"\r\n0\r\n\r\n", 413),
        (b"GET /elsewhere HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n", 404),
        (b"GET /ws HTTP/1.1\r\n" + UPGRADE + b"\r\n", 400),
    ],
    ids=[
        *(
            "noise",
            "tls",
            "http2",
            "method",
            "path",
            "negative-length",
            "huge-body",
            "bad-chunk",
            "endless-header",
            "many-headers",
        ),
        *("large-body", "large-chunks", "upgrade-elsewhere", "upgrade-without-key"),
    ],
)
def test_socket_with_no_request_gets_a_json_error_and_is_closed(
    simulator: RunningSimulator, raw: bytes, status: int
) -> None:
    code, kind, body = exchange(simulator, raw)
    assert (code, kind) == (status, "application/json")
    assert set(json.loads(body)) == {"code", "msg"}
    assert json.loads(body)["code"] == status


def test_socket_body_of_the_limit_is_read(simulator: RunningSimulator) -> None:
    code, _, body = exchange(simulator, HEAD + b"Connection: close\r\nContent-Length: 65536\r\n\r\n" + b"a" * 65_536)
    assert (code, json.loads(body)["code"]) == (400, 400)


def upgraded(simulator: RunningSimulator) -> socket.socket:
    """Open a WebSocket connection without a library."""
    plain = opened(simulator)
    plain.sendall(b"GET /ws HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
    assert plain.recv(65_536).startswith(b"HTTP/1.1 101 ")
    return plain


def frame(opcode: int, payload: bytes, *, is_final: bool = True, is_masked: bool = True, reserved: int = 0) -> bytes:
    mask = 0x80 if is_masked else 0
    size = len(payload)
    length = bytes((mask | size,)) if size < 126 else bytes((mask | 126,)) + struct.pack(">H", size)
    return bytes((is_final << 7 | reserved << 4 | opcode,)) + length + (b"\0\0\0\0" if is_masked else b"") + payload


@pytest.mark.parametrize(
    ("raw", "close_code"),
    [
        (frame(1, b'{"method":"PING"}', is_masked=False), 1002),
        (frame(1, b"x", reserved=4), 1002),
        (frame(3, b"x"), 1002),
        (frame(0, b"x"), 1002),
        (frame(8, b"x"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(1, b"\xff\xfe"), 1007),
        (b"\x81\xff" + struct.pack(">Q", 2**62) + b"\0\0\0\0abc", 1009),
    ],
    ids=["unmasked", "reserved", "opcode", "continuation", "close", "long-ping", "no-utf8", "huge"],
)
def test_socket_frame_that_breaks_the_protocol_is_closed_with_its_code(
    simulator: RunningSimulator, raw: bytes, close_code: int
) -> None:
    with upgraded(simulator) as plain:
        plain.sendall(raw)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := plain.recv(65_536):
                received += chunk
    assert (received[0], struct.unpack(">H", received[2:4])[0]) == (0x88, close_code)


def test_socket_message_in_fragments_is_one_message(simulator: RunningSimulator) -> None:
    with upgraded(simulator) as plain:
        plain.sendall(frame(1, b'{"met', is_final=False) + frame(9, b"?") + frame(0, b'hod":"PING"}'))
        received = b""
        while b"PONG" not in received:
            received += plain.recv(65_536)
    assert b"\x8a\x01?" in received


def test_socket_on_another_path_is_refused_at_the_handshake(simulator: RunningSimulator) -> None:
    with pytest.raises(InvalidStatus, match="404"):
        connect(simulator.ws + "/elsewhere", proxy=None)


@pytest.fixture(scope="module")
def hasty() -> Iterator[RunningSimulator]:
    """A simulator whose 60 s are one second; what it writes to stderr is kept."""
    with running("--limits", "off", "--symbols", "BTCUSDT", "--time-scale", "60") as one:
        yield one


def test_socket_that_never_finishes_is_dropped_and_its_order_never_placed(hasty: RunningSimulator) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "60000"}
    body = encode_params([*order.items(), ("timestamp", str(time.time_ns() // 1_000_000))])
    signed = f"{body}&signature={sign(hasty.secret, body)}".encode()
    head = HEAD + f"X-MEXC-APIKEY: {hasty.api_key}\r\nContent-Length: {len(signed) + 1}\r\n\r\n".encode()
    halves = [b"", b"GET /api/v3/ping HTTP/1.1\r\nHost:", head + signed]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(opened(hasty)) for _ in halves]
        for plain, half in zip(sockets, halves, strict=True):
            plain.sendall(half)
        bystander = stack.enter_context(hasty.stream(TOPIC))
        assert next(pushes(bystander, 30)).channel == TOPIC
        for plain in sockets:
            with contextlib.suppress(ConnectionError):
                assert plain.recv(100) == b"", "no word, and not a 500"
    assert hasty.state()["accounts"][hasty.api_key]["orders"] == []


def test_socket_half_open_does_not_keep_the_process_nor_get_a_500() -> None:
    with contextlib.ExitStack() as stack:
        with running("--symbols", "XRPUSDT") as simulator:
            sockets = [stack.enter_context(opened(simulator)) for _ in range(3)]
            for plain, half in zip(sockets, (b"GET", HEAD + b"Content-Length: 9\r\n\r\nabc", b""), strict=True):
                plain.sendall(half)
            assert simulator.get("/api/v3/ping").status_code == 200
        for plain in sockets:
            with contextlib.suppress(ConnectionError):
                assert plain.recv(100) == b""


def test_socket_that_waits_for_a_late_answer_is_broken_when_the_process_ends() -> None:
    rules = ("--rule", "ping_interval_s=1", "--rule", "echoes_request_id=false")
    with contextlib.ExitStack() as stack:
        with running("--symbols", "XRPUSDT", *rules) as simulator:
            with upgraded(simulator) as pinged:
                request = b'{"method":"SUBSCRIPTION","params":["spot@private.orders.v3.api.pb"],"id":7}'
                pinged.sendall(frame(1, request))
                received = b""
                while b"\x89\x04" not in received:  # a ping frame of four bytes
                    received += pinged.recv(65_536)
                assert b'{"id":0,"code":0,"msg":"Not Subscribed' in received
            simulator.inject("delay_reply", count=1, params={"delay_ms": 600_000})
            waiting = stack.enter_context(opened(simulator))
            waiting.sendall(b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n")
            deadline = time.monotonic() + 60
            while simulator.state()["injected"].get("delay_reply") != 1:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        with contextlib.suppress(ConnectionError):
            assert waiting.recv(100) == b"", "no answer, and not a 500"


def test_socket_garbage_leaves_no_traceback_behind() -> None:
    command = [sys.executable, "-m", "simulator", "--json", "--symbols", "XRPUSDT"]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        simulator = RunningSimulator(process, ready["rest"], ready["ws"], ready["api_key"], ready["secret"])
        stack.callback(simulator.client.close)
        exchange(simulator, b"\x00\xff\x13\x37\r\n\r\n")
        exchange(simulator, HEAD + b"Content-Length: 65537\r\n\r\n" + b"a" * 65_537)
        with contextlib.suppress(ConnectionClosed), connect(simulator.ws, proxy=None, close_timeout=1) as odd:
            odd.socket.sendall(frame(1, b"\xff\xfe"))
            odd.recv(timeout=30)
        half = stack.enter_context(opened(simulator))
        half.sendall(HEAD + b"Content-Length: 9\r\n\r\nabc")
        with simulator.stream() as socket_open:
            assert ask(socket_open, "PING")["msg"] == "PONG"
            process.terminate()
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
