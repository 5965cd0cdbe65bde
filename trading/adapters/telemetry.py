"""Logging: structlog and the standard library's loggers through one set of processors. May import structlog.

JSON lines go to a file, readable (or JSON) lines to stderr; stdout stays free for answers. Event name plus fields;
session, symbol and client_order_id are bound where they exist (`bound`). Per-frame facts are metrics, never log lines.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from trading.model.errors import ConfigError

_MASK = "***"
_FILE_BYTES_MAX = 50_000_000
_FILES_KEPT = 5

# Field names whose value is never shown, whatever it is. Compared in lower case, with - as _.
_SECRET_NAMES = frozenset(
    {"api_key", "api_secret", "apikey", "authorization", "headers", "listen_key", "listenkey", "password", "secret"}
    | {"signature", "token", "x_mexc_apikey"}
)
_SECRET_TEXT = re.compile(
    r"(?P<name>\b(?:signature|listenKey|api_key|api_secret|password|token|x-mexc-apikey)['\"]?\s*[=:]\s*['\"]?)[^\s&'\",}]+"
    r"|(?P<bearer>\bBearer\s+)[^\s'\",]+"
    r"|(?P<url>://[^:/@\s]*:)[^@/\s]*(?=@)",
    re.IGNORECASE,
)
# httpx logs whole URLs (with signature) at INFO, websockets whole handshakes (with listen key) at DEBUG.
_QUIET_LOGGERS = ("httpx", "httpcore", "hpack", "websockets", "asyncio", "urllib3", "alembic")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where logs go. `file` None: no file. `console`: readable text, JSON, or nothing on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: Path | None = None
    console: Literal["text", "json", "off"] = "text"


def redact_text(text: str) -> str:
    """Mask what looks like a signature, listen key, token or password inside a text."""
    return _SECRET_TEXT.sub(_keep_name, text)


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets in an event, by field name and by look, at any depth. A structlog processor."""
    for name, value in event.items():
        event[name] = _MASK if _is_secret(name) else _redacted(value)
    return event


def set_up_logging(settings: LogSettings) -> None:
    """Route structlog and standard logging as `settings` say. Call once a process; a repeat replaces the handlers.

    Raises: ConfigError when the log file cannot be opened.
    """
    handlers: list[logging.Handler] = []
    if settings.console != "off":
        console = logging.StreamHandler(sys.stderr)
        is_tty = sys.stderr.isatty()
        render: Processor = structlog.dev.ConsoleRenderer(
            colors=is_tty, exception_formatter=structlog.dev.plain_traceback
        )
        if settings.console == "json":
            render = structlog.processors.JSONRenderer(default=str)
        console.setFormatter(_formatter(render))
        handlers.append(console)
    if settings.file is not None:
        handlers.append(_file_handler(settings.file))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers or [logging.NullHandler()]:
        root.addHandler(handler)
    root.setLevel(settings.level.upper())
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def logger(name: str, **context: object) -> FilteringBoundLogger:
    """Return a logger with bound fields, e.g. `logger("executor", session=7).info("order_denied", reason=…)`."""
    bound_logger: FilteringBoundLogger = structlog.get_logger(name, **context)
    return bound_logger


@contextmanager
def bound(**context: object) -> Iterator[None]:
    """Bind fields to every line logged inside the block by this task (and tasks that it starts)."""
    with structlog.contextvars.bound_contextvars(**context):
        yield


# --- pieces ---------------------------------------------------------------------------------------------------------


def _shared() -> list[Processor]:
    """Processors that lines of ours and of the standard library's loggers pass alike."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(render: Processor) -> logging.Formatter:
    # Tracebacks become text first, so that redaction sees them too.
    processors: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
        render,
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder()], processors=processors
    )


def _file_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=_FILE_BYTES_MAX, backupCount=_FILES_KEPT, encoding="utf-8"
        )
    except OSError as error:
        raise ConfigError(f"log file {path} cannot be opened: {error.strerror}")
    handler.setFormatter(_formatter(structlog.processors.JSONRenderer(default=str)))
    return handler


def _is_secret(name: object) -> bool:
    return isinstance(name, str) and name.lower().replace("-", "_") in _SECRET_NAMES


def _redacted(value: object) -> object:
    match value:
        case str():
            return redact_text(value)
        case bytes():
            return redact_text(value.decode(errors="replace"))
        case Mapping():
            return {name: _MASK if _is_secret(name) else _redacted(item) for name, item in value.items()}
        case list() | tuple():
            return [_redacted(item) for item in value]
        case BaseException():
            return redact_text(f"{type(value).__name__}: {value}")
        case _:
            return value


def _keep_name(match: re.Match[str]) -> str:
    return (match["name"] or match["bearer"] or match["url"]) + _MASK
