"""The programs on docs/simulator.md run as they stand, against a simulator as a new user starts it."""

import re
import time
from collections.abc import Iterator

import pytest
from simulator_process import ROOT, RunningSimulator, running

from simulator.faults import FaultKind
from simulator.flags import _RULES, _parser

PAGE = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NAMES = ("ccxt", "ccxt.pro", "pymexc", "own")


@pytest.fixture(scope="module")
def started() -> Iterator[RunningSimulator]:
    (flags,) = re.findall(r"python -m simulator --port 18080 (--symbols \S+)", PAGE)
    with running(*flags.split()) as one:
        yield one


@pytest.mark.parametrize("program", PROGRAMS, ids=NAMES)
def test_page_program_runs_and_trades(
    program: str, started: RunningSimulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    time.sleep(1.1)  # a venue counts a second of what an address asks for, whichever program it was
    before = len(started.state()["accounts"][started.api_key]["trades"])
    changed = program.replace("http://127.0.0.1:18080", started.rest).replace("ws://127.0.0.1:18080/ws", started.ws)
    exec(compile(changed, "docs/simulator.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out
    assert len(started.state()["accounts"][started.api_key]["trades"]) > before


def test_page_names_every_flag_and_rule_and_fault() -> None:
    flags = {option for action in _parser()._actions for option in action.option_strings if option.startswith("--")}
    for word in (*(flags - {"--help", "--json", "--host"}), *_RULES, *FaultKind):
        assert word in PAGE, word
