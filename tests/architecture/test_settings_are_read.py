"""A setting that nobody reads promises what does not happen: each has a reader, from the environment to the actor."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from actors.executor_values import ExecutorSettings
from actors.recipes import SystemConfig
from trading.adapters.settings import Settings

ROOT = Path(__file__).parents[2]


def _sources(*folders: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for name in folders for path in (ROOT / name).rglob("*.py"))


def _unread(names: list[str], owner: str, source: str) -> list[str]:
    return [name for name in names if not re.search(rf"\b(?:{owner})\.{name}\b", source)]


def test_setting_of_the_environment_has_a_reader() -> None:
    source = _sources("actors", "trading")
    assert _unread(list(Settings.model_fields), "settings|self", source) == []


def test_field_of_the_system_config_has_a_reader() -> None:
    source = _sources("actors")
    assert _unread([item.name for item in fields(SystemConfig)], r"_?config", source) == []


def test_setting_of_the_executor_has_a_reader() -> None:
    source = _sources("actors")
    assert _unread([item.name for item in fields(ExecutorSettings)], r"_?settings", source) == []


def test_setting_that_a_page_or_a_container_file_names_exists() -> None:
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.yml"),
        *ROOT.glob("*.yaml"),
        ROOT / "Dockerfile",
        *ROOT.glob("docs/**/*.md"),
    ]
    named = {name for file in files for name in re.findall(r"MEXCBOT_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8"))}
    assert "MEXCBOT_DATABASE_URL" in named
    assert sorted(named - {f"MEXCBOT_{name.upper()}" for name in Settings.model_fields}) == []
