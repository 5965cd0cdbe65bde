"""The symbol's outbox: nothing is sent twice, cancels overtake, reports keep their order and are never dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from actors import symbol_outbox
from actors.symbol_outbox import Outbox
from actors.symbol_ports import SubmitReceipt
from trading.engine.ports import OrderRecord, Submission
from trading.model.errors import FencedOut, InvariantViolated, NotRunning, OutcomeUnknown, TradingError
from trading.model.market import Side
from trading.model.orders import CancelIntent, OrderIntent, OrderStatus, OrderType, Purpose, VenueBalance, VenueEvent


class FakeExecutor:
    """Takes what it is given; each error is raised once, after it took the call (True) or before (False)."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.reports: list[VenueEvent] = []
        self.lookups: list[tuple[str, ...]] = []
        self.submit_errors: list[tuple[TradingError, bool]] = []
        self.report_errors: list[TradingError] = []
        self.lookup_errors: list[TradingError] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def submit(self, submission: Submission) -> SubmitReceipt:
        error, is_taken = self.submit_errors.pop(0) if self.submit_errors else (None, True)
        if is_taken:
            self.submissions.append(submission)
        if error is not None:
            raise error
        for intent in submission.intents:
            if intent.client_order_id in self.gates:
                await self.gates[intent.client_order_id].wait()
        return SubmitReceipt(tuple(intent.client_order_id for intent in submission.intents), ())

    async def lookup(self, symbol: str, ids: tuple[str, ...]) -> tuple[OrderRecord, ...]:
        self.lookups.append(ids)
        if self.lookup_errors:
            raise self.lookup_errors.pop(0)
        known = {intent.client_order_id: intent for batch in self.submissions for intent in batch.intents}
        return tuple(_record(known[order_id]) for order_id in ids if order_id in known)

    async def paper_reports(self, symbol: str, owner_epoch: int, events: tuple[VenueEvent, ...]) -> int:
        if self.report_errors:
            raise self.report_errors.pop(0)
        self.reports.extend(events)
        return len(events)


def _intent(number: int) -> OrderIntent:
    return OrderIntent(
        f"mx-1-1-{number}", "BTCUSDT", Side.BUY, OrderType.LIMIT_MAKER, 100, 5, Purpose.ENTRY, 1, 2, 1, "s"
    )


def _record(intent: OrderIntent) -> OrderRecord:
    return OrderRecord(
        intent.client_order_id, "BTCUSDT", "run", 1, 1, intent.side, intent.type, intent.price_ticks, intent.qty_lots,
        intent.purpose, "s", OrderStatus.SENT, 1, 2, 0, 2000,
    )  # fmt: skip


def _cancel(number: int) -> CancelIntent:
    return CancelIntent(f"mx-1-1-{number}", "BTCUSDT", 1, "requote")


def _event(number: int) -> VenueEvent:
    return VenueBalance("USDT", Decimal(number), Decimal(0), 0, number)


def _run(scene: Callable[[FakeExecutor, Outbox, list[str]], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        executor, buried = FakeExecutor(), list[str]()
        await scene(executor, Outbox("BTCUSDT", "run", 1, executor, buried.extend), buried)  # type: ignore[arg-type]

    asyncio.run(main())


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _drained(outbox: Outbox) -> None:
    """Run the outbox until it has nothing left, and let it idle; its own errors come through."""
    tasks = [asyncio.create_task(work) for _, work in outbox.loops()]
    try:
        for _ in range(2_000):
            await asyncio.sleep(0)
            if outbox.depth == 0 or any(task.done() for task in tasks):
                break
        for _ in range(20):
            await asyncio.sleep(0)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off without waiting: these tests are about order and count."""
    monkeypatch.setattr(symbol_outbox, "RETRY_FIRST_S", 0.0)
    monkeypatch.setattr(symbol_outbox, "RETRY_MAX_S", 0.0)


def test_outbox_batch_that_waits_for_tokens_holds_up_neither_cancels_nor_exits() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        executor.gates["mx-1-1-1"] = asyncio.Event()
        outbox.place(_intent(1))
        outbox.place(_intent(2))
        tasks = [asyncio.create_task(work) for _, work in outbox.loops()]
        await _turns()
        outbox.cancel(_cancel(1))
        outbox.place(replace(_intent(3), purpose=Purpose.EXIT))
        await _turns()
        batches = executor.submissions
        assert [item.client_order_id for batch in batches for item in batch.cancels] == ["mx-1-1-1"]
        assert [len(batch.intents) for batch in batches if batch.intents] == [2, 1]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    _run(scene)


def test_outbox_many_intents_are_cut_into_batches_in_order() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        for number in range(120):
            outbox.place(_intent(number))
        await _drained(outbox)
        assert [len(batch.intents) for batch in executor.submissions] == [50, 50, 20]
        sent = [intent.client_order_id for batch in executor.submissions for intent in batch.intents]
        assert sent == [f"mx-1-1-{number}" for number in range(120)]

    _run(scene)


def test_outbox_lost_answer_is_looked_up_and_never_sent_again() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        executor.submit_errors = [(OutcomeUnknown("no answer"), True)]
        outbox.place(_intent(1))
        await _drained(outbox)
        assert len(executor.submissions) == 1
        assert executor.lookups == [("mx-1-1-1",)]
        assert buried == []

    _run(scene)


def test_outbox_batch_that_never_arrived_is_buried_not_sent_again() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        executor.submit_errors = [(NotRunning("gone"), False)]
        executor.lookup_errors = [NotRunning("gone"), OutcomeUnknown("slow")]
        outbox.place(_intent(1))
        outbox.place(_intent(2))
        await _drained(outbox)
        assert executor.submissions == []
        assert buried == ["mx-1-1-1", "mx-1-1-2"]
        assert len(executor.lookups) == 3

    _run(scene)


def test_outbox_that_waits_to_ask_again_asks_at_once_when_the_executor_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbol_outbox, "RETRY_FIRST_S", 3600.0)

    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        executor.submit_errors = [(NotRunning("gone"), False)]
        executor.lookup_errors = [NotRunning("gone")]
        executor.report_errors = [NotRunning("gone")]
        outbox.place(_intent(1))
        outbox.report((_event(1),))
        tasks = [asyncio.create_task(work) for _, work in outbox.loops()]
        await _turns()
        assert (buried, executor.reports) == ([], [])
        outbox.wake()
        await _turns()
        assert (buried, executor.reports) == (["mx-1-1-1"], [_event(1)])
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    _run(scene)


def test_outbox_cancel_of_a_lost_batch_is_repeated() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        executor.submit_errors = [(OutcomeUnknown("no answer"), False)]
        outbox.cancel(_cancel(1))
        await _drained(outbox)
        assert [batch.cancels[0].client_order_id for batch in executor.submissions] == ["mx-1-1-1"]

    _run(scene)


def test_outbox_fenced_owner_stops() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        executor.submit_errors = [(FencedOut("epoch 2"), False)]
        outbox.place(_intent(1))
        with pytest.raises(FencedOut):
            await _drained(outbox)

    _run(scene)


def test_outbox_reports_are_repeated_until_taken_in_order() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        executor.report_errors = [NotRunning("gone"), OutcomeUnknown("slow")]
        outbox.report(tuple(_event(number) for number in range(70)))
        await _drained(outbox)
        assert executor.reports == [_event(number) for number in range(70)]
        assert outbox.retries == 2

    _run(scene)


def test_outbox_overflow_is_a_bug_not_a_drop() -> None:
    async def scene(executor: FakeExecutor, outbox: Outbox, buried: list[str]) -> None:
        for number in range(symbol_outbox.ORDERS_MAX):
            outbox.place(_intent(number))
        with pytest.raises(InvariantViolated):
            outbox.place(_intent(9999))

    _run(scene)
