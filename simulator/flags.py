"""The flags of `python -m simulator`. May import simulator's settings."""

import argparse
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any

from simulator.exchange.amounts import ONE, RATE_DECIMALS
from simulator.exchange.rules import ExchangeRules
from simulator.market.profiles import default_symbols, profile_of
from simulator.settings import DEFAULT_COUNT, DEFAULT_KEY, DEFAULT_SECRET, Credentials, SimulatorSettings
from simulator.wire.limits import LimitMode

COUNT_MAX = 2_000
_RULES = tuple(rule.name for rule in fields(ExchangeRules))


class UsageError(Exception):
    """A wrong flag or value: one sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, was {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, was {text!r}") from None


def _parser() -> _Parser:
    parser = _Parser(prog="simulator", description="A local exchange that speaks MEXC's wire.", allow_abbrev=False)
    parser.add_argument("--port", type=_whole, default=0, help="TCP port; 0 takes any free one (default)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--symbols", help="pairs, joined by commas, e.g. BTCUSDT,ETHUSDT")
    parser.add_argument("--count", type=_whole, help=f"number of generated pairs (default {DEFAULT_COUNT})")
    parser.add_argument("--seed", type=_whole, default=1, help="seed of the generated market (default %(default)s)")
    parser.add_argument("--replay", type=Path, help="a recording to play instead of generating a market")
    parser.add_argument("--speed", type=_number, default=1.0, help="speed of the replay (default %(default)s)")
    parser.add_argument("--time-scale", type=_number, default=1.0, help="divides the 30 s, 60 s, 60 min and 24 h rules")
    parser.add_argument("--json", action="store_true", help="print one ready line of JSON")
    parser.add_argument("--limits", choices=[mode.value for mode in LimitMode], default=LimitMode.EFFECTIVE.value)
    parser.add_argument("--api-key", help=f"key of the first account (default {DEFAULT_KEY})")
    parser.add_argument("--api-secret", help="secret of the first account")
    parser.add_argument("--account", action="append", default=[], metavar="KEY:SECRET", help="a further account")
    parser.add_argument("--quote-deposit", type=_whole, default=100_000, help="quote units an account starts with")
    parser.add_argument("--base-deposit", type=_whole, default=10_000, help="worth of each base asset, in quote units")
    parser.add_argument("--rule", action="append", default=[], metavar="NAME=VALUE", help=f"one of {', '.join(_RULES)}")
    parser.add_argument("--maker-fee", help="fraction of the value (default 0; with --replay the recording's)")
    parser.add_argument("--taker-fee", help="fraction of the value (default 0.0005; with --replay the recording's)")
    return parser


def _rate(text: str, flag: str) -> int:
    try:
        scaled = Decimal(text).scaleb(RATE_DECIMALS)
    except InvalidOperation:
        raise UsageError(f"{flag}: expected a fraction such as 0.0005, was {text!r}") from None
    if not scaled.is_finite() or scaled != int(scaled) or not 0 <= scaled <= 10 ** (RATE_DECIMALS - 1):
        raise UsageError(f"{flag}: expected a fraction from 0 to 0.1 with at most 8 decimals, was {text!r}")
    return int(scaled)


def _symbols(given: str | None, count: int | None, *, is_replay: bool) -> tuple[str, ...]:
    if given is not None and count is not None:
        raise UsageError("give --symbols or --count, not both")
    if given is None and is_replay:
        return ()
    if given is None:
        count = DEFAULT_COUNT if count is None else count
        if not 1 <= count <= COUNT_MAX:
            raise UsageError(f"--count: expected 1 to {COUNT_MAX}, was {count}")
        return default_symbols(count)
    symbols = tuple(name.strip() for name in given.split(",") if name.strip())
    if not symbols:
        raise UsageError("--symbols: expected at least one symbol, e.g. BTCUSDT")
    for number, symbol in enumerate(symbols):
        if symbol in symbols[:number]:
            raise UsageError(f"--symbols: {symbol} is named twice")
        try:
            _ = is_replay or profile_of(symbol, 0, 0)
        except ValueError as error:
            raise UsageError(f"--symbols: {error}") from None
    return symbols


def _rules(given: list[str]) -> ExchangeRules:
    """Return the rules with those changed that NAME=VALUE texts name; values are read after the rule's default."""
    rules = ExchangeRules()
    for text in given:
        name, _, value = text.partition("=")
        if name not in _RULES:
            raise UsageError(f"--rule: expected one of {', '.join(_RULES)}, was {name!r}")
        default = getattr(rules, name)
        try:
            if isinstance(default, bool):
                parsed: Any = {"true": True, "false": False}[value]
            else:
                parsed = type(default)(value)
            if isinstance(parsed, int) and parsed < 0:
                raise ValueError(value)
        except (KeyError, ValueError):
            wanted = "true or false" if isinstance(default, bool) else "a whole number"
            wanted = " or ".join(type(default)) if isinstance(default, StrEnum) else wanted
            raise UsageError(f"--rule {name}: expected {wanted}, was {value!r}") from None
        rules = replace(rules, **{name: parsed})
    return rules


def _accounts(key: str | None, secret: str | None, further: list[str]) -> tuple[Credentials, ...]:
    if (key is None) != (secret is None):
        raise UsageError("give both --api-key and --api-secret, or neither")
    accounts = [Credentials(key or DEFAULT_KEY, secret or DEFAULT_SECRET)]
    for text in further:
        name, colon, value = text.partition(":")
        if not colon or not name or not value:
            raise UsageError("--account: expected KEY:SECRET")
        accounts.append(Credentials(name, value))
    if len({account.key for account in accounts}) < len(accounts):
        raise UsageError("--account: each key may be given once")
    return tuple(accounts)


def read_settings(arguments: list[str]) -> SimulatorSettings:
    """Return the settings that flags mean. Raises UsageError with one sentence, SystemExit for --help."""
    given = _parser().parse_args(arguments)
    if not 0 <= given.port <= 65_535:
        raise UsageError(f"--port: expected 0 to 65535, was {given.port}")
    if not 0 < given.speed <= 100_000 or not 0 < given.time_scale <= 1_000_000:
        raise UsageError("--speed and --time-scale: expected positive numbers, at most 100000 and 1000000")
    if given.quote_deposit < 0 or given.base_deposit < 0:
        raise UsageError("--quote-deposit and --base-deposit: expected whole numbers from 0 on")
    if given.replay is not None and not given.replay.is_file():
        raise UsageError(f"--replay: no file at {given.replay}")
    if given.replay is not None and given.count is not None:
        raise UsageError("--count makes no sense with --replay; name --symbols of the recording or none")
    return SimulatorSettings(
        port=given.port,
        host=given.host,
        symbols=_symbols(given.symbols, given.count, is_replay=given.replay is not None),
        seed=given.seed,
        replay=given.replay,
        speed=given.speed,
        time_scale=given.time_scale,
        is_json=given.json,
        limits=LimitMode(given.limits),
        accounts=_accounts(given.api_key, given.api_secret, given.account),
        quote_deposit=given.quote_deposit * ONE,
        base_deposit=given.base_deposit * ONE,
        maker_fee_e8=None if given.maker_fee is None else _rate(given.maker_fee, "--maker-fee"),
        taker_fee_e8=None if given.taker_fee is None else _rate(given.taker_fee, "--taker-fee"),
        rules=_rules(given.rule),
    )
