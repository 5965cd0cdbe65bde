"""All verbs of `mexcbot`, and how one of them is run. May import typer and, lazily, everything below floor 4.

Whatever goes wrong ends here: one sentence on stderr, the contract's exit code, no traceback. Heavy libraries are
imported by the verb that needs them, so that `--help` and the client verbs are quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from actors import (
    cli_backup,
    cli_explain,
    cli_fleet,
    cli_lists,
    cli_record,
    cli_risk,
    cli_scan,
    cli_shadow,
    cli_strategies,
    cli_sweep,
    cli_tools,
    cli_up,
)
from actors.cli_output import FAILED, INTERRUPTED, OK, USAGE, answer, exit_code, keep_traceback, say, sentence
from trading.model.errors import TradingError

app = typer.Typer(
    help="Trade many symbols on MEXC spot, on paper or live: one actor a symbol, one journal, one switch.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        answer(f"mexcbot {version('mexcbot')}")
        raise typer.Exit(OK)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None: ...


cli_up.register(app)
cli_fleet.register(app)
cli_lists.register(app)
cli_risk.register(app)
cli_explain.register(app)
cli_tools.register(app)
cli_record.register(app)
cli_backup.register(app)
cli_scan.register(app)
cli_sweep.register(app)
cli_shadow.register(app)
cli_strategies.register(app)


def run(arguments: list[str], program: Callable[..., Any] = app) -> int:
    """Run one verb and return its exit code. Never raises for what a person, a file or the network does."""
    try:
        result = program(arguments or ["--help"], standalone_mode=False, prog_name="mexcbot")
    except TyperException as error:
        say(f"mexcbot: {_usage(error)}")
        return USAGE
    except TradingError as error:
        say(f"mexcbot: {sentence(error)}")
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our answer (head, less) has gone; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last handler: a bug must not look like a traceback to a person
        path = keep_traceback(error)
        what = f"{type(error).__name__}: {sentence(error)[:200]}"
        say(f"mexcbot: an unexpected error ({what}); its traceback is in {path}")
        return FAILED
    return int(result) if result is not None else OK


def _usage(error: TyperException) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    return f"{text[:1].lower()}{text[1:]} (see mexcbot --help)"
