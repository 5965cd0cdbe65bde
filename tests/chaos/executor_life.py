"""One life of an executor in a process of its own: the real journal, the real gateway, and a seeded hand that trades.

Run by `life_zygote`. A life ends by SIGKILL at a named point, or, the last one, in order, with a report. What it was
told and promised goes into a log that survives it: one JSON object a line, written without a buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from actors.executor import ExecutorActor
from actors.executor_values import ExecutorSettings
from actors.process_identity import own_identity
from tests.mexc_account import journaled
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings
from trading.adapters.mexc.rest import RestSettings
from trading.adapters.mexc.rest_codec import instruments_of
from trading.adapters.mexc.user_stream import UserStreamSettings
from trading.adapters.store.journal import PostgresJournal
from trading.engine.budget import BudgetSettings
from trading.engine.ports import Crashpoint, Submission
from trading.engine.reconcile import OrphanPolicy, Patience
from trading.model.errors import StoreError, TradingError
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import CancelIntent, Delivery, OrderIntent, OrderStatus, OrderType, Purpose
from trading.model.units import NS_PER_S

ACCOUNT = "main"
NOT_REACHED = 3
CRASHED = 70
# A life that does not pass its point often enough within this ends undead; a busy machine passes few.
HAND_PATIENCE_S = 90.0
SETTLE_PATIENCE_S = 120.0
# Beside other lives a look at the venue may take long.
ANSWER_S = 30.0
QUERY_LAG_MS = 500
# A life that waits goes on rolling the dice; adopted buys count for exposure, and would leave no room for its own.
ORPHANS_MAX = 6


# A hand that trades by dice loses; a pause for that would be the end of its life, and of those after it.
LIMITS = (("max_open_orders", "1000"), ("max_entries_per_minute", "100000"), ("loss_streak", "0"))


@dataclass(frozen=True, slots=True)
class LifePlan:
    """What one life is given. `die_at` empty: the last life, which settles and reports.

    Attributes:
        die_after: how often the point is passed before the death. signal_name: SIGKILL, or SIGSTOP for a pause.
        faults: ids of the simulator's faults that the last life lifts once it has traded under them.
        owner: unique to the life. orphan_policy, has_orphans, has_budget: see `chaos_cases.Case`.
    """

    database_url: str
    rest: str
    ws: str
    api_key: str
    secret: str
    symbol: str
    owner: str
    log: str
    seed: int
    die_at: str = ""
    die_after: int = 0
    signal_name: str = "SIGKILL"
    faults: tuple[str, ...] = ()
    orphan_policy: str = OrphanPolicy.CANCEL.value
    has_orphans: bool = False
    has_budget: bool = False


class LifeLog:
    """What this life promised and told, on disk at once."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **fact: Any) -> None:
        """Append one fact."""
        os.write(self._file, json.dumps(fact).encode() + b"\n")


class DeathAt:
    """Sends this process a signal at a named point, once it has been passed often enough."""

    def __init__(self, point: str, after: int, signal_name: str) -> None:
        self._point = point
        self._left = after
        self._signal = signal.Signals[signal_name]

    def reach(self, point: Crashpoint) -> None:
        """Pass the point, or die there."""
        if point != self._point:
            return
        if self._left:
            self._left -= 1
            return
        self._point = ""
        os.kill(os.getpid(), self._signal)


class ListeningSymbol:
    """The symbol's end of the deliveries: writes down what it is told."""

    def __init__(self, log: LifeLog) -> None:
        self._log = log

    async def deliver(self, deliveries: tuple[Delivery, ...]) -> None:
        """Take events."""
        for item in deliveries:
            kind = type(item.event).__name__
            self._log.write(told=item.seq, kind=kind, order=item.event.client_order_id)


def settings_of(plan: LifePlan) -> ExecutorSettings:
    """The executor's settings: short windows, so that a life costs seconds; without a budget the faults are denser."""
    return ExecutorSettings(
        ACCOUNT,
        f"{plan.owner}:{own_identity()}",
        is_paper=False,
        budget=BudgetSettings() if plan.has_budget else BudgetSettings(0, 0, 0, 0),
        limits=LIMITS,
        patience=Patience(clock_bound_ms=200, query_lag_ms=QUERY_LAG_MS),
        orphan_policy=OrphanPolicy(plan.orphan_policy),
        allocation_quote=Decimal(20_000),
        recv_window_ms=1_000,
        lease_ttl_s=1.0,
        resolve_interval_s=0.05,
        reconcile_interval_s=1.0,
        halt_timeout_s=20.0,
        equity_interval_s=0.3,
    )


class Hand:
    """Trades by dice: takes, rests near and far, cancels, sells what it holds."""

    def __init__(self, plan: LifePlan, executor: ExecutorActor, instrument: Instrument, log: LifeLog) -> None:
        self._plan = plan
        self._executor = executor
        self._instrument = instrument
        self._log = log
        self._clock = SystemClock()
        self._dice = random.Random(plan.seed)
        self._epoch = 0
        self._number = 0
        self._names: list[str] = []
        self.orphans: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._public = httpx.AsyncClient(trust_env=False, timeout=ANSWER_S)

    async def attach(self) -> None:
        """Become the owner; asks again, as a symbol does: on a busy machine a short lease may lapse meanwhile."""
        async with asyncio.timeout(SETTLE_PATIENCE_S):
            while not self._epoch:
                with contextlib.suppress(StoreError):
                    attachment = await self._executor.attach_symbol(self._plan.symbol, "run-1", 1, self._plan.owner)
                    self._epoch = attachment.owner_epoch
                await asyncio.sleep(0.05)

    async def trade(self, patience_s: float, orders: int | None = None) -> None:
        """Trade for so long, or so many orders."""
        try:
            async with asyncio.timeout(patience_s):
                while orders is None or self._number < orders:
                    await self._one()
                    await asyncio.sleep(self._dice.random() * 0.04)
        except TimeoutError:
            pass

    async def rest(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Release the sockets."""
        await self._public.aclose()

    async def _one(self) -> None:
        bid, ask = await self._best()
        await self._executor.mark(self._plan.symbol, bid, 0)
        if self._plan.has_orphans and len(self.orphans) < ORPHANS_MAX and self._dice.random() < 0.4:
            self._place_orphan(bid, ask)
        roll = self._dice.random()
        sellable = self._executor.core.account.sellable_lots(self._plan.symbol)
        if roll < 0.25 and sellable * bid * self._instrument.tick_size * self._instrument.lot_size > 10:
            self._submit(self._intent(Side.SELL, OrderType.IOC, bid * 98 // 100, Purpose.EXIT, sellable))
        elif roll < 0.55:
            self._submit(self._intent(Side.BUY, OrderType.IOC, ask * 101 // 100))
        elif roll < 0.75:
            self._submit(self._intent(Side.BUY, OrderType.LIMIT, bid))
        else:
            self._submit(self._intent(Side.BUY, OrderType.LIMIT_MAKER, bid * self._dice.choice((96, 97, 98)) // 100))
        if self._names and self._dice.random() < 0.4:
            name = self._dice.choice(self._names[-6:] if self._dice.random() < 0.5 else self._resting())
            cancel = CancelIntent(name, self._plan.symbol, self._clock.now_ns(), "dice")
            self._spawn(self._send((), (cancel,)))

    def _resting(self) -> list[str]:
        """What rests at the venue. On a budget the newest mostly still wait for their token."""
        live = [item.record for item in self._executor.core.state.orders.live(self._plan.symbol)]
        return [item.client_order_id for item in live if item.status is OrderStatus.OPEN] or self._names[-1:]

    async def _best(self) -> tuple[int, int]:
        path = f"{self._plan.rest}/api/v3/ticker/bookTicker"
        answer = await self._public.get(path, params={"symbol": self._plan.symbol})
        ticker = answer.raise_for_status().json()
        return self._instrument.price_ticks(ticker["bidPrice"]), self._instrument.price_ticks(ticker["askPrice"])

    def _intent(
        self, side: Side, kind: OrderType, price_ticks: int, purpose: Purpose = Purpose.ENTRY, lots: int = 0
    ) -> OrderIntent:
        self._number += 1
        now_ns = self._clock.now_ns()
        quote = Decimal(self._dice.randint(10, 40))
        made = OrderIntent(
            f"mx-1-{self._epoch}-{self._number}",
            self._plan.symbol,
            side,
            kind,
            price_ticks,
            lots or self._instrument.qty_lots_ceil(quote / self._instrument.price(price_ticks)),
            purpose,
            now_ns,
            now_ns + 2 * NS_PER_S,
            self._epoch,
            "dice",
        )
        self._names.append(made.client_order_id)
        return made

    def _place_orphan(self, bid: int, ask: int) -> None:
        """Place an order past the executor, as another client of the account with our prefix would.

        What may trade is placed in the last life, and where it is adopted: executions that nobody lived to see are in
        no row by any policy.
        """
        name = f"mx-lost-{self._plan.owner}-{len(self.orphans)}"
        prices = [bid * 95 // 100]
        if not self._plan.die_at and self._plan.orphan_policy == OrphanPolicy.ADOPT:
            prices += [bid, ask * 101 // 100]
        price = prices[len(self.orphans) % len(prices)]
        self.orphans.append(name)
        self._log.write(orphan=name)
        lots = self._instrument.qty_lots_ceil(Decimal(20) / self._instrument.price(price))
        gateway = self._executor.core.gateway
        order = journaled(self._plan.symbol, Side.BUY, OrderType.LIMIT, price, lots, gateway.now_ms(), name)
        self._spawn(gateway.place(order))

    def _submit(self, intent: OrderIntent) -> None:
        self._spawn(self._send((intent,), ()))

    async def _send(self, intents: tuple[OrderIntent, ...], cancels: tuple[CancelIntent, ...]) -> None:
        submission = Submission(self._plan.symbol, self._epoch, "run-1", intents, cancels)
        with contextlib.suppress(TradingError):
            receipt = await self._executor.submit(submission)
            for name in receipt.durable:
                self._log.write(durable=name)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def executor_of(plan: LifePlan, log: LifeLog) -> AsyncIterator[tuple[ExecutorActor, Instrument]]:
    """Build the executor as `wiring_executor` does, with a death in it, and start it."""
    clock = SystemClock()
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_S) as public:
        listed = (await public.get(f"{plan.rest}/api/v3/exchangeInfo")).raise_for_status().json()
    instruments = instruments_of(listed)
    journal = PostgresJournal(plan.database_url, ACCOUNT, "s1")
    await journal.open()
    gateway = MexcGateway(
        MexcGatewaySettings(
            plan.rest,
            plan.ws,
            "sim",
            RestSettings(1.0, 1.0),
            UserStreamSettings(backoff_min_s=0.05),
            query_lag_ms=QUERY_LAG_MS,
            seed=plan.seed,
        ),
        Credentials(plan.api_key, plan.secret),
        instruments,
        clock,
    )
    executor = ExecutorActor(
        settings_of(plan),
        journal,
        gateway,
        instruments,
        lambda _: ListeningSymbol(log),
        clock,
        _crash,
        DeathAt(plan.die_at, plan.die_after, plan.signal_name),
    )
    await executor.start()
    await until(lambda: executor.core.state.is_reconciled, "the account is reconciled")
    yield executor, instruments[plan.symbol]
    await executor.close()
    await journal.close()


# A life is a process: the way from a loop that died to the log that survives it.
_LOG_OF_THIS_LIFE: list[str] = []


def _crash(reason: str) -> None:
    LifeLog(_LOG_OF_THIS_LIFE[0]).write(crashed=reason)
    os._exit(CRASHED)


async def until(is_done: Callable[[], bool], what: str, patience_s: float = SETTLE_PATIENCE_S) -> None:
    """Wait until something is so. Raises: TimeoutError that says what was not."""
    try:
        async with asyncio.timeout(patience_s):
            while not is_done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimeoutError(f"not within {patience_s} s: {what}") from None


async def live(plan: LifePlan) -> int:
    """Live one life; returns the exit code when it does not end by a signal."""
    log = LifeLog(plan.log)
    _LOG_OF_THIS_LIFE.append(plan.log)
    async with executor_of(plan, log) as (executor, instrument):
        hand = Hand(plan, executor, instrument, log)
        await hand.attach()
        if plan.die_at:
            await hand.trade(HAND_PATIENCE_S)
            log.write(failed=f"{plan.die_at} was not passed: {dict(executor.core.state.counters)}")
            return NOT_REACHED
        await hand.trade(3.0, orders=8 if plan.has_orphans else 5)
        await hand.rest()
        await hand.close()
        await _lift_faults(plan)
        if plan.orphan_policy == OrphanPolicy.ADOPT:
            await until_adopted(executor, hand.orphans, plan.symbol)
        await settle(executor, log)
    return 0


async def _lift_faults(plan: LifePlan) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_S) as control:
        for fault in plan.faults:
            (await control.delete(f"{plan.rest}/sim/faults/{fault}")).raise_for_status()


async def until_adopted(executor: ExecutorActor, orphans: list[str], symbol: str) -> None:
    """Wait until each of these that the venue ever held is ours."""
    core = executor.core
    held = {order.client_order_id for order in await core.gateway.recent_orders(symbol, 0)}
    for name in sorted(held & set(orphans)):
        await until(lambda name=name: core.state.orders.get(name) is not None, f"{name} is adopted")  # type: ignore[misc]


async def settle(executor: ExecutorActor, log: LifeLog) -> None:
    """Wait until nothing is in doubt, halt, look once more, and write down what the executor believes."""
    core = executor.core
    await until(lambda: not tuple(core.state.orders.unknown()) and not core.state.sending, "no outcome is unknown")
    await until(lambda: not any(item.missing_lots for item in core.state.orders.live()), "every fill is booked")
    report = await executor.halt("account", None, False, "the test is over")
    await until(lambda: not core.state.orders.live(), "no order is open")
    # A balance that is asked for counts as of the question less the venue's lag: pushes out of order are healed by it.
    await asyncio.sleep(1.2 * QUERY_LAG_MS / 1_000)
    await core.reconciler.compare_all()
    await until(lambda: not core.desk.strays, "orders that only the venue knows are told")
    await core.outcomes.flush()
    await core.books.round()
    status = await executor.status()
    log.write(
        settled=True,
        confirmed=report.confirmed,
        open_orders=report.open_orders,
        unknown=status.unknown_orders,
        foreign=len(status.foreign),
        counters=dict(status.counters),
    )
