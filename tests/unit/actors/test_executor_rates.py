"""The account's own fee rates, and fees in a third asset with their price and its source."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.unit.actors.executor_fakes import BTC, System, settle
from trading.engine.ports import Submission
from trading.model.instrument import Instrument

D = Decimal
MX = Instrument("MXUSDT", "MX", "USDT", D("0.001"), D("0.01"), D(0), D(1), D(0), D(0), D("0.0005"))


async def filled(system: System, fee_asset: str = "MX") -> None:
    """Buy, and let the venue charge one unit of an asset."""
    intent = system.intent()
    await system.executor.submit(Submission("BTCUSDT", system.epoch, "run-1", (intent,), ()))
    await settle()
    system.venue.fill(intent.client_order_id, 1000, fee="1", fee_asset=fee_asset)
    await settle()


async def test_attached_symbol_has_the_accounts_own_rates() -> None:
    system = System()
    system.venue.fees = (D("0.0001"), D("0.0004"))
    await system.start()
    attachment = await system.executor.attach_symbol("BTCUSDT", "run-1", 1, "again")
    rates = attachment.instrument.maker_fee_rate, attachment.instrument.taker_fee_rate
    assert rates == (D("0.0001"), D("0.0004"))
    assert replace(attachment.instrument, maker_fee_rate=BTC.maker_fee_rate, taker_fee_rate=BTC.taker_fee_rate) == BTC


async def test_attach_without_an_answer_keeps_the_listed_rates_and_says_so() -> None:
    system = System()
    await system.start()
    system.venue.is_down = True
    attachment = await system.executor.attach_symbol("BTCUSDT", "run-1", 1, "again")
    await settle()
    assert attachment.instrument == BTC
    assert [alert[1] for alert in system.journal.alerts if alert[1] == "fees_unknown"] == ["fees_unknown"]


async def test_fee_in_mx_is_booked_with_its_price_and_source() -> None:
    system = System(instruments=(MX,))
    system.venue.free["MX"] = D(100)
    system.venue.prices["MXUSDT"] = D("2.5")
    await system.start()
    await system.executor.core.reconciler.round()
    await filled(system)
    (fill,) = await system.journal.fills_of(f"mx-1-{system.epoch}-1")
    assert (fill.fee, fill.fee_asset, fill.fee_rate_quote) == (D(1), "MX", D("2.5"))
    assert fill.fee_rate_source.startswith("ticker:MXUSDT@")
    assert system.executor.core.account.position("BTCUSDT").fees == D("2.5")
    assert system.executor.core.state.ledger_totals["MX"] == D(99)  # of the 100 that it opened with
    await system.executor.core.books.round()
    assert system.executor.core.account.halts() == (), "a fee in a third asset breaks no equation"


async def test_book_of_ours_prices_a_fee_before_any_ticker() -> None:
    system = System(instruments=(MX,))
    system.venue.free["MX"] = D(100)
    system.venue.prices["MXUSDT"] = D("2.5")
    await system.start()
    await system.executor.mark("MXUSDT", 2_400, system.clock.now_ns())
    await filled(system)
    (fill,) = await system.journal.fills_of(f"mx-1-{system.epoch}-1")
    assert (fill.fee_rate_quote, fill.fee_rate_source) == (D("2.4"), "mark:MXUSDT")


async def test_fee_without_a_price_gets_none_and_people_hear_of_it() -> None:
    system = System(instruments=(MX,))
    system.venue.free["MX"] = D(100)
    await system.start()
    await filled(system)
    (fill,) = await system.journal.fills_of(f"mx-1-{system.epoch}-1")
    assert (fill.fee_rate_quote, fill.fee_rate_source) == (None, "")
    assert "fee_not_converted" in [alert[1] for alert in system.journal.alerts]
