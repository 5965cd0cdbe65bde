"""The guard: what stops an account by itself, and tells people why. Only people let it trade again.

May import `trading.model`, `trading.engine` and the executor's pieces. Each trigger acts when it begins, once; one that
begins while another stop is on acts when that is lifted, if it still lasts:

    daily loss, drawdown           exits only, account     (`Account.breach`)
    venue's clock off              exits only, account     (limit `max_clock_skew_ms`)
    balance short of a position    exits only, the symbols (drift; live only)
    negative position              halt, the symbol        (an invariant; broken books halt in `executor_books`)
    journal down                   nothing goes out but cancels; entries that rest are cancelled; lifts by itself
    venue down                     nothing new goes out, cancels are repeated; lifts by itself
    private stream down            no entries, all is compared every few seconds; lifts by itself
    venue wants a long pause       nothing goes out, no cancel either; lifts by itself
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from actors.executor_lanes import AlertLane
from actors.executor_lease import LeaseKeeper
from actors.executor_state import ExecutorState, JournalWork
from actors.executor_sweep import Sweeper
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.ports import Gateway, Journal
from trading.model.errors import FencedOut, NotRunning, StoreError
from trading.model.orders import Purpose
from trading.model.position import EquityPoint, LossStreak, TripRecord
from trading.model.units import NS_PER_S, ZERO, plain

# Symbols report their bid about once a second; before the first one a position counts at cost, and so its loss as none.
MARKS_PATIENCE_NS = 30 * NS_PER_S
# A commit that was lost is no outage; resting entries are called back when nobody could follow a fill for so long.
JOURNAL_PATIENCE_NS = 2 * NS_PER_S
# The venue's word on a balance comes by push, or within the minute's comparison; a difference has to outlive both.
DRIFT_PATIENCE_NS = 75 * NS_PER_S
# One sample of a clock may be off by its round trip.
SKEW_PATIENCE_NS = 2 * NS_PER_S
# A reconnect takes a second or two.
STREAM_PATIENCE_NS = 3 * NS_PER_S
# A 429 asks for a second or two.
PAUSE_PATIENCE_NS = 3 * NS_PER_S
log = structlog.get_logger("executor")

Stop = Callable[[str | None, str], Awaitable[None]]
Reduce = Callable[[str | None, str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class _Losses:
    """What is to be stored of round trips and streak; `is_written` tells whether the fills they follow from are."""

    trips: tuple[tuple[str, TripRecord], ...]
    streak: LossStreak
    is_written: Callable[[], bool]


class Guard:
    """Owned by one `ExecutorActor`."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        keeper: LeaseKeeper,
        journal: Journal,
        gateway: Gateway,
        alerts: AlertLane,
        clock: Clock,
        sweeper: Sweeper,
        reduce: Reduce,
        halt: Stop,
        mark: Callable[[], Callable[[], bool]],
    ) -> None:
        """Args:
        reduce, halt: stop the account (None) or one symbol, with a reason; both persist it. `reduce` tells whether this
            trigger's stop is on, and stored; if not it is asked again.
        mark: returns a question: are the steps until now in the journal?
        """
        self._settings = settings
        self._state = state
        self._keeper = keeper
        self._journal = journal
        self._gateway = gateway
        self._alerts = alerts
        self._clock = clock
        self._sweeper = sweeper
        self._reduce = reduce
        self._halt = halt
        self._mark = mark
        self._started_ns = clock.monotonic_ns()
        self._since_ns: dict[str, int] = {}
        self._told: set[str] = set()
        self._not_stopped: set[str] = set()
        self._saved_streak = state.account.streak()
        self._saved_trips = dict(state.account.trips())
        self._unsaved: _Losses | None = None
        self._saving = asyncio.Lock()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(self._settings.guard_interval_s)
            await self.look()

    async def look(self) -> None:
        """Look once at everything that may stop the account."""
        await self._journal_down()
        self._venue_down()
        self._stream_down()
        self._venue_pause()
        await self._losses()
        await self._clock_skew()
        await self._positions()
        await self._drift()
        await self.save_losses()

    # --- what stops it ------------------------------------------------------------------------------------------------

    async def _losses(self) -> None:
        now_ns, account = self._clock.now_ns(), self._state.account
        if account.has_unmarked() and self._clock.monotonic_ns() - self._started_ns < MARKS_PATIENCE_NS:
            return
        breach = account.breach(now_ns)
        for name in ("daily_loss", "drawdown"):
            is_broken = breach is not None and breach.reason.value == name
            await self._exits_only(name, None, is_broken, 0, breach.text if breach is not None else "")

    async def _clock_skew(self) -> None:
        limit_ms, skew_ms = self._state.account.limits.max_clock_skew_ms, self._gateway.clock_skew_ms()
        text = f"the venue's clock is {skew_ms} ms from ours, the limit is {limit_ms}: set this host's clock"
        await self._exits_only("clock_skew", None, 0 < limit_ms < abs(skew_ms), SKEW_PATIENCE_NS, text)

    async def _positions(self) -> None:
        for position in self._state.account.positions():
            if self._begins(f"negative:{position.symbol}", position.qty < 0, 0):
                text = f"invariant broken: {position.qty} held, which cannot be"
                self._alerts.raise_alert("alert", "invariant_broken", text, position.symbol)
                await self._halt(position.symbol, text)

    async def _drift(self) -> None:
        """Stop entries where the venue shows less than we hold, and nothing under way explains it."""
        if self._settings.is_paper or not self._state.is_reconciled:
            return
        short = dict(self._state.account.shortfalls())
        self._state.drift = {asset: plain(missing) for asset, missing in short.items()}
        for position in self._state.account.positions():
            symbol, base = position.symbol, self._state.instruments[position.symbol].base
            is_short = base in short and position.qty > 0 and not self._state.orders.live(symbol)
            text = f"the venue holds {plain(short.get(base, ZERO))} {base} less than the positions say"
            await self._exits_only("drift", symbol, is_short, DRIFT_PATIENCE_NS, text)

    async def _exits_only(self, trigger: str, symbol: str | None, is_on: bool, patience_ns: int, text: str) -> None:
        """Tell and stop when a trigger begins; when another stop is on, again once that is lifted."""
        name = f"{trigger}:{symbol}" if symbol is not None else trigger
        if is_new := self._begins(name, is_on, patience_ns):
            self._alerts.raise_alert("alert", trigger, text, symbol)
            self._not_stopped.add(name)
        if not is_on:
            self._not_stopped.discard(name)
        if name in self._not_stopped and await self._reduce(symbol, f"{trigger}: {text}"):
            self._not_stopped.discard(name)
            if not is_new:
                self._alerts.raise_alert("alert", trigger, f"exits only from now on: {text}", symbol)

    # --- what lifts by itself -----------------------------------------------------------------------------------------

    async def _journal_down(self) -> None:
        is_down = self._state.is_journal_down
        if self._begins("journal_down", is_down, 0):
            text = "the journal does not answer: no orders go out, cancels do and are written down later"
            self._alerts.raise_alert("alert", "journal_down", text)
        if is_down and self._lasts("journal_down", JOURNAL_PATIENCE_NS):
            entries = [item for item in self._sweeper.live(None) if item.record.purpose is Purpose.ENTRY]
            for tracker in entries:
                tracker.wish_cancel("journal down", self._clock.now_ns())
            self._sweeper.cancel_singly(item.record for item in entries)
        self._tell_end("journal_down", is_down, "journal_back", "the journal answers again")

    def _venue_down(self) -> None:
        is_down = self._state.is_venue_down
        if self._begins("venue_down", is_down, 0):
            text = "the venue does not answer: no orders go out, cancels are repeated"
            self._alerts.raise_alert("alert", "venue_down", text)
        self._tell_end("venue_down", is_down, "venue_back", "the venue answers again")

    def _stream_down(self) -> None:
        is_down = not self._state.is_stream_up
        is_told = self._begins("stream_down", is_down, STREAM_PATIENCE_NS)
        # By what is, not by its beginning: a stream that came and went between two looks has cleared it.
        self._state.is_stream_down = is_down and self._lasts("stream_down", STREAM_PATIENCE_NS)
        if is_told:
            text = "the private stream is down: no entries go out, exits and cancels do; fills are asked for"
            self._alerts.raise_alert("alert", "stream_down", text)
        self._tell_end("stream_down", is_down, "stream_back", "the private stream is up again")

    def _venue_pause(self) -> None:
        why = self._sweeper.hindrance()
        if self._begins("venue_pause", bool(why), PAUSE_PATIENCE_NS):
            self._alerts.raise_alert("alert", "venue_pause", f"{why}: neither orders nor cancels go out")
        self._tell_end("venue_pause", bool(why), "venue_pause_over", "the venue's pause is over")

    async def on_resumed(self, symbol: str | None) -> str:
        """A person lets the account (None) trade again: begin the drawdown anew where it is beyond its limit.

        Returns: what was begun anew, and what denies entries still; empty when there is nothing to say.
        """
        now_ns, account = self._clock.now_ns(), self._state.account
        said = []
        if symbol is None and (point := account.restart_drawdown(now_ns)) is not None:
            said.append(f"the drawdown counts anew from a net P&L of {plain(point.net_pnl)}")
            self._alerts.raise_alert("warning", "drawdown_restarted", f"resumed: {said[0]}")
            if not await self._is_drawdown_saved(point):
                said.append("not stored yet, a restart before that forgets it")
        if (breach := account.breach(now_ns)) is not None:
            said.append(f"entries stay denied ({breach.reason.value}): {breach.text}")
        return "; ".join(said)

    async def _is_drawdown_saved(self, point: EquityPoint) -> bool:
        """Store from where the drawdown counts; what the journal does not take now is stored by a later look."""
        try:
            await self._keeper.write(lambda lease: self._journal.save_equity(lease, point))
        except (StoreError, NotRunning) as error:
            log.warning("drawdown_not_saved", reason=str(error))
            return False
        await self.save_losses()
        return self._saved_streak.drawdown_since_ns == self._state.account.streak().drawdown_since_ns

    # --- losses in a row ----------------------------------------------------------------------------------------------

    async def save_losses(self) -> None:
        """Store how the symbols' round trips went, and the streak that counts them, where they are not stored yet.

        They follow from fills: what stands at a moment is stored once every fill before that moment is, and together,
        so that after a death each trip is counted once, whichever was the last to be stored.
        """
        async with self._saving:
            for _ in range(2):  # what was waiting, and what has come since
                if self._unsaved is None:
                    self._unsaved = self._changed_losses()
                unsaved = self._unsaved
                if unsaved is None or self._state.is_journal_down or not unsaved.is_written():
                    return
                write = self._journal.save_losses(
                    self._keeper.lease, unsaved.trips, unsaved.streak, self._clock.now_ns()
                )
                if not await self._is_saved(write):
                    return
                self._saved_trips.update(unsaved.trips)
                self._saved_streak, self._unsaved = unsaved.streak, None

    def _changed_losses(self) -> _Losses | None:
        """Take what stands now, if it is not what is stored; told once: that a streak pauses the account."""
        streak, before = self._state.account.streak(), self._saved_streak
        trips = tuple(item for item in self._state.account.trips() if self._saved_trips.get(item[0]) != item[1])
        if not trips and streak == before:
            return None
        if streak.cooldown_until_ns > before.cooldown_until_ns:
            losses = self._state.account.limits.loss_streak
            text = f"no entries until {streak.cooldown_until_ns}: {losses} losses in a row"
            self._alerts.raise_alert("warning", "loss_streak", text)
        return _Losses(trips, streak, self._mark())

    async def save_forgiveness(self, symbol: str) -> None:
        """Store that a symbol's losses are forgiven. Raises: StoreError when it is not stored; repeat it then."""
        await self.save_losses()
        if self._saved_trips.get(symbol) != self._state.account.trip_record(symbol):
            raise StoreError(f"{symbol}: that its losses are forgiven is not stored yet")

    async def _is_saved(self, write: Coroutine[Any, Any, None]) -> bool:
        try:
            await write
        except FencedOut as error:
            log.warning("losses_not_saved", reason=str(error))  # the lease's own loop tells a lapse from a loss
            return False
        except StoreError as error:
            self._state.on_journal(JournalWork.WRITES, False)
            log.warning("losses_not_saved", reason=str(error))
            return False
        return True

    # --- edges --------------------------------------------------------------------------------------------------------

    def _begins(self, name: str, is_on: bool, patience_ns: int) -> bool:
        """True once, when a condition has lasted for `patience_ns`; again only after it has ended."""
        if not is_on:
            if name not in _TOLD_AT_END:
                self._since_ns.pop(name, None)
                self._told.discard(name)
            return False
        self._since_ns.setdefault(name, self._clock.monotonic_ns())
        if name in self._told or not self._lasts(name, patience_ns):
            return False
        self._told.add(name)
        return True

    def _lasts(self, name: str, patience_ns: int) -> bool:
        since_ns = self._since_ns.get(name)
        return since_ns is not None and self._clock.monotonic_ns() - since_ns >= patience_ns

    def _tell_end(self, name: str, is_on: bool, alert: str, text: str) -> None:
        if is_on:
            return
        since_ns = self._since_ns.pop(name, None)
        if since_ns is not None and name in self._told:
            lasted_s = (self._clock.monotonic_ns() - since_ns) / NS_PER_S
            self._told.discard(name)
            self._alerts.raise_alert("info", alert, f"{text} after {lasted_s:.1f} s")


_TOLD_AT_END = frozenset({"journal_down", "venue_down", "stream_down", "venue_pause"})
