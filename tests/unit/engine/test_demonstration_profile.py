"""The demonstration profile in the README is the one that the code and its replay test use."""

from __future__ import annotations

import re
from pathlib import Path

from trading.engine.strategy.demonstration import DEMONSTRATION
from trading.engine.strategy.registry import parse_parameters

README = Path(__file__).resolve().parents[3] / "README.md"


def test_readme_profile_is_the_one_that_is_tested() -> None:
    block = re.search(r'DEMO="([^"]+)"', README.read_text(encoding="utf-8"))
    assert block is not None
    assert tuple(re.findall(r"--set (\w+)=(\S+)", block[1])) == DEMONSTRATION


def test_demonstration_profile_is_valid() -> None:
    texts = dict(parse_parameters("spread_capture", DEMONSTRATION).as_texts())
    assert all(float(texts[name]) == float(text) for name, text in DEMONSTRATION)
