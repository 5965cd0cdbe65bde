"""Repeats of a request under its key while the database answers some calls, late, and breaks others."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.idempotency import IdempotencyMiddleware
from api.store_patience import StorePatience
from trading.adapters.store.pages import StoredResponse
from trading.model.errors import StoreError

KEY = {"Idempotency-Key": "k1"}


class Keys:
    """The table of keys. Each claim waits for its turn, which ends it as it is told to."""

    def __init__(self) -> None:
        self.bound: dict[str, tuple[str, int]] = {}
        self.claims: list[asyncio.Future[bool]] = []
        self.is_broken = False

    async def claim_key(self, key: str, body_hash: str, now_ns: int, before_ns: int) -> StoredResponse | None:
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.claims.append(turn)
        if not await turn:
            raise StoreError("every connection to the database is in use")
        if key in self.bound and self.bound[key][1] >= before_ns:
            return StoredResponse(body_hash, None, None)
        self.bound[key] = (body_hash, now_ns)
        return None

    async def keep_response(self, key: str, status_code: int, response: Any) -> None:
        if self.is_broken:
            raise StoreError("the connection broke")
        del self.bound[key]

    async def release_key(self, key: str) -> None:
        del self.bound[key]


class Work:
    """A command that takes until it is told to end."""

    def __init__(self) -> None:
        self.begun = 0
        self.end = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        await self.end.wait()
        await JSONResponse({"done": True}, 200)(scope, receive, send)


async def _asked(keys: Keys, count: int) -> None:
    while len(keys.claims) < count:  # noqa: ASYNC110
        await asyncio.sleep(0)


def _client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api")


async def test_repeat_takes_nothing_from_a_first_request_that_is_at_work() -> None:
    """Its claim is answered late; that of a repeat fails meanwhile, and leaves no doubt whether somebody is at work."""
    keys, work, now = Keys(), Work(), iter(range(1, 100))
    app = IdempotencyMiddleware(work, keys, StorePatience(), lambda: next(now))  # type: ignore[arg-type]
    async with asyncio.timeout(30), _client(app) as client:
        first = asyncio.create_task(client.post("/v1/resume", json={}, headers=KEY))
        await _asked(keys, 1)
        second = asyncio.create_task(client.post("/v1/resume", json={}, headers=KEY))
        await _asked(keys, 2)
        keys.claims[1].set_result(False)
        assert (await second).status_code == 503
        third = asyncio.create_task(client.post("/v1/resume", json={}, headers=KEY))
        await _asked(keys, 3)
        keys.claims[0].set_result(True)
        keys.claims[2].set_result(True)
        assert (await third).json()["code"] == "idempotency_in_progress"
        fourth = asyncio.create_task(client.post("/v1/resume", json={}, headers=KEY))
        await _asked(keys, 4)
        keys.claims[3].set_result(True)
        assert (await fourth).json()["code"] == "idempotency_in_progress"
        work.end.set()
        assert (await first).status_code == 200
    assert work.begun == 1


async def test_repeat_of_a_command_whose_answer_was_not_stored_gets_it_and_carries_out_nothing() -> None:
    keys, work, now = Keys(), Work(), iter(range(1, 100))
    app = IdempotencyMiddleware(work, keys, StorePatience(), lambda: next(now))  # type: ignore[arg-type]
    keys.is_broken = True
    work.end.set()
    async with asyncio.timeout(30), _client(app) as client:
        first = asyncio.create_task(client.post("/v1/resume", json={}, headers=KEY))
        await _asked(keys, 1)
        keys.claims[0].set_result(True)
        assert (await first).status_code == 503
        again = await client.post("/v1/resume", json={}, headers=KEY)
        other = await client.post("/v1/resume", json={"reason": "x"}, headers=KEY)
    assert (again.status_code, again.json(), again.headers["Idempotency-Replayed"]) == (200, {"done": True}, "true")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    assert work.begun == 1
