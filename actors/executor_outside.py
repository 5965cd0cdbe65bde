"""What moved on the account by no order of ours: deposits, withdrawals, trades by hand, airdrops.

May import `trading.model`, `trading.engine` and the executor's pieces. The ledger of a live account opens with what the
venue held then, so that from then on ledger and venue are to agree on every asset. A difference that stays while
neither an order of ours nor the venue's list of our trades explains it becomes an explicit adjustment row with its
reason, and an alert (promise 8): it halts nothing by itself. Where coins are missing that positions hold, the positions
shrink, and their symbols may only exit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from actors.executor_lanes import AlertLane
from actors.executor_lease import LeaseKeeper
from actors.executor_rates import FEE_ASSETS
from actors.executor_state import ExecutorState
from actors.executor_values import ExecutorSettings
from trading.adapters.clock import Clock
from trading.engine.accounting import withdraw
from trading.engine.ports import Journal, LedgerLine
from trading.model.orders import OrderStatus, VenueBalance
from trading.model.position import Position
from trading.model.units import NS_PER_MS, NS_PER_S, ZERO, plain

# Fills of ours that the venue shows and nobody has told yet are here by then: by push, or fetched (query lag 2 s).
CONFIRM_NS = 3 * NS_PER_S
# While nothing can be confirmed (an account that trades without a pause) comparisons become this many times rarer.
LOOKS_SLOWED = 10
UNEXPLAINED = "unexplained"
log = structlog.get_logger("executor")


@dataclass(frozen=True, slots=True)
class _Difference:
    """What the venue holds of an asset beyond the ledger; when it was exactly this first and last, with the ledger.

    is_searched: the venue's list of our trades has been read since, and told of none that explains it.
    """

    amount: Decimal
    first_ns: int
    last_ns: int
    ledger: Decimal
    is_searched: bool = False

    @property
    def is_confirmed(self) -> bool:
        return self.last_ns - self.first_ns >= CONFIRM_NS


@dataclass(frozen=True, slots=True)
class _Booking:
    """Rows on their way into the journal; kept until it is certain that they stand, and then told.

    symbols: whose positions they shrink. alert: level and text.
    """

    lines: tuple[LedgerLine, ...]
    symbols: tuple[str, ...] = ()
    alert: tuple[str, str] | None = None


class OutsideKeeper:
    """Owned by one `ExecutorActor`; live only. Invariant: books only what two comparisons, seconds apart, agree on."""

    def __init__(
        self,
        settings: ExecutorSettings,
        state: ExecutorState,
        keeper: LeaseKeeper,
        journal: Journal,
        alerts: AlertLane,
        clock: Clock,
        release: Callable[[str, str], Awaitable[bool]],
        is_writing: Callable[[str], bool],
    ) -> None:
        """Args: release: allows exits only of a symbol, with a reason, fences its owner and ends its orders; True
        when that is done. is_writing: tells whether steps of a symbol are still on their way into the journal.
        """
        self._account = settings.account
        self._cause_kept_ns = settings.patience.query_lag_ms * NS_PER_MS + CONFIRM_NS
        self._state = state
        self._keeper = keeper
        self._journal = journal
        self._alerts = alerts
        self._clock = clock
        self._release = release
        self._is_writing = is_writing
        self.has_opening = False
        self._differences: dict[str, _Difference] = {}
        self._unsure: _Booking | None = None
        self._next_ns = 0
        self._looks = 0

    def is_due(self) -> bool:
        """Tell whether something is to be compared before its minute: a word of others, or a difference seen once."""
        is_wanted = bool(self._differences or self._state.outside_causes)
        return is_wanted and self._clock.monotonic_ns() >= self._next_ns

    def see(self, told: Iterable[VenueBalance]) -> None:
        """Take all balances of the account, as the venue told them just now, and keep how the ledger differs."""
        now_ns = self._clock.monotonic_ns()
        held = {item.asset: item.free + item.locked for item in told}
        seen: dict[str, _Difference] = {}
        for asset in held.keys() | self._state.ledger_totals.keys():
            ledger = self._state.ledger_totals.get(asset, ZERO)
            amount = held.get(asset, ZERO) - ledger
            if amount:
                known = self._differences.get(asset)
                if known is not None and known.amount == amount:
                    seen[asset] = replace(known, last_ns=now_ns, ledger=ledger)
                else:
                    seen[asset] = _Difference(amount, now_ns, now_ns, ledger)
        # The query may be behind the push that gave a cause: no difference proves that one wrong before its time.
        causes = self._state.outside_causes
        for asset in [name for name in causes if name not in seen]:
            if now_ns - causes[asset].at_ns >= self._cause_kept_ns:
                del causes[asset]
        self._differences = seen
        self._looks = self._looks + 1 if seen or causes else 0
        self._next_ns = now_ns + CONFIRM_NS * max(1, min(self._looks, LOOKS_SLOWED))

    def unsearched(self) -> frozenset[str]:
        """Return the assets whose difference nothing explains: before it is booked, our trades are to be read."""
        if not self.has_opening or not self._differences:
            return frozenset()
        explained = self._under_way() | self._state.outside_causes.keys()
        wanted = (name for name, item in self._differences.items() if item.is_confirmed and not item.is_searched)
        return frozenset(wanted) - explained

    def on_searched(self, assets: frozenset[str]) -> None:
        """Note that the trades that may have moved these assets have been read."""
        for asset in assets & self._differences.keys():
            self._differences[asset] = replace(self._differences[asset], is_searched=True)

    async def book(self, has_suspects: bool) -> None:
        """Book what was confirmed. Args: has_suspects: orders are being looked for. Raises: StoreError, FencedOut."""
        if self._unsure is not None:
            await self._write(self._unsure)
        if self._unsure is not None or has_suspects or not self._differences:
            return
        moving = self._under_way()
        if not self.has_opening:
            if moving.isdisjoint(self._differences) and self._is_opening_sure():
                await self._open()
            return
        for asset, difference in tuple(self._differences.items()):
            # What was booked since the venue was asked may be the very difference.
            is_stale = self._state.ledger_totals.get(asset, ZERO) != difference.ledger
            is_looked_into = difference.is_searched or asset in self._state.outside_causes
            if difference.is_confirmed and is_looked_into and asset not in moving and not is_stale:
                await self._adjust(asset, difference.amount)

    # --- the opening --------------------------------------------------------------------------------------------------

    def _is_opening_sure(self) -> bool:
        """Tell whether nothing of ours can be in what the venue showed and not yet in the ledger.

        An order that executed while the balances were on their way would be booked twice: as opening and as trade. So
        either there is no order and never was an execution, or two comparisons, seconds apart, agree.
        """
        totals = self._state.ledger_totals
        if not totals and not self._state.sending and not self._state.orders.recent_symbols():
            return True
        seen = self._differences
        return all(item.is_confirmed and totals.get(asset, ZERO) == item.ledger for asset, item in seen.items())

    async def _open(self) -> None:
        """Book what the venue holds beyond our own trades, once in the life of the account."""
        at_ns, reference = self._clock.now_ns(), f"opening/{self._account}"
        lines = tuple(
            LedgerLine("opening", "", asset, item.amount, at_ns, reference)
            for asset, item in sorted(self._differences.items())
        )
        self.has_opening = True
        self._differences.clear()
        self._looks = 0
        await self._apply(_Booking(lines))

    # --- adjustments --------------------------------------------------------------------------------------------------

    async def _adjust(self, asset: str, amount: Decimal) -> None:
        known = self._state.outside_causes.get(asset)
        cause = known.text if known is not None else UNEXPLAINED
        known_ledger = self._state.ledger_totals.get(asset, ZERO)
        for position, cut in self._cuts(asset, amount):
            # Its owner believes to hold them: it is fenced, and comes back with the position as it is. Less than a lot
            # could not be sold anyway.
            text = f"{plain(cut)} {asset} that it held left the account ({cause})"
            is_dust = cut < self._state.instruments[position.symbol].lot_size
            if not is_dust and not await self._release(position.symbol, f"drift: {text}"):
                return  # asked again when its orders are over
        cuts = self._cuts(asset, amount)
        is_stale = self._state.ledger_totals.get(asset, ZERO) != known_ledger  # a fill came meanwhile
        if is_stale or any(self._is_writing(position.symbol) for position, _ in cuts):
            return
        at_ns = self._clock.now_ns()
        rest = amount + sum((cut for _, cut in cuts), ZERO)
        lines = [LedgerLine("adjustment", "", asset, rest, at_ns, f"{cause}/{at_ns}")] if rest else []
        lines += [
            LedgerLine("adjustment", item.symbol, asset, -cut, at_ns, f"{cause}/{at_ns}/{item.symbol}")
            for item, cut in cuts
        ]
        sign = "+" if amount > 0 else ""
        text = f"{sign}{plain(amount)} {asset} by no order of ours ({cause}): booked as an adjustment"
        for item, cut in cuts:
            text += f"; {plain(cut)} of it was held in {item.symbol}, worth {plain(self._worth(item.symbol, cut))}"
        is_alarming = bool(cuts) or (cause == UNEXPLAINED and amount < 0)
        self._differences.pop(asset, None)
        self._state.outside_causes.pop(asset, None)
        for item, cut in cuts:
            self._state.account.withdraw(withdraw(item, cut, at_ns))
        alert = ("alert" if is_alarming else "warning", text)
        await self._apply(_Booking(tuple(lines), tuple(item.symbol for item, _ in cuts), alert))

    def _cuts(self, asset: str, amount: Decimal) -> list[tuple[Position, Decimal]]:
        """Say which positions lose how much when the account holds less of their base than they do; largest first."""
        instruments = self._state.instruments
        held = [item for item in self._state.account.positions() if instruments[item.symbol].base == asset]
        total = self._state.ledger_totals.get(asset, ZERO) + amount
        short = min(sum((item.qty for item in held), ZERO) - total, -amount)
        cuts: list[tuple[Position, Decimal]] = []
        for item in sorted(held, key=lambda item: item.qty, reverse=True):
            cut = min(short, item.qty)
            if cut > 0:
                cuts.append((item, cut))
                short -= cut
        return cuts

    def _worth(self, symbol: str, qty: Decimal) -> Decimal:
        bid_ticks = self._state.account.bid_ticks(symbol, self._clock.now_ns()) or 0
        return qty * self._state.instruments[symbol].price(bid_ticks)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _apply(self, booking: _Booking) -> None:
        """Move memory, then write. What executes from now on is booked on top of it, and written after it."""
        self._state.on_ledger(booking.lines)
        self._unsure = booking
        await self._write(booking)

    async def _write(self, booking: _Booking) -> None:
        """Write rows, with their positions as they are now. A write without a certain answer is repeated.

        Positions are written whole: while a fill of theirs is on its way into the journal, this waits.
        """
        if any(self._is_writing(symbol) for symbol in booking.symbols):
            return
        positions = tuple(self._state.account.position(symbol) for symbol in booking.symbols)
        departed_pnl = self._state.account.departed_pnl() if positions else None
        await self._journal.append_ledger(self._keeper.lease, booking.lines, positions, departed_pnl)
        self._unsure = None
        log.info("ledger_adjusted", lines=booking.lines)
        if booking.alert is not None:
            self._state.counters["adjustments"] += 1
            level, text = booking.alert
            self._alerts.raise_alert(level, "outside_change", text)

    def _under_way(self) -> frozenset[str]:
        """Return the assets that an order of ours may have moved in a way that is not booked yet."""
        assets: set[str] = set()
        for tracker in (*self._state.orders.live(), *self._state.orders.watched()):
            record = tracker.record
            is_open = record.status is OrderStatus.UNKNOWN or tracker.missing_lots or tracker.is_ended_at_venue
            if is_open or record.client_order_id in self._state.sending:
                instrument = self._state.instruments[record.symbol]
                assets |= {instrument.base, instrument.quote, *FEE_ASSETS}
        return frozenset(assets)
