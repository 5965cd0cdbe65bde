"""`python -m api --config FILE`: serves the API until it is told to stop. May import the API, `actors` and uvicorn.

Exit codes as everywhere: 0 stopped in order, 2 a wrong configuration or a port in use, 3 Ray out of reach.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from actors import ray_environment
from api.auth import Tokens
from api.config import ApiConfig, read_config, read_token
from api.stream_hub import StreamHub
from trading.adapters.telemetry import LogSettings, logger, set_up_logging
from trading.model.errors import ConfigError, NotRunning, TradingError

# Long polls and streams are cut after so long; the process that stops us waits 8 s.
GRACE_S = 3
BACKLOG = 256


class _Server(uvicorn.Server):
    """Ends the streams as soon as it is told to stop, so that it does not wait for them."""

    def __init__(self, config: uvicorn.Config, hub: StreamHub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._hub.close()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """Bind the API's address. Raises: ConfigError when it is taken."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # After a restart connections of the last one may still be closing.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"port {port} on {host} cannot be used ({error.strerror}): choose another --api-port")
    return sock


async def serve(config: ApiConfig, tokens: Tokens, sock: socket.socket) -> None:
    """Serve on a bound socket until SIGINT or SIGTERM. This process is attached to Ray already."""
    from api.app import create_app
    from api.wiring import Wiring

    wiring = Wiring(config)
    try:
        app = create_app(wiring.dependencies, tokens, config.dashboard_url)
        server = _Server(
            uvicorn.Config(
                app,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                ws="websockets-sansio",
                ws_max_size=64 * 1024,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=GRACE_S,
            ),
            app.state.context.hub,
        )
        logger("api").info("api_serves", host=config.host, port=sock.getsockname()[1], session=config.session)
        await server.serve(sockets=[sock])
    finally:
        await wiring.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Serve the API of a running instance.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file of mode 0600, see api/config.py")
    given = parser.parse_args(arguments)
    try:
        config = read_config(given.config)
        set_up_logging(LogSettings(config.log_level, config.log_file, "text"))
        tokens = Tokens(read_token(config.control_token_file), read_token(config.read_token_file))
        # The launcher's environment says how Ray is entered; on an existing cluster it is the user's.
        ray_environment.prepare(None)
        with listen(config.host, config.port) as sock:
            from actors import handles

            # On the main thread, before there is a loop: Ray takes SIGTERM for itself, and uvicorn takes it back.
            handles.connect(config.ray_address, config.namespace)
            try:
                asyncio.run(serve(config, tokens, sock))
            finally:
                handles.disconnect()
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except NotRunning as error:
        sys.stderr.write(f"error: {error}\n")
        return 3
    except TradingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
