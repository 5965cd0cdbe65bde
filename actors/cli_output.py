"""What every verb shares: where words go, and what an error means for the exit code. May import `trading.model`.

stdout carries answers (with --json nothing but JSON), stderr everything else. Exit codes are the contract's: 0 ok,
2 usage, 3 not running or out of reach, 4 refused, 1 anything else.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final, TextIO

from trading.model.errors import (
    ConfigError,
    NotRunning,
    OutcomeUnknown,
    Refused,
    StoreError,
    TradingError,
    VenueUnavailable,
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
REFUSED: Final = 4
# 128 + SIGINT, as shells count it: a client verb was interrupted. (`up`, `record` and `simulator` return 0.)
INTERRUPTED: Final = 130

# First match wins. OutcomeUnknown: it may have happened, so it is neither "not running" nor a usage error.
_CODES: tuple[tuple[type[TradingError], int], ...] = (
    (ConfigError, USAGE),
    (Refused, REFUSED),
    (NotRunning, UNREACHABLE),
    (StoreError, UNREACHABLE),
    (VenueUnavailable, UNREACHABLE),
    (OutcomeUnknown, FAILED),
)


def exit_code(error: TradingError) -> int:
    """Return the exit code of an error of our own tree."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def say(text: str) -> None:
    """Write one line for people to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


# Where answers go while `sys.stdout` is lent to stderr.
_kept_for_answers: list[TextIO] = []


@contextlib.contextmanager
def stdout_for_answers_only() -> Iterator[None]:
    """Within: what a library prints by itself goes to stderr. Ray prints the deaths of its workers, from a thread."""
    _kept_for_answers.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _kept_for_answers.pop()


def answers() -> TextIO:
    """Return the stream that answers go to."""
    return _kept_for_answers[-1] if _kept_for_answers else sys.stdout


def answer(text: str) -> None:
    """Write one line of an answer to stdout."""
    stream = answers()
    stream.write(text + "\n")
    stream.flush()


def answer_json(body: Any) -> None:
    """Write an answer as one line of JSON."""
    answer(json.dumps(body, ensure_ascii=False, separators=(",", ":")))


def sentence(error: BaseException) -> str:
    """Return an error's text as one line."""
    text = str(error.args[0]) if isinstance(error, TradingError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def keep_traceback(error: BaseException, folder: Path | None = None) -> Path:
    """Write an unexpected error's traceback to a file and return its path. Secrets do not belong into exceptions."""
    path = (folder if folder is not None and folder.is_dir() else Path(gettempdir())) / "mexcbot-error.log"
    with path.open("a", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    return path


def assignments(pairs: list[str] | None, flag: str) -> dict[str, str]:
    """Read k=v texts. Raises: ConfigError when one is none, or a name is given twice."""
    values: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip() or not text.strip():
            raise ConfigError(f"{flag}: expected name=value, was {pair!r}")
        if name.strip() in values:
            raise ConfigError(f"{flag}: {name.strip()} is given twice")
        values[name.strip()] = text.strip()
    return values


def check_symbols(symbols: list[str]) -> tuple[str, ...]:
    """Read symbols as arguments, commas allowed. Raises: ConfigError when one is named twice or none is given."""
    names = tuple(name.strip() for text in symbols for name in text.split(",") if name.strip())
    if not names:
        raise ConfigError("name at least one symbol, e.g. BTCUSDT")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(f"symbol {name} is named twice: name it once")
    return names


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that were given."""
    return {name: value for name, value in values.items() if value is not None}
