"""Plug-in strategies: loaded in order, broken ones reported and passed over."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from trading.adapters.plugins import GROUP, code_of, load_strategies
from trading.engine.strategy.spread_capture import SpreadCapture
from trading.model.errors import ConfigError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A foreign package with a good strategy and a module that fails on import."""
    name = "foreign_strategies"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("class Good:\n    pass\n")
    (tmp_path / name / "broken.py").write_text("raise RuntimeError('no model file')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for loaded in [module for module in sys.modules if module.startswith(name)]:
        monkeypatch.delitem(sys.modules, loaded)
    return name


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


def test_plugins_broken_one_is_reported_and_the_others_load(package: str) -> None:
    registry: dict[str, type] = {}
    points = [
        point("zeta", f"{package}:Good"),
        point("alpha", f"{package}:Good"),
        point("broken", f"{package}.broken:Good"),
        point("absent", f"{package}:Missing"),
    ]
    report = load_strategies(registry.__setitem__, points)
    assert report.loaded == ("alpha", "zeta") == tuple(registry)
    assert [name for name, _ in report.failed] == ["absent", "broken"]
    assert "RuntimeError: no model file" in dict(report.failed)["broken"]


def test_plugins_refused_by_the_registry_are_reported_with_its_sentence(package: str) -> None:
    def register(name: str, strategy: object) -> None:
        raise ConfigError(f"strategy {name} is registered twice")

    report = load_strategies(register, [point("twin", f"{package}:Good")])
    assert report.loaded == ()
    assert report.failed == (("twin", "strategy twin is registered twice"),)


def test_code_of_a_plugin_is_another_after_an_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "edited_plugin_for_tests"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "strategy.py").write_text("class Edited:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint("edited", "edited_plugin_for_tests.strategy:Edited", GROUP)]
    made = points[0].load()
    before = code_of("edited", made, points)
    assert code_of("edited", made, points) == before
    (package / "strategy.py").write_text("class Edited:\n    fee = 1\n")
    assert code_of("edited", made, points) != before
    assert code_of("edited", made, points)[0] == before[0] == code_of("spread_capture", SpreadCapture, [])[0]


def test_code_of_our_own_strategy_is_our_sources_alone() -> None:
    assert len(code_of("spread_capture", SpreadCapture, [])) == 1
