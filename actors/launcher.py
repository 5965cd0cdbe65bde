"""`mexcbot up`: builds the process tree from nothing, keeps it up, and takes it down in order.

May import everything below floor 4; API, dashboard and simulator are subprocesses. Ray is reached through `handles`.
A failure at any step of the start ends what was started before it, and is one sentence. See docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors import ray_environment
from actors.data_dir import DataDir
from actors.foreground import HASTY, is_launcher
from actors.launcher_config import api_child, check_decisions, child_environment, dashboard_child, system_config
from actors.launcher_database import LauncherDatabase
from actors.launcher_guard import Guard, hide_keys
from actors.launcher_recordings import seal_recordings
from actors.launcher_venue import (
    Venue,
    await_simulator,
    check_key,
    check_ray_address,
    check_simulator_symbols,
    choose_symbols,
    joined_venue,
    read_instruments,
    simulator_child,
    simulator_port,
)
from actors.processes import Child, check_port, last_words
from actors.runfile import RunFile, remove_run_file, write_private, write_run_file
from trading.adapters.settings import Settings
from trading.adapters.stop_signals import stop_signals
from trading.model.errors import ConfigError, NotRunning, StoreError
from trading.model.session import Mode

if TYPE_CHECKING:
    from actors.launcher_fleet import LauncherFleet

READY_TIMEOUT_S = 90.0
# SQLAlchemy, Alembic and Ray, in the order in which they are needed.
SLOW_IMPORTS = ("trading.adapters.store.migrations", "actors.launcher_fleet")
KEEP_INTERVAL_S = 0.25
# A step of the start that blocks hears a signal late: when it fails meanwhile, the wish to stop is what counts.
HEARD_S = 0.05
# An instance whose parent died has to be gone within 10 s (contract.md).
HASTY_DRAIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What a started system is reached by. `simulator` is None when the simulator is not ours."""

    api: str
    dashboard: str | None
    token_file: str
    read_token_file: str
    session: str
    symbols: tuple[str, ...]
    simulator: Venue | None


@dataclass(slots=True)
class Progress:
    """How the launcher tells what it does: `say` one line a step, `ready` once."""

    say: Callable[[str], None]
    ready: Callable[[Ready], None]
    began: float = field(default_factory=time.monotonic)


class Launcher:
    """One start of the system. Used once, on the main thread: children ask the kernel to die with it."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._dir = DataDir(settings.data_dir)
        self._guard = Guard(self._dir)
        self._database = LauncherDatabase(settings, self._dir)
        self._children: dict[str, Child] = {}
        self._fleet: LauncherFleet | None = None
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._is_hasty = False

    async def run(self) -> int:
        """Start, keep up until told to stop, stop. Returns the exit code: 0, or 1 when the drain is NOT CONFIRMED.

        Raises: TradingError when the start fails, with nothing left running.
        """
        self._settings.check_start()
        self._listen_to_signals()
        code = 0
        try:
            if await self._start_unless_stopped():
                await self._keep()
            code = await self._drain()
        finally:
            await self._take_down()
            if is_launcher():
                # All is down: what is left of this process ends with the exit code that it has now.
                signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
        return code

    # --- up ---------------------------------------------------------------------------------------------------------

    async def _start_unless_stopped(self) -> bool:
        """Start; False when a signal came first. Raises: TradingError."""
        start = asyncio.create_task(self._start())
        while not start.done():
            await asyncio.wait({start}, timeout=KEEP_INTERVAL_S)
            if self._stop.is_set():
                start.cancel()
                await asyncio.gather(start, return_exceptions=True)
                self._progress.say("interrupted while starting")
                return False
        if start.exception() is not None:
            await asyncio.sleep(HEARD_S)
            if self._stop.is_set():
                self._progress.say("interrupted while starting")
                return False
        start.result()
        return True

    async def _start(self) -> None:
        settings = self._settings
        check_decisions(settings)
        check_simulator_symbols(settings)
        self._dir.take(self._guard.pid)
        ports = self._check_ports()
        api_url, dashboard_url = f"http://127.0.0.1:{ports[0]}", None
        # What others run is asked first: when it does not answer, nothing of ours was started in vain.
        if settings.ray_address is not None:
            check_ray_address(settings.ray_address)
        url = self._open_database() if settings.database_url is not None else ""
        joined = None if settings.venue_urls() is None else await self._open_venue(joined_venue(settings))
        hide_keys()
        self._guard.start()
        # What takes its time by itself goes first: it loads while we wait for the others.
        if joined is None:
            self._start_simulator()
        if ports[1] is not None:
            dashboard_url = f"http://127.0.0.1:{ports[1]}"
            self._children["dashboard"] = dashboard_child(self._dir, api_url, ports[1])
            self._children["dashboard"].start()
        self._load_libraries()
        url = url or self._open_database()
        await asyncio.sleep(0)  # A signal that came meanwhile is heard now.
        venue, symbols = joined or await self._open_venue(await await_simulator(self._children["simulator"]))
        await self._start_fleet(url, venue)
        fleet = self._need_fleet()
        self._children["api"] = api_child(fleet.config, self._dir, symbols, fleet.address, ports[0], dashboard_url)
        self._children["api"].start()
        await fleet.await_up()
        run = RunFile(
            pid=self._guard.pid, api=api_url, dashboard=dashboard_url,
            token_file=str(self._dir.control_token_file), read_token_file=str(self._dir.read_token_file),
            session=fleet.config.session, namespace=fleet.config.namespace, ray_address=settings.ray_address or "",
            is_fleet_detached=settings.ray_address is not None, account=fleet.config.account,
        )  # fmt: skip
        write_run_file(self._dir.path, run)
        await fleet.request_symbols(symbols)
        await self._await_ready(api_url)
        fleet.commit()
        own = venue if venue.is_own else None
        self._progress.ready(
            Ready(api_url, dashboard_url, run.token_file, run.read_token_file, run.session, symbols, own)
        )

    def _check_ports(self) -> tuple[int, int | None]:
        """Return the ports of the API and the dashboard; both are free now."""
        settings = self._settings
        api = check_port(settings.api_port, "--api-port")
        if not settings.dashboard:
            return api, None
        if settings.dashboard_port == api:
            raise ConfigError(f"port {api} is given twice: choose another with --dashboard-port")
        dashboard = check_port(settings.dashboard_port, "--dashboard-port")
        while dashboard == api:
            dashboard = check_port(0, "--dashboard-port")
        return api, dashboard

    def _open_database(self) -> str:
        began = time.monotonic()
        url = self._database.start()
        self._progress.say(f"database ready after {time.monotonic() - began:.1f} s")
        return url

    def _start_simulator(self) -> None:
        port = simulator_port(self._dir.remembered("simulator.port"))
        child = simulator_child(self._settings, self._dir.logs / "simulator.log", port, child_environment())
        self._children["simulator"] = child
        child.start(is_stdout_piped=True)

    async def _open_venue(self, venue: Venue) -> tuple[Venue, tuple[str, ...]]:
        """Choose the symbols, and write down where the venue is, for `halt --direct` and the next start."""
        if venue.is_own:
            self._dir.remember("simulator.port", venue.rest.rpartition(":")[2])
        symbols = choose_symbols(self._settings, await read_instruments(venue))
        if self._settings.mode is Mode.LIVE and not venue.is_own:
            await check_key(venue)
        note = {
            "venue": self._settings.venue.value,
            "mode": self._settings.mode.value,
            "rest": venue.rest,
            "ws": venue.ws,
        }
        self._dir.remember("venue.json", json.dumps(note))
        self._progress.say(f"venue {venue.rest}: {', '.join(symbols[:8])}{' …' if len(symbols) > 8 else ''}")
        return venue, symbols

    def _load_libraries(self) -> None:
        """Begin to import the schema's tools and Ray, while the database and the venue come up."""
        # Ray reads its authentication mode when it is imported; on an existing cluster it is the user's to set.
        ray_environment.prepare(None if self._settings.ray_address else self._dir.ray_token_file)
        # Whoever imports it next waits for it, and sees its error if there is one.
        threading.Thread(target=_import_quietly, args=SLOW_IMPORTS, name="import", daemon=True).start()

    async def _start_fleet(self, url: str, venue: Venue) -> None:
        settings = self._settings
        from actors.launcher_fleet import LauncherFleet

        namespace = f"mexcbot-{self._dir.instance()}"
        session = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + self._guard.mark[:4]
        config = system_config(settings, self._dir, namespace, session, url, venue)
        self._fleet = LauncherFleet(config, settings, self._progress.say)
        try:
            self._fleet.connect(self._guard.ray_folder())
        except SystemExit as end:
            # So Ray answers a SIGTERM while it starts; it is the wish to stop, like any other.
            self._on_signal()
            raise asyncio.CancelledError from end
        # Ray takes SIGTERM for itself when it starts.
        self._listen_to_signals()
        await asyncio.sleep(0)
        await self._fleet.start(self._guard.pid)
        self._dir.remember("account", self._fleet.config.account)

    async def _await_ready(self, api_url: str) -> None:
        """Wait for /readyz. Raises: NotRunning with what is missing when its time is over or the API has ended."""
        import httpx

        api = self._children["api"]
        deadline = time.monotonic() + READY_TIMEOUT_S
        missing = "no answer"
        async with httpx.AsyncClient(base_url=api_url, timeout=5.0, trust_env=False) as client:
            while time.monotonic() < deadline:
                if not api.is_alive:
                    raise NotRunning(f"the API ended at its start: {last_words(api.log)}")
                try:
                    answer = await client.get("/readyz")
                    if answer.status_code == 200:
                        return
                    missing = answer.text[:500]
                except httpx.HTTPError as error:
                    missing = str(error) or type(error).__name__
                await asyncio.sleep(0.1)
        raise NotRunning(f"the system was not ready within {READY_TIMEOUT_S:g} s: {missing}")

    # --- keep up ----------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Start children again when they die, until told to stop."""
        while not self._stop.is_set():
            for child in self._children.values():
                if (text := child.keep()) is not None:
                    self._progress.say(text)
            if (text := self._database.keep()) is not None:
                self._progress.say(text)
            if (text := await self._need_fleet().check()) is not None:
                raise NotRunning(text)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), KEEP_INTERVAL_S)

    # --- down -------------------------------------------------------------------------------------------------------

    async def _drain(self) -> int:
        """Drain the fleet unless it outlives us; return the exit code."""
        fleet = self._fleet
        if fleet is None or not fleet.is_started:
            return 0
        request = self._dir.remembered("down.request")
        if fleet.outlives_us and not request:
            self._progress.say("the fleet lives on in Ray: stop it with mexcbot down")
            if self._settings.database_url is None:
                self._progress.say(
                    "its database was ours and stops now: no orders until the next up (or --database-url)"
                )
            return 0
        self._progress.say("draining (Ctrl-C once more ends it at once)")
        drain = asyncio.create_task(fleet.shutdown(request == "flatten", HASTY_DRAIN_S if self._is_hasty else None))
        second = asyncio.create_task(self._at_once.wait())
        await asyncio.wait({drain, second}, return_when=asyncio.FIRST_COMPLETED)
        second.cancel()
        if not drain.done():
            drain.cancel()
            self._progress.say("ended without a drain: open orders were NOT CONFIRMED")
            return 1
        report = drain.result()
        write_private(self._dir.path / "last_shutdown.json", report.text + "\n")
        for line in report.lines:
            self._progress.say(line)
        return 0 if report.is_confirmed else 1

    async def _take_down(self) -> None:
        """Stop what was started, in reverse order; never raises, always finishes."""
        for name in ("dashboard", "api"):
            self._stop_child(name)
        if self._fleet is not None:
            await self._fleet.close()
        is_left = self._fleet is not None and self._fleet.is_left_running
        if self._settings.record and self._fleet is not None and not is_left and not self._is_hasty:
            await seal_recordings(self._dir.recordings, self._at_once, self._progress.say)
        self._stop_child("simulator")
        with contextlib.suppress(StoreError, NotRunning):
            self._database.stop()
        with contextlib.suppress(OSError):
            (self._dir.path / "down.request").unlink(missing_ok=True)
        self._guard.stop()
        # Last, and the lock at once after it: a lock without a run file means a start.
        if not is_left:
            with contextlib.suppress(ConfigError):
                remove_run_file(self._dir.path, self._guard.pid)
        self._dir.release()

    def _stop_child(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            child.stop(0.5 if self._is_hasty or self._at_once.is_set() else 8.0)

    # --- signals ----------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(HASTY, self._on_orphaned)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    def _on_orphaned(self) -> None:
        """The process that waited for us has gone: there are 10 s left (contract.md)."""
        self._progress.say("the process that started this one has ended: stopping")
        self._is_hasty = True
        self._stop.set()

    def _need_fleet(self) -> LauncherFleet:
        if self._fleet is None:
            raise NotRunning("the fleet was not started")
        return self._fleet


def _import_quietly(*modules: str) -> None:
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def run_up(settings: Settings, progress: Progress) -> int:
    """Run the system in the foreground until it is told to stop. Returns the exit code. Raises: TradingError."""
    if sys.platform == "win32":
        raise ConfigError("mexcbot up needs Linux or macOS: use WSL on Windows")
    return asyncio.run(Launcher(settings, progress).run())
