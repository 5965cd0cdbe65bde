"""A strategy may be anybody's code: whatever it raises or answers, its symbol stops, cancels and says why."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tests.engine_desk import EAGER, Desk, config, engine
from tests.market_scenes import SYMBOL, S, delta, snapshot
from trading.engine.edge import EdgeTerms
from trading.engine.messages import ParametersChanged, TimerFired, TradingSwitched
from trading.engine.strategy import registry
from trading.engine.strategy.answer_check import check_desires
from trading.engine.strategy.protocol import DesiredQuote, Desires, Requote, StrategyView
from trading.engine.strategy.spread_capture import SpreadCapture
from trading.model.errors import InvariantViolated
from trading.model.market import FeedConnected, Side
from trading.model.orders import OrderType, Purpose, Refusal

BIDS = [(9_990, 1_000), (9_980, 5_000)]
ASKS = [(10_010, 1_000), (10_020, 5_000)]
QUOTE = DesiredQuote(Side.BUY, Purpose.ENTRY, OrderType.LIMIT_MAKER, 9_990, 250, "entry", Requote(0, 1))
EDGE = EdgeTerms(20.0, 20.0, 4.0, 1.0, 0.0, 15.0, 1.0, 0.0)
GOOD = Desires((QUOTE,), (), "ENTERING")


WRONG_ANSWERS: dict[str, Any] = {
    "nothing": None,
    "a list": [QUOTE],
    "a float price": GOOD._replace(quotes=(QUOTE._replace(price_ticks=9_990.0),)),  # type: ignore[arg-type]
    "a truth for a quantity": GOOD._replace(quotes=(QUOTE._replace(qty_lots=True),)),
    "a text for a side": GOOD._replace(quotes=(QUOTE._replace(side="BUY?"),)),  # type: ignore[arg-type]
    "two in one slot": GOOD._replace(quotes=(QUOTE, QUOTE._replace(price_ticks=9_980))),
    "quotes as a list": GOOD._replace(quotes=[QUOTE]),  # type: ignore[arg-type]
    "a refusal of its own": GOOD._replace(refusals=("no mood",)),  # type: ignore[arg-type]
    "an edge that is a number": GOOD._replace(quotes=(QUOTE._replace(edge=3.0),)),  # type: ignore[arg-type]
    "terms that are numbers": GOOD._replace(quotes=(QUOTE._replace(terms=(("a", 1),)),)),  # type: ignore[arg-type]
    "a state that is a number": GOOD._replace(machine_state=7),  # type: ignore[arg-type]
    "a move rule without an age": GOOD._replace(quotes=(QUOTE._replace(requote=Requote(None, 1)),)),  # type: ignore[arg-type]
    "a move rule in text": GOOD._replace(quotes=(QUOTE._replace(requote=Requote(0, "1")),)),  # type: ignore[arg-type]
    "a renewal age that is no number": GOOD._replace(
        quotes=(QUOTE._replace(requote=Requote(0, 1, float("nan"))),)  # type: ignore[arg-type]
    ),
    "an edge term in text": GOOD._replace(quotes=(QUOTE._replace(edge=EDGE._replace(quoted="x")),)),  # type: ignore[arg-type]
    "an edge term missing": GOOD._replace(quotes=(QUOTE._replace(edge=EDGE._replace(net=None)),)),  # type: ignore[arg-type]
    "an edge term that is not finite": GOOD._replace(quotes=(QUOTE._replace(edge=EDGE._replace(net=float("nan"))),)),
    "terms of three": GOOD._replace(quotes=(QUOTE._replace(terms=(("a", "1", "2"),)),)),  # type: ignore[arg-type]
    "terms in a mapping": GOOD._replace(quotes=(QUOTE._replace(terms={"ab": "1"}),)),  # type: ignore[arg-type]
    "an urgency in text": GOOD._replace(quotes=(QUOTE._replace(is_urgent="no"),)),  # type: ignore[arg-type]
    "a reason no database keeps": GOOD._replace(quotes=(QUOTE._replace(reason="a\x00"),)),
    "more lots than 64 bits": GOOD._replace(quotes=(QUOTE._replace(qty_lots=2**63),)),
    "no requote rule": GOOD._replace(quotes=(QUOTE._replace(requote=None),)),  # type: ignore[arg-type]
}


class Wayward(SpreadCapture):
    """Trades soundly until it holds an order; then it answers what the test wants."""

    name: ClassVar[str] = "wayward_for_tests"
    answer: ClassVar[Any] = None

    def decide(self, view: StrategyView) -> Desires:
        return super().decide(view) if not view.orders else self.answer


class Leaver(SpreadCapture):
    """Raises what the test wants once it holds an order, or never comes to be."""

    name: ClassVar[str] = "leaver_for_tests"
    raises: ClassVar[BaseException] = SystemExit()

    def decide(self, view: StrategyView) -> Desires:
        if view.orders:
            raise self.raises
        return super().decide(view)


class Stillborn(SpreadCapture):
    """Cannot be built while the test says so."""

    name: ClassVar[str] = "stillborn_for_tests"
    is_broken: ClassVar[bool] = True

    def __init__(self, instrument: Any, parameters: Any) -> None:
        if self.is_broken:
            raise OSError("no model file")
        super().__init__(instrument, parameters)


class Stubborn(SpreadCapture):
    """Takes no other parameters."""

    name: ClassVar[str] = "stubborn_for_tests"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "parameters" and hasattr(self, "parameters"):
            raise AttributeError("parameters are fixed")
        super().__setattr__(name, value)


for made in (Wayward, Leaver, Stillborn, Stubborn):
    registry.register(made.name, made)


def proven(desk: Desk) -> Desk:
    desk.play(FeedConnected(SYMBOL, S), S)
    desk.play(snapshot(BIDS, ASKS, version=1, at_ns=S), S)
    desk.play(delta(2, at_ns=S), S)
    return desk


def alerts(desk: Desk) -> list[dict[str, str]]:
    return [dict(note.fields) for note in desk.notes if note.name == "strategy_failed"]


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_wrong_answer_of_a_strategy_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(InvariantViolated, match="expected"):
        check_desires(WRONG_ANSWERS[name])


def test_sound_answer_passes() -> None:
    check_desires(GOOD)
    check_desires(GOOD._replace(quotes=(QUOTE._replace(edge=EDGE, terms=(("spread_bps", "20.0"),)),)))
    check_desires(Desires((), (Refusal.IMBALANCE,), "FLAT"))


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_wrong_answer_halts_the_symbol_cancels_its_orders_and_says_why(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wayward, "answer", WRONG_ANSWERS[name])
    desk = proven(Desk(engine(config(strategy_name=Wayward.name))))
    (entry,) = desk.intents
    for second in (2, 3, 4):
        desk.play(TimerFired(second * S), second * S)
    seen = desk.engine.view()
    assert desk.cancels == [entry.client_order_id]
    assert (seen.open_orders, seen.machine_state, len(desk.intents)) == ((), "FAULT", 1)
    (alert,) = alerts(desk)
    assert (alert["strategy"], alert["error"]) == (Wayward.name, seen.fault)
    assert "expected" in seen.fault
    assert seen.current_refusals == ("halted",)


@pytest.mark.parametrize("raised", [SystemExit(3), GeneratorExit(), BaseException("out")], ids=repr)
def test_strategy_that_would_end_the_process_halts_its_symbol_only(
    raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Leaver, "raises", raised)
    desk = proven(Desk(engine(config(strategy_name=Leaver.name))))
    (entry,) = desk.intents
    for second in (2, 3, 4):
        desk.play(TimerFired(second * S), second * S)
    seen = desk.engine.view()
    assert desk.cancels == [entry.client_order_id]
    assert (seen.open_orders, seen.machine_state, len(desk.intents)) == ((), "FAULT", 1)
    assert seen.fault.startswith(type(raised).__name__)


def test_interrupt_by_a_person_is_no_fault_of_a_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leaver, "raises", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        proven(Desk(engine(config(strategy_name=Leaver.name))))


def test_strategy_that_cannot_be_built_is_a_fault_of_its_symbol_and_resume_builds_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = proven(Desk(engine(config(strategy_name=Stillborn.name))))
    seen = desk.engine.view()
    assert (seen.machine_state, seen.fault, desk.intents) == ("FAULT", "OSError: no model file", [])
    assert [alert["error"] for alert in alerts(desk)] == ["OSError: no model file"]
    monkeypatch.setattr(Stillborn, "is_broken", False)
    desk.play(TradingSwitched(True, "mended", 2 * S), 2 * S)
    assert desk.engine.view().fault == ""
    assert len(desk.intents) == 1


def test_strategy_that_fails_at_a_change_of_parameters_is_stopped() -> None:
    desk = proven(Desk(engine(config({**EAGER}, strategy_name=Stubborn.name))))
    (entry,) = desk.intents
    desk.play(ParametersChanged((("order_quote", "30"),), 2 * S), 2 * S)
    assert desk.cancels == [entry.client_order_id]
    assert "parameters are fixed" in desk.engine.view().fault
    assert len(alerts(desk)) == 1
