"""The private stream: lives through what a venue and a line do to it, and tells each loss and restoration."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.mexc_account import opened_account
from tests.simulator_process import SimulatorProcess, running_simulator
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.clock import VenueClock
from trading.adapters.mexc.private_codec import PRIVATE_TOPICS
from trading.adapters.mexc.proto import mexc_push_pb2 as pb
from trading.adapters.mexc.rest import RestSettings, SignedRest
from trading.adapters.mexc.user_stream import UserStream, UserStreamSettings
from trading.model.errors import VenueRejected, VenueUnavailable
from trading.model.orders import OrderStatus, VenueBalance, VenueEvent, VenueStreamLost, VenueStreamRestored

TIME_SCALE = 20.0
SCALED = replace(UserStreamSettings(), backoff_min_s=0.05, backoff_max_s=0.2).scaled(TIME_SCALE)


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    flags = ("--symbols", "BTCUSDT", "--limits", "off", "--time-scale", str(TIME_SCALE))
    with running_simulator(*flags) as process:
        yield process


# --- against the simulator ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["close", "rollover", "expire_listen_key"])
async def test_stream_cut_by_the_venue_comes_back_and_hears_again(simulator: SimulatorProcess, kind: str) -> None:
    async with opened_account(simulator, stream=SCALED) as account:
        simulator.fault(kind, account=simulator.api_key, count=1)
        await account.until(lambda: len(account.stream_events()) >= 3, "lost and restored")
        first, lost, restored = account.stream_events()[:3]
        assert isinstance(first, VenueStreamRestored)
        assert isinstance(lost, VenueStreamLost)
        assert isinstance(restored, VenueStreamRestored)
        order = account.resting()
        accepted = await account.place(order)
        await account.until(lambda: account.orders(order.client_order_id), "pushes after the restoration")
        assert await account.gateway.cancel(order.symbol, order.client_order_id, accepted.venue_order_id)
        await account.until(
            lambda: account.orders(order.client_order_id)[-1].status is OrderStatus.CANCELLED, "the cancel is pushed"
        )
        # A new key only when the old one is of no use: an account has 60.
        assert account.gateway.status().stream.keys_made == (2 if kind == "expire_listen_key" else 1)


async def test_stream_outlives_idle_rule_and_key_expiry_by_ping_and_renewal(simulator: SimulatorProcess) -> None:
    """At scale 20 the venue drops an idle socket after 3 s; pings alone keep it. Keys are renewed several times."""
    settings = replace(SCALED, key_check_interval_s=0.2, key_renew_interval_s=0.5)
    async with opened_account(simulator, stream=settings) as account:
        requests = account.gateway.status().requests.requests
        await asyncio.sleep(4.0)
        status = account.gateway.status()
        assert [type(event) for event in account.stream_events()] == [VenueStreamRestored]
        assert (status.stream.connections, status.stream.is_up) == (1, True)
        assert status.requests.requests - requests >= 5


async def test_stream_rolls_over_before_the_venue_does(simulator: SimulatorProcess) -> None:
    async with opened_account(simulator, stream=replace(SCALED, age_max_s=0.5)) as account:
        lost = await account.until(
            lambda: [event for event in account.stream_events() if isinstance(event, VenueStreamLost)], "rolled over"
        )
        assert "rolled over" in lost[0].reason
        await account.until(lambda: isinstance(account.stream_events()[-1], VenueStreamRestored), "restored")


async def test_stream_duplicated_and_reordered_pushes_are_all_handed_on(simulator: SimulatorProcess) -> None:
    async with opened_account(simulator, stream=SCALED) as account:
        simulator.fault("duplicate_push", account=simulator.api_key, probability=1.0)
        order = account.resting()
        await account.place(order)
        await account.until(lambda: len(account.orders(order.client_order_id)) >= 2, "the push twice")
        simulator.clear_faults()
        await account.gateway.cancel_all(["BTCUSDT"])


async def test_stream_that_pushes_no_order_is_left_though_it_answers_pings(simulator: SimulatorProcess) -> None:
    """The socket is open, and nothing of the account is pushed any more: its subscription was forgotten."""
    async with opened_account(simulator, stream=replace(SCALED, push_timeout_s=0.5)) as account:
        simulator.fault("stall", account=simulator.api_key, count=1, params={"delay_ms": 400})
        order = account.resting()
        await account.place(order)
        await account.until(lambda: "took an order" in account.gateway.status().stream.last_fault, "noticed")
        await account.until(lambda: isinstance(account.stream_events()[-1], VenueStreamRestored), "restored")
        assert await account.gateway.cancel(order.symbol, order.client_order_id, "")
        await account.until(lambda: account.orders(order.client_order_id), "the cancel is pushed")


async def test_stream_gives_its_listen_key_back_on_close(simulator: SimulatorProcess) -> None:
    credentials = Credentials(simulator.api_key, simulator.secret)
    rest = SignedRest(simulator.rest, credentials, VenueClock(SystemClock()), RestSettings())
    before = await rest.listen_keys()
    async with opened_account(simulator, stream=SCALED):
        assert len(await rest.listen_keys()) == len(before) + 1
    assert await rest.listen_keys() == before
    await rest.close()


# --- against a scripted venue ---------------------------------------------------------------------------------------


class Keys:
    """Listen keys of a scripted venue: it knows `valid`, and can be told to fail."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.made = 0
        self.failure: Exception | None = None

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def create_listen_key(self) -> str:
        self._check()
        self.made += 1
        self.valid.add(f"key{self.made}")
        return f"key{self.made}"

    async def renew_listen_key(self, key: str) -> None:
        self._check()
        if key not in self.valid:
            raise VenueRejected("no such key", 33333)

    async def listen_keys(self) -> tuple[str, ...]:
        self._check()
        return tuple(sorted(self.valid))

    async def delete_listen_key(self, key: str) -> None:
        self._check()
        self.valid.discard(key)


Script = Callable[[ServerConnection, int], Awaitable[None]]
QUICK = replace(
    UserStreamSettings(),
    ack_timeout_s=30.0,
    ping_interval_s=0.1,
    stall_timeout_s=30.0,
    key_check_interval_s=30.0,
    backoff_min_s=0.02,
    backoff_max_s=0.05,
)


async def acknowledge(socket: ServerConnection) -> None:
    """Answer the subscription, as the venue does."""
    request = orjson.loads(await socket.recv())
    assert request["method"] == "SUBSCRIPTION"
    await socket.send(orjson.dumps({"id": 0, "code": 0, "msg": ",".join(reversed(request["params"]))}).decode())


async def answer_pings(socket: ServerConnection) -> None:
    async for message in socket:
        assert orjson.loads(message) == {"method": "PING"}
        await socket.send('{"id":0,"code":0,"msg":"PONG"}')


async def well_behaved(socket: ServerConnection) -> None:
    await acknowledge(socket)
    await answer_pings(socket)


class Scripted:
    """A stream running against a scripted venue."""

    def __init__(self, stream: UserStream, keys: Keys) -> None:
        self.stream = stream
        self.keys = keys
        self.events: list[VenueEvent] = []

    def kinds(self) -> list[str]:
        return [
            "up" if isinstance(e, VenueStreamRestored) else "down"
            for e in self.events
            if not isinstance(e, VenueBalance)
        ]

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, VenueStreamLost)]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + 60
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, f"not within 60 s: {what}, but {self.events}"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def scripted(
    script: Script, settings: UserStreamSettings = QUICK, keys: Keys | None = None
) -> AsyncIterator[Scripted]:
    """Run a stream against `script(socket, number)`, where number counts connections from 1."""
    count = 0

    async def on_connect(socket: ServerConnection) -> None:
        nonlocal count
        count += 1
        await script(socket, count)

    keys = keys or Keys()
    async with serve(on_connect, "127.0.0.1", 0, ping_interval=None, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        stream = UserStream(f"ws://127.0.0.1:{port}/ws", keys, {}, SystemClock(), settings, random.Random(1), "mexc")
        run = Scripted(stream, keys)
        try:
            await stream.start(run.events.append, 30.0)
            yield run
        finally:
            await stream.close()


def balance_frame() -> bytes:
    frame = pb.PushDataV3ApiWrapper(channel=PRIVATE_TOPICS[0])
    frame.privateAccount.vcoinName = "USDT"
    frame.privateAccount.balanceAmount = "5"
    return frame.SerializeToString()


async def test_listen_key_is_in_no_text_of_a_loss() -> None:
    """What websockets says of an address that is none holds all of it."""
    run = Scripted(UserStream("127.0.0.1/ws", keys := Keys(), {}, SystemClock(), QUICK, random.Random(1), "mexc"), keys)
    try:
        assert not await run.stream.start(run.events.append, 30.0)
    finally:
        await run.stream.close()
    assert keys.made == 1
    (reason,) = run.reasons()
    assert "InvalidURI" in reason
    assert "***" in reason
    assert run.stream.status().last_fault == reason


async def test_stream_that_falls_silent_is_left_and_made_anew() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        if number > 1:
            return await well_behaved(socket)
        await acknowledge(socket)
        await socket.wait_closed()

    async with scripted(script, replace(QUICK, stall_timeout_s=0.5)) as run:
        await run.until(lambda: run.kinds()[:3] == ["up", "down", "up"], "stall noticed")
        assert "stalled" in run.reasons()[0]
        assert run.keys.made == 1


async def test_stream_that_pushes_before_the_answer_owes_nothing() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await acknowledge(socket)
        await socket.send(balance_frame())
        await answer_pings(socket)

    async with scripted(script, replace(QUICK, push_timeout_s=0.1)) as run:
        await run.until(lambda: run.stream.mark == (True, 1, 1), "a push")
        run.stream.on_taken((True, 1, 0))
        run.stream.on_taken((False, 1, 1))  # sent before the stream was up: it may have been pushed to nobody
        await asyncio.sleep(0.3)
        assert run.kinds() == ["up"]
        run.stream.on_taken(run.stream.mark)
        await run.until(lambda: run.kinds()[:3] == ["up", "down", "up"], "nothing is pushed of the second")


async def test_stream_key_that_expired_silently_is_noticed_and_replaced() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await well_behaved(socket)

    async with scripted(script, replace(QUICK, key_check_interval_s=0.1)) as run:
        run.keys.valid.clear()
        await run.until(lambda: run.kinds() == ["up", "down", "up"], "expiry noticed")
        assert run.reasons() == ["listen key expired"]
        assert run.keys.valid == {"key2"}


async def test_stream_key_calls_that_fail_for_a_while_do_not_end_a_living_stream() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await well_behaved(socket)

    async with scripted(script, replace(QUICK, key_check_interval_s=0.05, key_renew_interval_s=0.1)) as run:
        run.keys.failure = VenueUnavailable("maintenance")
        await run.until(lambda: "maintenance" in run.stream.status().last_fault, "the check failed")
        run.keys.failure = None
        await asyncio.sleep(0.2)
        assert run.kinds() == ["up"]


@pytest.mark.parametrize(
    "refusal",
    [
        "Invalid listen key",
        '{"id":0,"code":0,"msg":"Not Subscribed successfully! [a,b,c].  Reason： Blocked! "}',
        '{"id":0,"code":0,"msg":"Subscribed successful! [a]. Not Subscribed successfully! [b].  Reason： Blocked! "}',
        '{"id":0,"code":0,"msg":"no subscription success"}',
    ],
)
async def test_stream_refused_subscription_is_never_up_and_tried_with_a_new_key(refusal: str) -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        if number > 2:
            return await well_behaved(socket)
        await socket.recv()
        await socket.send(refusal)
        await socket.wait_closed()

    async with scripted(script) as run:
        await run.until(lambda: "up" in run.kinds(), "accepted at last")
        assert run.kinds() == ["down", "up"]
        assert run.keys.made == 3


async def test_stream_not_acknowledged_in_time_is_never_up() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        if number > 1:
            return await well_behaved(socket)
        request = orjson.loads(await socket.recv())
        await socket.send(orjson.dumps({"id": 0, "code": 0, "msg": request["params"][0]}).decode())
        await answer_pings(socket)

    async with scripted(script, replace(QUICK, ack_timeout_s=0.5)) as run:
        await run.until(lambda: run.kinds()[-1:] == ["up"], "acknowledged at last")
        assert run.reasons()[0].startswith("not acknowledged: ")


async def test_stream_garbage_frame_is_a_loss_and_frames_without_body_are_life() -> None:
    empty = pb.PushDataV3ApiWrapper(channel=PRIVATE_TOPICS[0]).SerializeToString()

    async def script(socket: ServerConnection, number: int) -> None:
        if number > 1:
            return await well_behaved(socket)
        await acknowledge(socket)
        for frame in (empty, balance_frame(), b"\xff\xff\xff"):
            await socket.send(frame)
        await socket.wait_closed()

    async with scripted(script) as run:
        await run.until(lambda: run.kinds() == ["up", "down", "up"], "garbage noticed")
        status = run.stream.status()
        assert (status.frames, status.empty_frames, status.decode_errors) == (2, 1, 1)
        assert [event.asset for event in run.events if isinstance(event, VenueBalance)] == ["USDT"]


async def test_stream_start_without_a_venue_tells_the_loss_once_and_recovers() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await well_behaved(socket)

    keys = Keys()
    keys.failure = VenueUnavailable("not sent: ConnectError")
    async with scripted(script, keys=keys) as run:
        assert run.kinds() == ["down"]
        await asyncio.sleep(0.3)
        assert run.kinds() == ["down"]
        keys.failure = None
        await run.until(lambda: run.kinds() == ["down", "up"], "recovered")


async def test_stream_close_is_idempotent_and_quiet() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await well_behaved(socket)

    async with scripted(script) as run:
        await run.stream.close()
        await run.stream.close()
        assert run.kinds() == ["up"]
        assert run.keys.valid == set()


async def test_stream_connect_that_the_venue_refuses_is_told_and_waited_for() -> None:
    told: list[float] = []

    def refuse(socket: ServerConnection, request: Request) -> Response | None:
        if told:
            return None
        response = socket.respond(HTTPStatus.TOO_MANY_REQUESTS, "slowly")
        response.headers["Retry-After"] = "0.5"
        return response

    async with serve(well_behaved, "127.0.0.1", 0, process_request=refuse, ping_interval=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"
        keys = Keys()
        stream = UserStream(url, keys, {}, SystemClock(), QUICK, random.Random(1), "mexc", told.append)
        run = Scripted(stream, keys)
        began = asyncio.get_running_loop().time()
        await stream.start(run.events.append, 30.0)
        await run.until(lambda: run.kinds()[-1:] == ["up"], "let in at the second time")
        assert asyncio.get_running_loop().time() - began >= 0.5
        await stream.close()
    assert told == [0.5]
