"""Commands of the API while its database hangs or its lines break."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from tests.integration.api_system import ApiSystem, client_of
from trading.model.errors import StoreError


class HangingFleet:
    """The fleet's store while its server is frozen: no call is ever answered."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*arguments: Any) -> None:
            self.asked.add(name)
            await asyncio.Event().wait()

        return call


async def test_halt_while_the_database_hangs_cancels_and_says_what_is_not_stored(system: ApiSystem) -> None:
    await system.attach()
    order_id = await system.order(1)
    hanging = HangingFleet()
    async with client_of(replace(system, fleet=hanging).app()) as client:  # type: ignore[arg-type]
        async with asyncio.timeout(60):
            answer = await client.post("/v1/halt", json={"reason": "frozen"}, headers={"Idempotency-Key": "k1"})
            shown = (await client.get("/v1/halt")).json()
    body = answer.json()
    assert (answer.status_code, body["state"], body["confirmed"], body["open_orders"]) == (202, "HALTED", True, 0)
    assert "not persisted: the database has not answered" in body["reason"]
    assert (shown["state"], shown["confirmed"]) == ("HALTED", True)
    assert hanging.asked == {"claim_key", "save_halt", "halts"}
    assert system.venue.cancelled == [order_id]


async def test_halt_whose_key_was_bound_too_late_is_carried_out_again_under_it(system: ApiSystem) -> None:
    """The claim is done, but nobody waits for its answer any more: that halt is not "in progress" for minutes then."""
    await system.attach()

    class LateFleet(HangingFleet):
        async def claim_key(self, *arguments: Any) -> None:
            await system.fleet.claim_key(*arguments)
            await asyncio.Event().wait()

    key = {"Idempotency-Key": "k1"}
    async with client_of(replace(system, fleet=LateFleet()).app()) as client:  # type: ignore[arg-type]
        assert (await client.post("/v1/halt", json={"reason": "frozen"}, headers=key)).status_code == 202
    async with client_of(system.app()) as client:
        again = await client.post("/v1/halt", json={"reason": "frozen"}, headers=key)
        other = await client.post("/v1/halt", json={"reason": "another"}, headers=key)
    assert (again.status_code, again.json()["state"], again.json()["open_orders"]) == (202, "HALTED", 0)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


class BrokenFleet:
    """The fleet's store over a line that breaks: a claim is done but for its answer, then no key is freed any more."""

    def __init__(self, fleet: Any) -> None:
        self._fleet = fleet
        self.claims = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fleet, name)

    async def claim_key(self, *arguments: Any) -> Any:
        self.claims += 1
        bound = await self._fleet.claim_key(*arguments)
        if self.claims == 1:
            raise StoreError("the connection broke")
        return bound

    async def release_key(self, key: str) -> None:
        raise StoreError("the connection broke")


async def test_command_that_a_database_outage_ended_is_carried_out_when_it_is_repeated(system: ApiSystem) -> None:
    """Its key is bound by then, with nobody at work: that is not "in progress" for minutes."""
    broken, key = BrokenFleet(system.fleet), {"Idempotency-Key": "k1"}
    async with client_of(replace(system, fleet=broken).app()) as client:  # type: ignore[arg-type]
        assert (await client.post("/v1/resume", json={}, headers=key)).status_code == 503
        system.executor.is_away = True
        assert (await client.post("/v1/resume", json={}, headers=key)).status_code == 503
        system.executor.is_away = False
        done = await client.post("/v1/resume", json={}, headers=key)
        again = await client.post("/v1/resume", json={}, headers=key)
    assert (done.status_code, broken.claims) == (202, 4)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (done.json(), "true")
