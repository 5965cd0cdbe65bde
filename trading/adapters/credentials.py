"""The venue's API key: where it may come from, and how it is kept out of sight. May import `trading.model`.

Keys come from the environment or from a file that only its owner may read (promise 9); never from a flag.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from trading.model.errors import ConfigError

_NAMES = ("api_key", "api_secret")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key and its secret. Neither shows in a repr."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


def read_key_file(path: Path) -> Credentials:
    """Read `api_key=…` and `api_secret=…`, one a line; blank lines and lines that begin with # are skipped.

    Raises: ConfigError when the file is missing, readable by others than its owner, or lacks a name.
    """
    require_private(path, "key file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"key file {path} cannot be read: {_reason(error)}")
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.strip().lower().removeprefix("mexcbot_")
        if not equals or name not in _NAMES:
            raise ConfigError(f"key file {path}, line {number}: expected api_key=… or api_secret=…")
        values[name] = value.strip().strip("\"'")
    missing = [name for name in _NAMES if not values.get(name)]
    if missing:
        raise ConfigError(f"key file {path} lacks {' and '.join(missing)}: write {missing[0]}=… on a line of its own")
    return Credentials(values["api_key"], values["api_secret"])


def require_private(path: Path, what: str) -> None:
    """Refuse a file that others than its owner may read or write. Windows has no such bits: not checked there.

    Raises: ConfigError, also when the file is missing or no regular file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {_reason(error)}")
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{what} {path} is not a regular file")
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(f"{what} {path} holds secrets but has mode {mode:04o}: run chmod 600 {path}")


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "not UTF-8 text"
