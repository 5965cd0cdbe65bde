"""The stream over real sockets: what a client sees first, what it misses when it leaves, and how it learns of that."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import websockets
from fastapi import FastAPI

from api import routes_system
from api.fleet_view import MAX_AGE_S
from api.stream_hub import CLIENTS_MAX
from tests.integration.api_system import CONTROL, READ, ApiSystem, client_of, served

PATIENCE_S = 60


@pytest.fixture
async def system(system: ApiSystem) -> ApiSystem:
    async with client_of(system.app()) as client:
        await system.spawn(client, "BTCUSDT")
    await system.attach()
    return system


class Reader:
    """Reads server-sent events."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id = 0

    async def next(self) -> tuple[int, str, Any]:
        """Read one event as (id, event, data)."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    self.last_id = int(fields["id"])
                    return self.last_id, fields["event"], json.loads(fields["data"])
                else:
                    fields = {}
        raise AssertionError("the stream ended")

    async def until(self, kind: str) -> Any:
        """Read on to an event of a kind and return its data."""
        passed: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    _, found, data = await self.next()
                    if found == kind:
                        return data
                    passed.append(found)
        except TimeoutError:
            raise AssertionError(f"no {kind} came, only {passed}") from None


@asynccontextmanager
async def following(url: str, last_id: int | None = None) -> AsyncIterator[Reader]:
    headers = {"Authorization": f"Bearer {READ}"} | ({"Last-Event-ID": str(last_id)} if last_id else {})
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S, trust_env=False) as client,
        client.stream("GET", "/v1/stream") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Reader(answer.aiter_lines())


async def _nobody_follows(app: FastAPI) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while app.state.context.hub.clients:  # noqa: ASYNC110 - the product needs no such event
            await asyncio.sleep(0.02)


async def test_stream_begins_with_a_snapshot_and_brings_orders_fills_and_positions(system: ApiSystem) -> None:
    app = system.app()
    async with served(app) as url, following(url) as reader:
        number, kind, snapshot = await reader.next()
        assert (kind, snapshot["seq"]) == ("snapshot", number)
        assert snapshot["symbols"][0]["symbol"] == "BTCUSDT"
        order_id = await system.order(1)
        order = await reader.until("order")
        assert (order["client_order_id"], order["status"]) == (order_id, "OPEN")
        await system.fill(order_id, 1000)
        # Order, fill and position of one booking come in this order.
        assert (await reader.until("order"))["status"] == "FILLED"
        assert (await reader.until("fill"))["client_order_id"] == order_id
        assert (await reader.until("position"))["qty"] == "0.1"
        assert (await reader.until("heartbeat"))["problems"] == []
    await _nobody_follows(app)


async def test_symbols_risk_and_alerts_are_streamed_when_they_change(system: ApiSystem) -> None:
    async with served(system.app()) as url, following(url) as reader:
        await reader.until("snapshot")
        system.factory.crash("BTCUSDT")
        await system.settle()
        assert (await reader.until("alert"))["name"] == "symbol_restarted"
        assert (await reader.until("symbol"))["restarts"] == 1
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            await client.post(f"{url}/v1/halt", headers={"Authorization": f"Bearer {CONTROL}"})
        risk = await reader.until("risk")
        assert (risk["scope"], risk["state"]) == ("account", "HALTED")


async def test_client_that_comes_back_gets_what_it_missed_and_nothing_twice(system: ApiSystem) -> None:
    app = system.app()
    async with served(app) as url:
        async with following(url) as reader:
            await reader.until("snapshot")
            await system.order(1)
            await reader.until("order")
            left_at = reader.last_id
        await _nobody_follows(app)
        second = await system.order(2)
        await asyncio.sleep(0.6)
        async with following(url, left_at) as reader:
            number, kind, data = await reader.next()
            assert number == left_at + 1
            while kind != "order":
                assert kind not in ("gap", "snapshot")
                last, (number, kind, data) = number, await reader.next()
                assert number == last + 1
            assert data["client_order_id"] == second


@pytest.mark.parametrize("last_id", [1, 10**17])
async def test_id_that_the_ring_does_not_hold_is_a_gap_and_a_snapshot(system: ApiSystem, last_id: int) -> None:
    async with served(system.app()) as url, following(url, last_id) as reader:
        _, kind, data = await reader.next()
        assert (kind, data["after"]) == ("gap", last_id)
        assert (await reader.next())[1] == "snapshot"


async def test_socket_sends_the_same_events(system: ApiSystem) -> None:
    app = system.app()
    headers = {"Authorization": f"Bearer {READ}"}
    async with served(app) as url:
        address = url.replace("http", "ws") + "/v1/ws"
        async with websockets.connect(address, additional_headers=headers, proxy=None) as socket:
            first = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
            assert first["event"] == "snapshot"
            await socket.send("whatever")
            order_id = await system.order(1)
            while (message := json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S)))["event"] != "order":
                continue
            assert message["data"]["client_order_id"] == order_id
        await _nobody_follows(app)


@pytest.mark.parametrize(
    ("query", "status", "code"), [("?last_event_id=x", 400, "bad_request"), ("?after=1", 422, "invalid")]
)
async def test_socket_with_a_wrong_query_is_refused_as_the_stream_is(
    system: ApiSystem, query: str, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {READ}"}
    async with served(system.app()) as url, httpx.AsyncClient(headers=headers, trust_env=False) as client:
        stream = await client.get(f"{url}/v1/stream{query}")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(
                url.replace("http", "ws") + f"/v1/ws{query}", additional_headers=headers, proxy=None
            )
        answer = refused.value.response
        assert (answer.status_code, json.loads(answer.body or b"")) == (stream.status_code, stream.json())
        assert (stream.status_code, stream.json()["code"]) == (status, code)


async def test_burst_of_clients_is_let_in_up_to_the_bound_and_no_further(system: ApiSystem) -> None:
    app = system.app()
    hub = app.state.context.hub
    async with served(app) as url, AsyncExitStack() as stack:
        lines = await asyncio.gather(*(_begin_stream(url, stack) for _ in range(CLIENTS_MAX + 20)))
        answers = [int(line.split()[1]) for line in lines]
        assert sorted(set(answers)) == [200, 409]
        assert (answers.count(200), hub.clients) == (CLIENTS_MAX, CLIENTS_MAX)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(
                url.replace("http", "ws") + "/v1/ws", additional_headers={"Authorization": f"Bearer {READ}"}, proxy=None
            )
        assert refused.value.response.status_code == 409
    await _nobody_follows(app)


async def _begin_stream(url: str, stack: AsyncExitStack, until: bytes = b"\n") -> bytes:
    """Ask for the stream on a connection that stays open; return what comes first."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    stack.callback(writer.close)
    writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READ}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        return await reader.readuntil(until)


async def test_client_that_takes_nothing_loses_its_place(system: ApiSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_system, "STUCK_S", 0.2)
    app = system.app()
    async with served(app) as url, AsyncExitStack() as stack:
        await _begin_stream(url, stack, b"event: snapshot")
        for _ in range(64):  # more than the buffers of both ends of a connection hold
            app.state.context.hub.publish("alert", {"text": "x" * 256 * 1024})
        await _nobody_follows(app)


async def test_socket_without_a_token_is_refused_before_it_opens(system: ApiSystem) -> None:
    async with served(system.app()) as url:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url.replace("http", "ws") + "/v1/ws", proxy=None)
        assert refused.value.response.status_code == 401


async def test_clients_share_one_poll_of_the_fleet(system: ApiSystem) -> None:
    calls = 0
    plain = system.supervisor.table

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(system.supervisor, name)

        async def table(self) -> Any:
            nonlocal calls
            calls += 1
            return await plain()

    counted = ApiSystem(
        system.clock, system.reads, system.fleet, system.journal, system.venue, system.executor, system.factory,
        Counting(),  # type: ignore[arg-type]
    )  # fmt: skip
    async with served(counted.app()) as url, AsyncExitStack() as stack:
        for _ in range(5):
            reader = await stack.enter_async_context(following(url))
            await reader.until("snapshot")
        began, calls = time.monotonic(), 0
        await asyncio.sleep(2.0)
        assert 1 <= calls <= 1 + (time.monotonic() - began) / MAX_AGE_S


async def test_stop_of_the_server_ends_open_streams_at_once(system: ApiSystem) -> None:
    app = system.app()
    async with asyncio.timeout(2 * PATIENCE_S):
        server = served(app, graceful_s=PATIENCE_S)
        url = await server.__aenter__()
        async with following(url) as reader:
            await reader.until("snapshot")
            began = asyncio.get_running_loop().time()
            await server.__aexit__(None, None, None)
            assert asyncio.get_running_loop().time() - began < PATIENCE_S / 2
