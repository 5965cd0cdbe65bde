"""Makes order intents: deterministic ids, and the inputs of each decision as text. Pure.

May import `trading.model` and `trading.engine`.
"""

from __future__ import annotations

from trading.engine.reconcile import OUR_PREFIX
from trading.engine.strategy.protocol import DesiredQuote
from trading.model.instrument import Instrument
from trading.model.market import Level
from trading.model.orders import CancelIntent, OrderIntent
from trading.model.units import NS_PER_MS, base36


class IntentMaker:
    """Makes the intents of one symbol under one owner epoch. Invariant: no two intents share an id.

    Ids are `mx-<run>-<epoch>-<sequence>` in base 36. A new owner has a new epoch, so that a sequence may start anew; an
    epoch is at least the time in ms (`Journal.next_symbol_epoch`), so that a new database repeats no id of another. At
    most 32 characters while run, epoch (until the year 5188) and sequence stay below 36^9.
    """

    def __init__(self, instrument: Instrument, strategy_name: str, run_number: int, owner_epoch: int) -> None:
        self._instrument = instrument
        self._strategy_name = strategy_name
        self._owner_epoch = owner_epoch
        self._stem = f"{OUR_PREFIX}{base36(run_number)}-{base36(owner_epoch)}-"
        self._sequence = 0

    def order(
        self, quote: DesiredQuote, context: tuple[tuple[str, str], ...], valid_ms: int, now_ns: int
    ) -> OrderIntent:
        """Make an intent. context: what was known beside the quote's own edge and terms. valid_ms: its age limit."""
        self._sequence += 1
        edge = quote.edge.as_texts() if quote.edge is not None else ()
        return OrderIntent(
            client_order_id=self._stem + base36(self._sequence),
            symbol=self._instrument.symbol,
            side=quote.side,
            type=quote.type,
            price_ticks=quote.price_ticks,
            qty_lots=quote.qty_lots,
            purpose=quote.purpose,
            created_ns=now_ns,
            valid_until_ns=now_ns + valid_ms * NS_PER_MS,
            owner_epoch=self._owner_epoch,
            strategy=self._strategy_name,
            decision=(("reason", quote.reason), *context, *edge, *quote.terms),
        )

    def cancel(self, client_order_id: str, reason: str, now_ns: int) -> CancelIntent:
        """Make the wish to end an order."""
        return CancelIntent(client_order_id, self._instrument.symbol, now_ns, reason)

    def book_context(
        self, version: int, recv_ts_ns: int, bid: Level | None, ask: Level | None
    ) -> tuple[tuple[str, str], ...]:
        """Render the book a decision was made on, with the arrival of its last frame; an absent side is left out."""
        context = [("book_version", str(version)), ("book_recv_ns", str(recv_ts_ns))]
        for name, level in (("bid", bid), ("ask", ask)):
            if level is not None:
                context.append((name, self._instrument.price_text(level[0])))
                context.append((f"{name}_qty", self._instrument.qty_text(level[1])))
        return tuple(context)
