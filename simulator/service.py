"""The service: one process that serves a venue on one port until it is told to stop. May import uvicorn."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator

import orjson
import uvicorn

from simulator.replay.recording import Recording, open_recording
from simulator.settings import SimulatorSettings
from simulator.venue import Venue
from simulator.wire.asgi import BODY_MAX, VenueApp
from simulator.wire.hub import Hub
from simulator.wire.protocols import HttpProtocol, WebSocketProtocol
from trading.adapters import event_loop
from trading.adapters.stop_signals import stop_signals
from trading.model.errors import TradingError

# The finest cadence of the venue's streams.
BEAT_S = 0.01
GRACE_S = 3
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: it would end the process by the signal instead of with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _listen(settings: SimulatorSettings) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError:
        listener.close()
        raise
    return listener


def ready_line(settings: SimulatorSettings, port: int) -> str:
    """Return the ready line of the contract: one JSON object."""
    account = settings.accounts[0]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    line = {
        "ready": True,
        "rest": f"http://{host}:{port}",
        "ws": f"ws://{host}:{port}/ws",
        "api_key": account.key,
        "secret": account.secret,
    }
    return orjson.dumps(line).decode()


def _announce(settings: SimulatorSettings, symbols: tuple[str, ...], port: int) -> None:
    line = ready_line(settings, port)
    if not settings.is_json:
        fields = orjson.loads(line)
        line = (
            f"A local MEXC is open at {fields['rest']} and {fields['ws']}\n"
            f"  pairs    {', '.join(symbols[:8])}{' …' if len(symbols) > 8 else ''}\n"
            f"  account  key {fields['api_key']}  secret {fields['secret']}\n"
            "  Ctrl-C ends it."
        )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _beats(venue: Venue, hub: Hub) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        hub.beat(venue.advance())
        due = max(due + BEAT_S, loop.time())
        await asyncio.sleep(due - loop.time())


class _Told:
    """What the stop signals find: while the market is being opened they end the process, from then on they are noted.

    Nothing is held yet that would have to be given back. An exception raised in a handler instead could strike
    inside the event loop's own start, which leaves a loop that is running and cannot be closed.
    """

    def __init__(self) -> None:
        self.is_told = False
        self.is_opening = True

    def __call__(self, signum: int, frame: object) -> None:
        self.is_told = True
        if self.is_opening:
            os._exit(EXIT_OK)


async def _serve(settings: SimulatorSettings, venue: Venue, listener: socket.socket, told: _Told) -> int:
    hub = Hub(venue)
    app = VenueApp(hub)
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody's header decides whose rate limit counts
        ws_per_message_deflate=False,
        ws_ping_interval=settings.rules.ping_interval_s or None,
        ws_ping_timeout=None,  # a client that does not pong is not dropped for it
        ws_max_size=BODY_MAX,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # bad requests are their senders' affair
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        app.ending.set()
        server.should_exit = True

    for signum in stop_signals():
        loop.add_signal_handler(signum, stop)
    if told.is_told:
        return EXIT_OK
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    beats = asyncio.create_task(_beats(venue, hub))
    beats.add_done_callback(lambda _: stop())
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.005)
    if server.started:
        gc.collect()
        gc.freeze()
        _announce(settings, tuple(venue.exchange.pairs), listener.getsockname()[1])
    await serving
    if beats.done() and not beats.cancelled() and beats.exception() is not None:
        raise RuntimeError("the market stopped") from beats.exception()
    beats.cancel()
    return EXIT_OK


def run(settings: SimulatorSettings) -> int:
    """Serve until a stop signal. Returns the exit code: 0, or 2 (and a sentence on stderr) when it cannot start.

    A signal that comes while the market is still being opened ends it the same way. Call it on the main thread.
    """
    told = _Told()
    for signum in stop_signals():
        signal.signal(signum, told)
    return _run(settings, told)


def _open(settings: SimulatorSettings, recording: Recording | None) -> Venue:
    venue = Venue(settings, _clock_ms)
    if recording is not None:
        venue.open_replay(recording)
    else:
        venue.open_market()
    venue.open_accounts()
    return venue


def _run(settings: SimulatorSettings, told: _Told) -> int:
    recording: Recording | None = None
    try:
        if settings.replay is not None:
            limit = settings.max_market_notional
            recording = open_recording(settings.replay, settings.symbols, limit)
    except TradingError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return EXIT_USAGE
    try:
        listener = _listen(settings)
    except OSError as error:
        reason = error.strerror or str(error)
        where = f"{settings.host}:{settings.port}"
        sys.stderr.write(f"simulator: cannot listen on {where} ({reason}); choose another --port\n")
        return EXIT_USAGE
    venue = _open(settings, recording)
    told.is_opening = False
    return event_loop.run(_serve(settings, venue, listener, told))
