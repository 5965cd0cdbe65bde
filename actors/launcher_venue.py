"""The venue of a start: our own simulator, one that runs already, or MEXC; and which of its symbols are traded.

May import simulator, `trading.adapters` and the launcher's own files.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from actors.node_budget import NodeBudget
from actors.processes import STOP_TIMEOUT_S, Child, check_port, last_words
from actors.symbol_names import nearest
from simulator.market.profiles import ODD_SYMBOLS, default_symbols
from simulator.settings import DEFAULT_COUNT, DEFAULT_KEY, DEFAULT_SECRET
from trading.adapters.clock import SystemClock
from trading.adapters.credentials import Credentials
from trading.adapters.mexc.rest_public import PublicRest
from trading.adapters.recording.events import recording_instrument
from trading.adapters.scanner import Scan, Scanner, rules_for
from trading.adapters.settings import Settings
from trading.model.errors import ConfigError, NotRunning, VenueError
from trading.model.instrument import Instrument
from trading.model.session import Mode, VenueName

SIMULATOR_READY_S = 60.0
CONNECT_TIMEOUT_S = 3.0
SYMBOLS_MAX = 2_000
# Listed beside the traded symbols, so that `spawn` finds something to spawn.
SPARE_SYMBOLS = 12


@dataclass(frozen=True, slots=True)
class Venue:
    """Where market data and live orders go, as found at the start. `is_own`: our own simulator."""

    rest: str
    ws: str
    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    is_own: bool


def requested_symbols(settings: Settings) -> tuple[str, ...]:
    """Return the symbols asked for; empty when the venue's own list decides (a recording or a running simulator)."""
    if settings.symbols:
        return settings.symbols
    if settings.venue_urls() is None and settings.replay is None:
        return default_symbols(settings.count or DEFAULT_COUNT)
    return ()


def check_simulator_symbols(settings: Settings) -> None:
    """Refuse what our own market, generated or recorded, does not list. Raises: ConfigError."""
    if settings.venue_urls() is not None:
        return
    if settings.replay is not None:
        recorded = recording_instrument(settings.replay).symbol
        if others := [symbol for symbol in settings.symbols if symbol != recorded]:
            raise ConfigError(f"the recording {settings.replay} holds {recorded}, not {others[0]}")
        return
    known = {*default_symbols(SYMBOLS_MAX), "MXUSDT", *ODD_SYMBOLS}
    if unknown := [symbol for symbol in settings.symbols if symbol not in known]:
        if (name := unknown[0].upper()) in known:
            raise ConfigError(f"the simulator has no symbol {unknown[0]}: did you mean {name}?")
        raise ConfigError(
            f"the simulator has no symbol {unknown[0]}: name some of "
            f"{', '.join(default_symbols(6))}, …, SIM030USDT and so on, or give --count"
        )


def check_ray_address(address: str) -> None:
    """Try the address of an existing Ray: attaching to one that is not there takes minutes to fail.

    Raises: NotRunning when nothing listens there, ConfigError when it is no address. "auto" is left to Ray.
    """
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not host or not port.isdigit():
        raise ConfigError(f"--ray-address: expected host:port or auto, was {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise NotRunning(f"no Ray answers at {address} ({error}): start one with ray start, or check --ray-address")


def simulator_child(settings: Settings, log: Path, port: int, environment: Mapping[str, str]) -> Child:
    """Describe our own simulator; nothing is started. port: 0 for any free one."""
    command = [sys.executable, "-m", "simulator", "--json", "--port", str(port), "--seed", str(settings.seed)]
    if settings.replay is not None:
        command += ["--replay", str(settings.replay.absolute()), "--speed", str(settings.speed)]
    else:
        listed = dict.fromkeys((*requested_symbols(settings), *default_symbols(SPARE_SYMBOLS)))
        command += ["--symbols", ",".join(listed)]
    return Child("simulator", tuple(command), log, environment)


async def await_simulator(child: Child) -> Venue:
    """Read the ready line of a simulator that was started with its stdout piped.

    From then on its command names the port it has, so that its restart takes the same one.
    Raises: ConfigError when it refused its input (exit code 2), NotRunning when it ended or said nothing in time.
    """
    process = child.process
    if process is None or process.stdout is None:
        raise NotRunning("the simulator was not started")
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + SIMULATOR_READY_S
    text = b""
    while b"\n" not in text:
        part = process.stdout.read()
        if part == b"":
            words = last_words(child.log).removeprefix("simulator: ")
            if process.wait(STOP_TIMEOUT_S) == 2:
                raise ConfigError(f"the simulator refuses this: {words}")
            raise NotRunning(f"the simulator ended at its start: {words}")
        text += part or b""
        if time.monotonic() > deadline:
            raise NotRunning(f"the simulator was not ready within {SIMULATOR_READY_S:g} s: {last_words(child.log)}")
        await asyncio.sleep(0.02)
    ready = json.loads(text.splitlines()[0])
    port = str(ready["rest"]).rpartition(":")[2]
    index = child.command.index("--port") + 1
    child.command = (*child.command[:index], port, *child.command[index + 1 :])
    return Venue(ready["rest"], ready["ws"], ready["api_key"], ready["secret"], True)


def joined_venue(settings: Settings) -> Venue:
    """Describe a venue that runs already: MEXC or a simulator given by its URLs."""
    urls = settings.venue_urls()
    if urls is None:
        raise ConfigError("no venue is given")
    credentials = settings.credentials()
    if settings.venue is VenueName.SIM and credentials is None:
        return Venue(urls[0], urls[1], DEFAULT_KEY, DEFAULT_SECRET, False)
    is_needed = settings.mode is Mode.LIVE and credentials is not None
    key, secret = (credentials.api_key, credentials.api_secret) if is_needed and credentials is not None else ("", "")
    return Venue(urls[0], urls[1], key, secret, False)


async def check_key(venue: Venue) -> None:
    """Try the key of a live start: an executor would fail with a refused one again and again, and say it to nobody.

    Raises: ConfigError when the venue refuses it.
    """
    from trading.adapters.mexc.gateway import MexcGateway, MexcGatewaySettings

    settings = MexcGatewaySettings(rest_url=venue.rest, ws_url=venue.ws)
    gateway = MexcGateway(settings, Credentials(venue.api_key, venue.secret), {}, SystemClock())
    try:
        await gateway.try_key()
    finally:
        await gateway.close()


def simulator_port(remembered: str) -> int:
    """Return the port of this directory's last simulator if it is free, else 0: a fleet that outlived `up` finds it."""
    try:
        return check_port(int(remembered), "--venue-rest")
    except (ValueError, ConfigError, OverflowError):
        return 0


async def read_instruments(venue: Venue) -> Mapping[str, Instrument]:
    """Ask the venue for its instruments. Raises: NotRunning when it does not answer."""
    rest = PublicRest(venue.rest)
    try:
        return await rest.exchange_info()
    except VenueError as error:
        raise NotRunning(f"the venue {venue.rest} does not answer: {error}") from error
    finally:
        await rest.close()


def choose_symbols(settings: Settings, instruments: Mapping[str, Instrument]) -> tuple[str, ...]:
    """Return what is traded: as asked for, or the first tradable ones of the venue.

    Raises: ConfigError naming the first symbol that the venue does not have or that cannot be traded, and why.
    """
    asked = requested_symbols(settings)
    if not asked:
        tradable = [name for name, item in instruments.items() if item.exclusion is None]
        in_quote = [name for name in tradable if instruments[name].quote == settings.quote_asset]
        if not in_quote:
            raise ConfigError(f"the venue lists no tradable symbol in {settings.quote_asset}")
        return tuple(in_quote[: settings.count or DEFAULT_COUNT])
    for symbol in asked:
        instrument = instruments.get(symbol)
        if instrument is None:
            raise ConfigError(f"the venue has no symbol {symbol}{nearest(symbol, instruments)}")
        if instrument.exclusion is not None:
            raise ConfigError(f"{symbol} cannot be traded now ({instrument.exclusion}): choose another symbol")
        if instrument.quote != settings.quote_asset:
            raise ConfigError(
                f"{symbol} is quoted in {instrument.quote}, but this instance reports in {settings.quote_asset}: "
                "choose another symbol, or set MEXCBOT_QUOTE_ASSET"
            )
    return asked


async def best_by_edge(settings: Settings, top: int) -> tuple[str, ...]:
    """Return the `top` symbols of the reporting asset by net expected edge, as `mexcbot scan` ranks them.

    Our own generated market begins with its start, so that there is nothing to scan yet: its first symbols.
    Raises: NotRunning, ConfigError.
    """
    if settings.venue_urls() is None:
        if settings.replay is not None:
            raise ConfigError("a recording holds its own symbols: leave --top out, or name --symbols")
        return default_symbols(min(top, SYMBOLS_MAX))
    scan = await scan_venue(settings, joined_venue(settings).rest, top)
    fit = [item.symbol for item in scan.items if item.is_fit and item.stage > 1]
    if not fit:
        raise ConfigError(f"the scanner finds no symbol in {settings.quote_asset} fit to trade: see mexcbot scan")
    return tuple(fit[:top])


async def scan_venue(settings: Settings, rest_url: str, top: int) -> Scan:
    """Scan a venue at the pace of this address' budget. Raises: NotRunning when it does not answer."""
    clock = SystemClock()
    rest, turns = PublicRest(rest_url, clock), NodeBudget(settings.ip_request_rate, clock).turns()
    rules = rules_for(settings.venue, settings.quote_asset)
    try:
        return await Scanner(rest, lambda: turns.take("snapshot"), clock, rules).scan(top)
    except VenueError as error:
        raise NotRunning(f"the venue {rest_url} does not answer: {error}") from error
    finally:
        await rest.close()
