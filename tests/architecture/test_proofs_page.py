"""docs/proofs.md stays true: every test and benchmark that it names exists, and the journal only ever appends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.catalogue import BENCHMARKS
from tests.architecture.test_architecture_page import is_true, references

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
STORE = ROOT / "trading" / "adapters" / "store"
# What happened is written once: a row of these is never changed and never taken away.
APPENDED = ("order_events", "fills", "ledger", "decisions", "tombstones", "audit", "equity")
CHANGE = re.compile(rf"\b(?:UPDATE|DELETE\s+FROM|TRUNCATE)\s+(?:TABLE\s+)?({'|'.join(APPENDED)})\b", re.IGNORECASE)


@pytest.mark.parametrize(("path", "name"), sorted(set(references(PAGE))))
def test_proofs_page_names_only_what_exists(path: str, name: str) -> None:
    assert is_true(path, name, ROOT), f"docs/proofs.md names {path}: {name}, which is not there"


def test_proofs_page_names_only_benchmarks_that_exist() -> None:
    named = {name for names in re.findall(r"`bench ([a-z_ ]+)`", PAGE) for name in names.split()}
    assert named
    assert named <= {benchmark.name for benchmark in BENCHMARKS}


def test_journal_changes_no_row_of_what_happened() -> None:
    changed = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in STORE.rglob("*.py")  # a migration may fill a new column
        for match in CHANGE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert changed == []
    assert CHANGE.search("delete from order_events where seq = 1")
