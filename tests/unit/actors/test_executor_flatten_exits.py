"""A flatten beside the symbols' own exits: those that put themselves back, and those whose fate nobody knows yet."""

from __future__ import annotations

import asyncio

from actors.executor_sweep import STEP_S
from tests.unit.actors.executor_fakes import BID, FakeSymbol, System, rounds, settle, submit
from trading.engine.ports import Submission
from trading.model.market import Side
from trading.model.orders import Delivery, OrderCancelled, OrderDenied, OrderIntent, Purpose, Refusal
from trading.model.session import HaltState
from trading.model.units import NS_PER_S


class StubbornSymbol(FakeSymbol):
    """Puts its exit back whenever it hears that it was cancelled, as a strategy does that wants out at its price."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self._system = system
        self._tasks: set[asyncio.Task[object]] = set()
        self.number = 1

    def exit(self) -> OrderIntent:
        self.number += 1
        return self._system.intent(self.number, Side.SELL, price=BID + 300, purpose=Purpose.EXIT)

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        await super().deliver(deliveries)
        if any(isinstance(item.event, OrderCancelled) for item in deliveries):
            batch = Submission("BTCUSDT", self._system.epoch, "run-1", (self.exit(),), ())
            task: asyncio.Task[object] = asyncio.create_task(self._system.executor.submit(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def hold(system: System) -> None:
    await submit(system, system.intent(1))
    system.venue.fill(f"mx-1-{system.epoch}-1", 1000)
    await settle()


async def sale_of(system: System) -> str:
    """Wait for the flatten's own order; return its id."""
    async with asyncio.timeout(10):
        while not (sales := [name for name in system.venue.book if name.startswith("mx-x")]):  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)
    return sales[0]


async def test_flatten_sells_what_a_symbol_keeps_putting_its_own_exit_on() -> None:
    system = System()
    symbol = system.symbols["BTCUSDT"] = StubbornSymbol(system)
    await system.start()
    await hold(system)
    await submit(system, symbol.exit())
    halting = asyncio.create_task(system.executor.halt("account", None, True, "sell"))
    system.venue.fill(await sale_of(system), 1000)
    async with asyncio.timeout(10):
        report = await halting
    assert (report.state, report.confirmed, report.reason) == (HaltState.HALTED, True, "sell")
    assert system.executor.core.account.position("BTCUSDT").qty == 0
    denied = [item.event for item in symbol.deliveries if isinstance(item.event, OrderDenied)]
    assert [(event.reason, event.text) for event in denied] == [(Refusal.REDUCING, "a flatten is selling what is held")]
    assert [order.strategy for order in system.venue.placed if order.side is Side.SELL] == ["spread_capture", "flatten"]
    await system.executor.close()


async def test_symbols_exits_go_out_again_once_a_flatten_is_over(system: System) -> None:
    await hold(system)
    system.executor.core.account.forget_mark("BTCUSDT")  # nobody bids: nothing can be sold
    async with asyncio.timeout(10):
        report = await system.executor.halt("symbol", "BTCUSDT", True, "sell")
    assert "still held" in report.reason
    await system.executor.resume("symbol", "BTCUSDT")
    leaving = system.intent(2, Side.SELL, purpose=Purpose.EXIT)
    assert await submit(system, leaving) == (leaving.client_order_id,)


async def test_flatten_waits_until_it_is_known_what_became_of_an_exit_and_sells_then(system: System) -> None:
    await hold(system)
    system.venue.answer = "vanish"
    await submit(system, system.intent(2, Side.SELL, purpose=Purpose.EXIT))
    system.venue.answer = "accept"
    flattener = system.executor.core.flattener
    waiting = asyncio.create_task(flattener._until_free(["BTCUSDT"]))
    for _ in range(4):  # provably absent after window, clock bound and lag: 4.5 s
        await rounds(system, NS_PER_S)
        await asyncio.sleep(2 * STEP_S)
        assert not waiting.done(), "a round is not patience enough"
    await rounds(system, NS_PER_S)
    async with asyncio.timeout(10):
        await waiting
    assert system.executor.core.state.counters["not_sent"] == 1
    selling = asyncio.create_task(flattener.flatten(lambda: None))
    system.venue.fill(await sale_of(system), 1000)
    async with asyncio.timeout(10):
        assert await selling == ()
