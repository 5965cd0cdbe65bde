"""The rules and books of one account: positions, balances, halt states, P&L, and the yes or no to an intent.

May import `trading.model` and `trading.engine`. Pure and synchronous: told `now_ns`, keeps what it needs in memory,
decides in constant time per intent. The executor and the offline replay use the same object, so that paper and replay
live under the live limits. An order counts from `on_order(record)` on; an UNKNOWN one as filled where that is worse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from trading.engine.account_commitments import Commitments
from trading.engine.account_limits import AccountLimits
from trading.engine.account_rules import Denial, refuse_by_limits, refuse_entry, refuse_exit, refuse_shape
from trading.engine.account_verdicts import verdicts
from trading.engine.accounting import book_fill, is_trip_over
from trading.engine.ports import LedgerLine, OrderRecord
from trading.model.instrument import Instrument
from trading.model.market import Side
from trading.model.orders import Fill, OrderIntent, Purpose, Refusal, VenueBalance
from trading.model.position import EquityPoint, LossStreak, Position, TripRecord, flat
from trading.model.session import HaltState
from trading.model.units import NS_PER_S, ZERO, day_start_ns

ACCOUNT_SCOPE = "account"
_ENTRY_WINDOW_NS = 60 * NS_PER_S
_ACTIVE = (HaltState.ACTIVE, "")
_STRICTNESS = {HaltState.ACTIVE: 0, HaltState.REDUCING: 1, HaltState.HALTED: 2}


def symbol_scope(symbol: str) -> str:
    """Name the halt scope of one symbol."""
    return f"symbol:{symbol}"


class Account:
    """One account. Invariant: exposure, reservations and P&L follow from the orders, fills, marks and balances told."""

    def __init__(
        self,
        limits: AccountLimits,
        instruments: Mapping[str, Instrument],
        balances: Iterable[VenueBalance] = (),
        day_open: EquityPoint | None = None,
        peak_net_pnl: Decimal | None = None,
    ) -> None:
        """Build an account without orders and positions.

        Args:
            instruments: by symbol; the mapping may grow later.
            balances: opening or reported ones.
            day_open, peak_net_pnl: as stored (`JournalState`), so that daily loss and drawdown survive restarts.
        """
        self.limits = limits
        self.instruments = instruments
        self.commitments = Commitments(instruments)
        self._balances: dict[str, VenueBalance] = {item.asset: item for item in balances}
        self._positions: dict[str, Position] = {}
        self._marks: dict[str, tuple[int, int]] = {}
        self._values: dict[str, Decimal] = {}
        self._held_value = self._held_cost = self._realized = self._fees = ZERO
        self._allocations: dict[str, Decimal] = {}
        self._halts: dict[str, tuple[HaltState, str]] = {}
        self._disabled: dict[str, str] = {}
        self._entries: deque[int] = deque()
        self._day_ns: int | None = None
        self._day_open = self._last_net = self._peak = ZERO
        self.restore_pnl(day_open, peak_net_pnl)
        self._losses_in_row = self._drawdown_since_ns = 0
        self._trips: dict[str, TripRecord] = {}
        self._sales: dict[str, int] = {}  # running trips of which something was sold: price of the last sale, ticks
        self._cooldown_until_ns = 0

    # --- the decision ---------------------------------------------------------------------------------------------

    def decide(self, intent: OrderIntent, now_ns: int) -> Denial | None:
        """Judge an intent; None is a yes. Changes nothing: tell `on_order` and `on_entry_approved` when it goes on.

        Order of the checks: halt, what any venue would refuse, then exits by what is held, entries by all limits.
        """
        state, reason = self.halt_state(intent.symbol)
        if state is HaltState.HALTED:
            return Denial(Refusal.HALTED, f"halted: {reason}")
        if state is HaltState.REDUCING and intent.purpose is Purpose.ENTRY:
            return Denial(Refusal.REDUCING, f"exits only: {reason}")
        if now_ns > intent.valid_until_ns:
            return Denial(Refusal.STALE_INTENT, f"valid until {intent.valid_until_ns}, now {now_ns}")
        instrument = self.instruments.get(intent.symbol)
        if instrument is None:
            return Denial(Refusal.INSTRUMENT, f"{intent.symbol}: unknown instrument")
        if denial := refuse_shape(intent, instrument):
            return denial
        if intent.purpose is Purpose.EXIT:
            return refuse_exit(self, intent, instrument)
        return refuse_entry(self, intent, instrument, now_ns)

    def verdicts(self, intent: OrderIntent, now_ns: int) -> tuple[tuple[str, str], ...]:
        """List what an intent that was just approved was measured by, as text pairs to be kept with the order."""
        return verdicts(self, intent, self.instruments[intent.symbol], now_ns)

    # --- what comes from outside ----------------------------------------------------------------------------------

    def set_halt(self, scope: str, state: HaltState, reason: str) -> None:
        """Set the halt state of "account" or "symbol:S"."""
        if state is HaltState.ACTIVE:
            self._halts.pop(scope, None)
        else:
            self._halts[scope] = (state, reason)

    def disable_symbol(self, symbol: str, reason: str) -> None:
        """Refuse entries of a symbol that the venue does not let us trade."""
        self._disabled[symbol] = reason

    def set_allocation(self, symbol: str, quote: Decimal) -> None:
        """Set the most that a symbol may hold at cost, open buys included, in quote units."""
        self._allocations[symbol] = quote

    def set_position(self, position: Position) -> None:
        """Replace a position (start-up, adjustment, after a fill)."""
        before = self.position(position.symbol)
        self._positions[position.symbol] = position
        self._held_cost += position.cost - before.cost
        self._realized += position.realized_pnl - before.realized_pnl
        self._fees += position.fees - before.fees
        self._revalue(position.symbol)

    def withdraw(self, position: Position) -> None:
        """Take a position that is smaller by what left the account outside of our orders. Its gain or loss so far
        leaves the books with it, and stays in the P&L as `departed_pnl`: a loss is not forgotten with its coins."""
        before = self._net()
        self.set_position(position)
        self._departed += before - self._net()
        if position.qty < self.instruments[position.symbol].lot_size:
            # The round trip ends with its coins, and nobody can say what it would have gained.
            self._sales.pop(position.symbol, None)
            record, net, realized = self.trip_record(position.symbol), position.net_pnl, position.realized_pnl
            self._trips[position.symbol] = replace(record, start_net=net, start_realized=realized)

    def departed_pnl(self) -> Decimal:
        """Return the unrealised P&L of what has left the account outside of our orders, in quote units."""
        return self._departed

    def restore_pnl(
        self, day_open: EquityPoint | None, peak_net_pnl: Decimal | None, departed_pnl: Decimal = ZERO
    ) -> None:
        """Bring back the day's opening P&L and the peak, so that daily loss and drawdown survive restarts."""
        self._departed = departed_pnl
        self._day_open = self._last_net = day_open.net_pnl if day_open is not None else ZERO
        self._peak = peak_net_pnl if peak_net_pnl is not None else ZERO

    def forget_mark(self, symbol: str) -> None:
        """Drop a mark whose ticks mean nothing any more: the symbol's tick has changed."""
        self._marks.pop(symbol, None)

    def on_mark(self, symbol: str, bid_ticks: int, at_ns: int) -> None:
        """Take a symbol's best bid: a long's worth, and what an entry's price is judged by. The last to come counts."""
        known = self._marks.get(symbol)
        if bid_ticks <= 0:
            return
        self._marks[symbol] = (bid_ticks, at_ns)
        if known is None or known[0] != bid_ticks:
            self._revalue(symbol)

    def on_balance(self, balance: VenueBalance) -> None:
        """Take a venue's word on an asset; a word older than the last is ignored."""
        known = self._balances.get(balance.asset)
        if known is None or balance.exch_ts_ns >= known.exch_ts_ns:
            self._balances[balance.asset] = balance

    def on_order(self, order: OrderRecord) -> None:
        """Take an order's current state: reserves, updates or releases what it commits. Idempotent."""
        self.commitments.put(order)
        self._judge_trip(order.symbol)

    def on_entry_approved(self, now_ns: int) -> None:
        """Count an approved entry against the order rate."""
        self._entries.append(now_ns)

    def on_fill(self, fill: Fill) -> tuple[Position, tuple[LedgerLine, ...]]:
        """Book an execution (never booked before); return the position after it and its ledger lines."""
        position, lines = book_fill(self.position(fill.symbol), fill, self.instruments[fill.symbol])
        self.set_position(position)
        for line in lines:
            self._move(line.asset, line.amount, fill.exch_ts_ns)
        if fill.side is Side.SELL:
            self._sales[fill.symbol] = fill.price_ticks
        self._judge_trip(fill.symbol)
        return position, lines

    def on_equity(self, now_ns: int) -> EquityPoint:
        """Take a point of the P&L curve: keeps the peak, turns the day at 00:00 UTC. Call it every few seconds."""
        point = self.equity(now_ns)
        self._turn_day(now_ns)
        self._last_net = point.net_pnl
        self._peak = max(self._peak, point.net_pnl)
        return point

    # --- views ----------------------------------------------------------------------------------------------------

    def halt_state(self, symbol: str | None = None) -> tuple[HaltState, str]:
        """Return the stricter of the account's and the symbol's state, with its reason."""
        if not self._halts:
            return _ACTIVE
        account = self._halts.get(ACCOUNT_SCOPE, _ACTIVE)
        own = self._halts.get(symbol_scope(symbol), _ACTIVE) if symbol is not None else _ACTIVE
        return own if _STRICTNESS[own[0]] > _STRICTNESS[account[0]] else account

    def halts(self) -> tuple[tuple[str, HaltState, str], ...]:
        """Return every scope that is not ACTIVE, as (scope, state, reason)."""
        return tuple((scope, state, reason) for scope, (state, reason) in sorted(self._halts.items()))

    def disabled(self, symbol: str) -> str | None:
        """Return why the venue refuses this symbol; None when it does not."""
        return self._disabled.get(symbol)

    def allocation(self, symbol: str) -> Decimal | None:
        """Return a symbol's allocation in quote units; None when none was set."""
        return self._allocations.get(symbol)

    def position(self, symbol: str) -> Position:
        """Return a symbol's position; flat when nothing is known."""
        return self._positions.get(symbol) or flat(symbol)

    def trip_record(self, symbol: str) -> TripRecord:
        """Return how a symbol's round trips went."""
        return self._trips.get(symbol) or TripRecord()

    def positions(self) -> tuple[Position, ...]:
        """Return all positions ever held, flat ones included."""
        return tuple(self._positions.values())

    def balances(self) -> tuple[VenueBalance, ...]:
        """Return all balances: the venue's words moved on by fills booked since, or those of the ledger alone."""
        return tuple(self._balances.values())

    def total(self, asset: str) -> Decimal:
        """Return free + locked of an asset; 0 when unknown."""
        balance = self._balances.get(asset)
        return balance.free + balance.locked if balance is not None else ZERO

    def available(self, asset: str) -> Decimal:
        """Return what a new order may use: the total less the larger of what the venue locks and what we reserve."""
        balance = self._balances.get(asset)
        if balance is None:
            return ZERO
        locked = balance.locked + self.commitments.reserved_unseen(asset)
        return balance.free + balance.locked - max(self.commitments.reserved(asset), locked)

    def sellable_lots(self, symbol: str) -> int:
        """Return the whole lots that may still be sold: min(position less open sells, available base), rounded down."""
        instrument = self.instruments[symbol]
        own = self.position(symbol).qty - instrument.qty(self.commitments.open_sell_lots(symbol))
        return max(0, instrument.qty_lots_floor(min(own, self.available(instrument.base))))

    def bid_ticks(self, symbol: str, now_ns: int) -> int | None:
        """Return the last bid; None when there is none, it is too old, or the clock was set back since."""
        bid_ticks, at_ns = self._marks.get(symbol, (0, 0))
        is_fresh = bid_ticks > 0 and 0 <= now_ns - at_ns <= self.limits.mark_max_age_s * NS_PER_S
        return bid_ticks if is_fresh else None

    def symbol_exposure(self, symbol: str) -> Decimal:
        """Return a symbol's position at the bid plus its open buys, in quote units."""
        return max(self._values.get(symbol, ZERO), ZERO) + self.commitments.open_buy_notional(symbol)

    def gross_exposure(self) -> Decimal:
        """Return all positions at the bid plus all open buys, in quote units."""
        return self._held_value + self.commitments.buy_notional

    def has_unmarked(self) -> bool:
        """Tell whether something is held whose bid never came: its gain or loss is not in the P&L yet."""
        return any(item.qty and symbol not in self._marks for symbol, item in self._positions.items())

    def equity(self, now_ns: int) -> EquityPoint:
        """Return the P&L of now; a position without a mark counts at cost."""
        unrealized = self._held_value - self._held_cost
        return EquityPoint(now_ns, self._net(), self._realized, unrealized, self._fees, self._held_value)

    def net_pnl_today(self, now_ns: int) -> Decimal:
        """Return the net P&L since 00:00 UTC, realised and unrealised at the bid."""
        self._turn_day(now_ns)
        return self._net() - self._day_open

    def drawdown(self, now_ns: int) -> Decimal:
        """Return how far the net P&L is below its peak; never negative."""
        return max(ZERO, self._peak - self._net())

    def entries_last_minute(self, now_ns: int) -> int:
        """Count approved entries of the last 60 s; none of before the clock was set back."""
        while self._entries and not 0 <= now_ns - self._entries[0] < _ENTRY_WINDOW_NS:
            self._entries.popleft()
        return len(self._entries)

    def restart_drawdown(self, now_ns: int) -> EquityPoint | None:
        """Count a drawdown beyond its limit from now on: a person resumed. Return the new peak; else None. Store
        the point, then the streak, which says since when points count."""
        if self.drawdown(now_ns) < self.limits.max_drawdown:
            return None
        self._peak, self._drawdown_since_ns = self._net(), now_ns
        return self.equity(now_ns)

    def breach(self, now_ns: int) -> Denial | None:
        """Return the loss limit that is broken (daily loss, drawdown), which stops more than single entries."""
        return refuse_by_limits(self, now_ns)

    def shortfalls(self) -> tuple[tuple[str, Decimal], ...]:
        """Return (base asset, units) of which positions hold more than the balance shows, beyond a lot of each."""
        held: dict[str, Decimal] = {}
        slack: dict[str, Decimal] = {}
        for position in self._positions.values():
            instrument = self.instruments[position.symbol]
            held[instrument.base] = held.get(instrument.base, ZERO) + position.qty
            slack[instrument.base] = slack.get(instrument.base, ZERO) + instrument.lot_size
        return tuple(
            (asset, qty - self.total(asset))
            for asset, qty in sorted(held.items())
            if asset in self._balances and qty - self.total(asset) > slack[asset]
        )

    def streak(self) -> LossStreak:
        """Return the loss streak as it is stored."""
        return LossStreak(self._losses_in_row, self._cooldown_until_ns, self._drawdown_since_ns)

    def restore_streak(self, streak: LossStreak) -> None:
        """Bring the loss streak back after a restart."""
        self._losses_in_row, self._drawdown_since_ns = streak.losses_in_row, streak.drawdown_since_ns
        self._cooldown_until_ns = streak.cooldown_until_ns

    def trips(self) -> tuple[tuple[str, TripRecord], ...]:
        """Return the record of every symbol that ever made a round trip, as it is stored."""
        return tuple(self._trips.items())

    def restore_trips(self, trips: Iterable[tuple[str, TripRecord]]) -> None:
        """Bring the symbols' records back after a restart, when positions, orders and streak are back. A record is
        journaled a moment after its fill: a trip that has ended without one is judged now (several as one)."""
        self._trips.update(trips)
        for symbol, position in self._positions.items():
            record, instrument = self.trip_record(symbol), self.instruments[symbol]
            is_sold = position.realized_pnl != record.start_realized or position.qty < instrument.lot_size
            if is_sold and position.net_pnl != record.start_net:  # the last sale's price is lost: that of the rest
                self._sales[symbol] = int(position.avg_price / instrument.tick_size)
                self._judge_trip(symbol)

    def forgive_losses(self, symbol: str, at_ns: int) -> None:
        """A person let the symbol trade again at `at_ns`: what it had lost until then, and its pause, are over. The
        running trip stays, and so does what was lost since: a repeat forgives nothing more."""
        self._trips[symbol] = self.trip_record(symbol).forgiven(at_ns)

    def cooldown_until_ns(self) -> int:
        """Return until when a loss streak stops entries; 0 when none did."""
        return self._cooldown_until_ns

    # --- inside ---------------------------------------------------------------------------------------------------

    def _net(self) -> Decimal:
        return self._realized - self._fees + self._held_value - self._held_cost + self._departed

    def _revalue(self, symbol: str) -> None:
        position = self.position(symbol)
        mark = self._marks.get(symbol)
        value = position.qty * self.instruments[symbol].price(mark[0]) if mark is not None else position.cost
        self._held_value += value - self._values.get(symbol, ZERO)
        self._values[symbol] = value

    def _move(self, asset: str, amount: Decimal, exch_ts_ns: int) -> None:
        # A balance push that is younger than the fill shows it already.
        known = self._balances.get(asset) or VenueBalance(asset, ZERO, ZERO, 0, 0)
        if known.exch_ts_ns and known.exch_ts_ns >= exch_ts_ns:
            return
        self._balances[asset] = VenueBalance(
            asset, known.free + amount, known.locked, known.exch_ts_ns, known.recv_ts_ns
        )

    def _judge_trip(self, symbol: str) -> None:
        """Judge the running round trip once it is over; it began where the last one ended."""
        sale_ticks = self._sales.get(symbol)
        if sale_ticks is None:
            return
        position, has_open_sale = self.position(symbol), self.commitments.open_sell_lots(symbol) > 0
        if is_trip_over(position, self.instruments[symbol], sale_ticks, has_open_sale):
            del self._sales[symbol]
            record, ended_ns = self.trip_record(symbol), position.updated_ns
            self._count_streak(position.net_pnl - record.start_net, ended_ns)
            self._trips[symbol] = record.ended(ended_ns, position)

    def _count_streak(self, gained: Decimal, now_ns: int) -> None:
        self._losses_in_row = self._losses_in_row + 1 if gained < 0 else 0
        if self.limits.loss_streak and self._losses_in_row >= self.limits.loss_streak:
            self._losses_in_row = 0
            self._cooldown_until_ns = now_ns + self.limits.loss_cooldown_s * NS_PER_S

    def _turn_day(self, now_ns: int) -> None:
        day_ns = day_start_ns(now_ns)
        if self._day_ns is not None and day_ns > self._day_ns:
            self._day_open = self._last_net
        self._day_ns = day_ns
