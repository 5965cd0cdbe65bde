"""MEXC as a venue for one account: implements `engine.ports.Gateway` over signed REST and the private stream.

May import `trading.model`, `trading.engine.ports` and its neighbours in this package. Source: mexc-protocol §2–§5.
Sending is at most once; cancels and reads may be repeated. Nothing here decides: unknown stays unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from trading.adapters.clock import Clock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.clock import VenueClock
from trading.adapters.mexc.errors import ErrorClass, classify
from trading.adapters.mexc.private_codec import (
    Instruments,
    balances_from_rest,
    bid_from_rest,
    fee_rates_from_rest,
    order_from_rest,
    trade_from_rest,
)
from trading.adapters.mexc.rest import Params, RestCounters, RestSettings, SignedRest
from trading.adapters.mexc.user_stream import UserStream, UserStreamSettings, UserStreamStatus
from trading.engine.budget import RequestMeter
from trading.engine.ports import OrderRecord
from trading.model.errors import ConfigError, DecodeError, OutcomeUnknown, RateLimited, VenueRejected, VenueUnavailable
from trading.model.instrument import Instrument
from trading.model.orders import (
    OrderType,
    PlaceAccepted,
    PlaceAnswer,
    PlaceRejected,
    PlaceUnknown,
    VenueBalance,
    VenueEvent,
    VenueOrder,
    VenueTrade,
)
from trading.model.units import ns_from_ms

# openOrders takes at most five symbols, comma-separated (mexc-protocol §3.4).
_SYMBOLS_A_CALL = 5
_ORDERS_A_PAGE = 1_000
_TRADES_A_PAGE = 100
_PAGES_MAX = 64
_CLOCK_RETRY_S, _RATE_LIMITED_CODE = 1.0, 429
# How far back the venue answers (mexc-protocol §3.4), less an hour for clocks that differ.
_ORDERS_BACK_MS = (7 * 24 - 1) * 3_600_000
_TRADES_BACK_MS = (30 * 24 - 1) * 3_600_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MexcGatewaySettings:
    """Where the venue is and how patient we are. `venue` is the name that fills carry: "mexc", or "sim".

    `query_lag_ms`: the venue's queries may lag behind its matching by a few seconds (mexc-protocol §4).
    """

    rest_url: str
    ws_url: str
    venue: str = "mexc"
    rest: RestSettings = field(default_factory=RestSettings)
    stream: UserStreamSettings = field(default_factory=UserStreamSettings)
    # How long `start` waits for the private stream before it goes on without.
    start_patience_s: float = 5.0
    clock_interval_s: float = 60.0
    query_lag_ms: int = 2_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MexcGatewayStatus:
    """What the gateway knows of itself. `clock_skew_ms`: venue minus host; `clock_bound_ms`: how sure we are of it."""

    requests: RestCounters
    stream: UserStreamStatus
    clock_skew_ms: int
    clock_bound_ms: int
    unlisted: int


class MexcGateway:
    """One account at MEXC. Owned by the executor; lives on its event loop."""

    def __init__(
        self,
        settings: MexcGatewaySettings,
        credentials: Credentials,
        instruments: Instruments,
        clock: Clock,
        on_limited: Callable[[float], None] = lambda retry_after_s: None,
    ) -> None:
        """Make it; nothing is sent before `start`.

        Args:
            instruments: by symbol, every listed one (tradable or not), and those of which orders may be left. What is
                said of any other is not seen; the mapping may grow.
            on_limited: told the seconds to keep silent with each 429 or 403, of REST or of a connect. Never waits.
        Raises: ConfigError when the REST address is none.
        """
        self.venue = settings.venue
        self._settings = settings
        self._instruments = instruments
        self._clock = clock
        self._venue_clock = VenueClock(clock)
        self._rest = SignedRest(settings.rest_url, credentials, self._venue_clock, settings.rest, on_limited)
        self._stream = UserStream(
            settings.ws_url,
            self._rest,
            instruments,
            clock,
            settings.stream,
            random.Random(settings.seed),
            settings.venue,
            on_limited,
        )
        self._clock_task: asyncio.Task[None] | None = None
        self._ask_clock_now = asyncio.Event()
        self._unlisted = 0

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self, sink: Callable[[VenueEvent], None], meter: RequestMeter | None = None) -> None:
        """Learn the venue's clock, try the key, connect the private stream; push events into `sink` from then on.

        An unreachable venue does not fail the start: the stream says VenueStreamLost and goes on trying.
        Raises: ConfigError when the venue refuses the key: a person must act.
        """
        self._rest.meter = meter
        await self.try_key()
        self._clock_task = asyncio.create_task(self._keep_clock(), name="venue-clock")
        await self._stream.start(sink, self._settings.start_patience_s)

    async def try_key(self) -> None:
        """Learn the clock, try the key. Raises: ConfigError when it is refused, not when the venue is out of reach."""
        try:
            await self._rest.ask_clock()
            await self._rest.listen_keys()
            # The first sample held the connect in it; this one is a plain round trip.
            await self._rest.ask_clock()
        except VenueUnavailable:
            self._ask_clock_now.set()
        except VenueRejected as error:
            if classify(error.code) is ErrorClass.FATAL:
                await self.close()
                text = "check MEXCBOT_API_KEY, MEXCBOT_API_SECRET, the key's permissions and addresses"
                raise ConfigError(f"the venue refused the API key: {error.args[0]}: {text}")

    async def close(self) -> None:
        """Stop pushing, give the listen key back, release sockets; idempotent."""
        task, self._clock_task = self._clock_task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._stream.close()
        await self._rest.close()

    def now_ms(self) -> int:
        """Return the venue's clock as we know it, in ms (what to sign with)."""
        return self._venue_clock.now_ms()

    def clock_skew_ms(self) -> int:
        """Return the venue's clock minus the host's, in ms; 0 before it was asked."""
        return self._venue_clock.skew_ms if self._venue_clock.is_known else 0

    def status(self) -> MexcGatewayStatus:
        """Return counters and the clock's state."""
        return MexcGatewayStatus(
            self._rest.counters,
            self._stream.status(),
            self._venue_clock.skew_ms,
            self._venue_clock.bound_ms,
            self._unlisted,
        )

    # --- orders -----------------------------------------------------------------------------------------------------

    def on_attached(self, symbol: str) -> None:
        """Nothing to forget: MEXC is asked, and no actor."""

    async def place(self, order: OrderRecord) -> PlaceAnswer:
        """Send one order once, signed with `order.signed_ms` and `order.recv_window_ms` exactly as journaled.

        Never raises for what venue or network do. PlaceRejected means certainly not held by the venue; a venue that
        wants a pause says so in `retry_after_s`.
        """
        name, mark = order.client_order_id, self._stream.mark
        instrument = self._instruments.get(order.symbol)
        if instrument is None:
            return PlaceRejected(name, 0, f"not sent: unknown symbol {order.symbol}", self._clock.now_ns(), True)
        try:
            answer = await self._rest.send_once(
                "POST", "order", order_params(order, instrument), order.signed_ms, order.recv_window_ms
            )
        except RateLimited as error:
            refused = PlaceRejected(name, _RATE_LIMITED_CODE, str(error.args[0]), self._clock.now_ns())
            return replace(refused, retry_after_s=error.retry_after_s, is_firewall=error.is_firewall)
        except VenueUnavailable as error:
            return PlaceRejected(name, 0, str(error), self._clock.now_ns())
        except VenueRejected as error:
            kind = classify(error.code)
            if kind is ErrorClass.RESYNC_CLOCK:
                self._ask_clock_now.set()
            return PlaceRejected(
                name,
                error.code,
                str(error.args[0]),
                self._clock.now_ns(),
                disables_symbol=kind is ErrorClass.DISABLE_SYMBOL,
                is_fatal=kind is ErrorClass.FATAL,
            )
        except OutcomeUnknown as error:
            return PlaceUnknown(name, str(error), self._clock.now_ns())
        venue_order_id = answer.get("orderId") if isinstance(answer, dict) else None
        if not venue_order_id:
            return PlaceUnknown(name, "accepted without an order id", self._clock.now_ns())
        self._stream.on_taken(mark)
        return PlaceAccepted(name, str(venue_order_id), self._clock.now_ns())

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> bool:
        """Ask for a cancel, by the venue's id when known, else by ours. Repeating it is harmless.

        Returns: True when the venue took it (a push or a query ends the order, not this answer); False for none open.
        Raises: VenueUnavailable (RateLimited).
        """
        named = ("orderId", venue_order_id) if venue_order_id else ("origClientOrderId", client_order_id)
        return await self._unless_absent("DELETE", "order", [("symbol", symbol), named]) is not None

    async def cancel_all(self, symbols: Sequence[str]) -> None:
        """Cancel every open order of these symbols, foreign ones too. Raises: VenueUnavailable (RateLimited)."""
        for batch in _batches(symbols):
            await self._unless_absent("DELETE", "openOrders", [("symbol", ",".join(batch))])

    # --- reads ------------------------------------------------------------------------------------------------------

    async def order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Query one order by our id; None when the venue says that it does not exist.

        The venue's query lags its order entry: None right after a send proves nothing.
        Raises: VenueUnavailable, also for the order of a symbol without instrument: it exists, and cannot be read.
        """
        answer = await self._unless_absent("GET", "order", [("symbol", symbol), ("origClientOrderId", client_order_id)])
        if answer is None:
            return None
        if (found := self._read(order_from_rest, answer)) is None:
            raise VenueUnavailable(f"{client_order_id} exists, and cannot be read: {symbol} is not known")
        return found

    async def open_orders(self, symbols: Sequence[str]) -> tuple[VenueOrder, ...]:
        """Query the open orders of these symbols, foreign ones included.

        Raises: VenueUnavailable, also for anything but a list: only that proves that nothing is open.
        """
        found: list[VenueOrder] = []
        for batch in _batches(symbols):
            answer = await self._unless_absent("GET", "openOrders", [("symbol", ",".join(batch))])
            if not isinstance(answer, list):
                raise VenueUnavailable("openOrders: expected a list, was something else")
            found += self._each(order_from_rest, answer)
        return tuple(found)

    async def recent_orders(self, symbol: str, since_ms: int) -> tuple[VenueOrder, ...]:
        """Query all orders of a symbol made since a time (the venue looks back 7 days). Raises: VenueUnavailable."""
        since_ms = max(since_ms, self.now_ms() - _ORDERS_BACK_MS)
        items = await self._between("allOrders", [("symbol", symbol)], "orderId", since_ms, _ORDERS_A_PAGE)
        return tuple(self._each(order_from_rest, items))

    async def trades(self, symbol: str, venue_order_id: str, since_ms: int) -> tuple[VenueTrade, ...]:
        """Query executions of a symbol since a time (the venue looks back a month), of one order when its id is given.

        Trade times are rounded to seconds there, so the query begins a second early. Raises: VenueUnavailable.
        """
        params = [("symbol", symbol)] + ([("orderId", venue_order_id)] if venue_order_id else [])
        since_ms = max(since_ms // 1_000 * 1_000 - 1_000, self.now_ms() - _TRADES_BACK_MS)
        items = await self._between("myTrades", params, "id", since_ms, _TRADES_A_PAGE)
        return tuple(self._each(self._trade, items))

    async def balances(self) -> tuple[VenueBalance, ...]:
        """Query the account's balances; assets without any may be left out. Raises: VenueUnavailable.

        They count as of the question, less the venue's lag: newer than what was pushed before, older than what is next.
        """
        as_of_ns = ns_from_ms(self.now_ms() - self._settings.query_lag_ms)
        answer = await self._unless_absent("GET", "account", [])
        return self._decoded(lambda: balances_from_rest(answer, as_of_ns, self._clock.now_ns()))

    async def fee_rates(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Query the account's own (maker, taker) rates as fractions. Raises: VenueUnavailable."""
        answer = await self._unless_absent("GET", "tradeFee", [("symbol", symbol)])
        return self._decoded(lambda: fee_rates_from_rest(answer))

    async def price(self, symbol: str) -> Decimal | None:
        """Query a symbol's best bid; None when nobody bids. Raises: VenueUnavailable."""
        answer = await self._unless_absent("GET", "ticker/bookTicker", [("symbol", symbol)])
        return self._decoded(lambda: bid_from_rest(answer))

    async def tradable_symbols(self) -> frozenset[str]:
        """Query the symbols that this key may trade. Raises: VenueUnavailable."""
        answer = await self._unless_absent("GET", "selfSymbols", [])
        names = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(names, list):
            raise VenueUnavailable("expected the key's symbols, was something else")
        return frozenset(str(name) for name in names)

    # --- pieces -----------------------------------------------------------------------------------------------------

    async def _unless_absent(self, method: str, path: str, params: Params) -> Any:
        """Send a repeatable request; None when the venue knows no such order. Raises: VenueUnavailable."""
        try:
            return await self._rest.repeatable(method, path, params)
        except VenueRejected as error:
            if classify(error.code) is ErrorClass.BENIGN_ON_CANCEL:
                return None
            raise VenueUnavailable(f"{method} {path}: {error.args[0]}")

    async def _between(self, path: str, params: Params, key: str, since_ms: int, page: int) -> list[Any]:
        """List everything since a time, by `key` without repeats. A full page is asked for again in halves of its time.

        The venue documents neither the order within a page nor a cursor, so halving is the only way that skips nothing.
        """
        found: dict[str, Any] = {}
        windows = [(since_ms, max(since_ms, self.now_ms() + 1_000))]
        for number in range(_PAGES_MAX):
            if not windows:
                return list(found.values())
            if number:
                self._rest.owe()  # whoever asked took the token of one page
            start_ms, end_ms = windows.pop()
            window = [("startTime", str(start_ms)), ("endTime", str(end_ms)), ("limit", str(page))]
            items = await self._unless_absent("GET", path, [*params, *window])
            if not isinstance(items, list):
                raise VenueUnavailable(f"{path}: expected a list, was something else")
            found |= {str(item.get(key)): item for item in items if isinstance(item, dict)}
            if len(items) >= page and end_ms - start_ms > 1:
                middle_ms = (start_ms + end_ms) // 2
                windows += [(middle_ms + 1, end_ms), (start_ms, middle_ms)]
        raise VenueUnavailable(f"{path}: more than {_PAGES_MAX} pages of {page} since {since_ms}")

    def _each(self, read: Callable[[Any, Instruments, int], T | None], items: Sequence[Any]) -> list[T]:
        return [result for item in items if (result := self._read(read, item)) is not None]

    def _read(self, read: Callable[[Any, Instruments, int], T | None], item: Any) -> T | None:
        result = self._decoded(lambda: read(item, self._instruments, self._clock.now_ns()))
        if result is None:
            self._unlisted += 1
        return result

    def _trade(self, item: Any, instruments: Instruments, recv_ts_ns: int) -> VenueTrade | None:
        return trade_from_rest(item, instruments, self.venue, recv_ts_ns)

    def _decoded(self, read: Callable[[], T]) -> T:
        """Reads promise VenueUnavailable and nothing else: an answer that cannot be read is none."""
        try:
            return read()
        except DecodeError as error:
            raise VenueUnavailable(f"unreadable answer: {error}")

    async def _keep_clock(self) -> None:
        """Ask the venue's clock regularly, and at once when it has refused our time."""
        while True:
            is_refused = self._ask_clock_now.is_set()
            try:
                async with asyncio.timeout(self._settings.clock_interval_s):
                    await self._ask_clock_now.wait()
                    is_refused = True
            except TimeoutError:
                pass
            self._ask_clock_now.clear()
            try:
                await self._rest.ask_clock(is_refused)
            except VenueUnavailable:
                # The old samples serve on until it answers again.
                await asyncio.sleep(_CLOCK_RETRY_S)
                self._ask_clock_now.set()


def order_params(order: OrderRecord, instrument: Instrument) -> list[tuple[str, str]]:
    """Return the parameters of POST order, but for timestamp and recvWindow. A MARKET order goes by quantity."""
    params = [
        ("symbol", order.symbol),
        ("side", order.side.value),
        ("type", order.type.value),
        ("quantity", instrument.qty_text(order.qty_lots)),
    ]
    if order.type is not OrderType.MARKET:
        params.append(("price", instrument.price_text(order.price_ticks)))
    return [*params, ("newClientOrderId", order.client_order_id)]


def _batches(symbols: Sequence[str]) -> list[list[str]]:
    unique = list(dict.fromkeys(symbols))
    return [unique[start : start + _SYMBOLS_A_CALL] for start in range(0, len(unique), _SYMBOLS_A_CALL)]
