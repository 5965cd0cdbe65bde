"""Signed REST requests of one account: exact bytes signed, one tuned HTTP/1.1 client, every failure in our error tree.

May import `trading.model`, httpx, signing, errors and the venue's clock. Source: mexc-protocol §3.1, §2.1, §5. What
is signed is what is sent; no redirect, no proxy of the environment, no retry of the library's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from trading.adapters.credentials import Credentials
from trading.adapters.mexc.clock import VenueClock
from trading.adapters.mexc.errors import ErrorClass, classify, read_answer
from trading.adapters.mexc.rest_codec import is_whole
from trading.adapters.mexc.signing import signed_query
from trading.engine.budget import RequestMeter
from trading.model.errors import ConfigError, OutcomeUnknown, RateLimited, VenueRejected, VenueUnavailable
from trading.model.units import MS_MAX

_API = "/api/v3/"
_STREAM = "userDataStream"

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Timeouts in seconds; `recv_window_ms` is for requests that may be repeated (an order brings its own)."""

    connect_timeout_s: float = 3.0
    request_timeout_s: float = 5.0
    recv_window_ms: int = 5_000
    connections_max: int = 20
    # Shorter than what servers and balancers usually keep, so that a request seldom meets a connection being closed.
    keepalive_s: float = 20.0


@dataclass(slots=True)
class RestCounters:
    """What happened since start. Mutable; owned by one `SignedRest`."""

    requests: int = 0
    unsent: int = 0
    outcomes_unknown: int = 0
    rate_limited: int = 0
    rejected: int = 0
    repeats: int = 0
    clock_refusals: int = 0


class SignedRest:
    """One account's signed requests. Owned by the gateway; lives on one event loop. Neither key nor secret is shown."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        clock: VenueClock,
        settings: RestSettings,
        on_limited: Callable[[float], None] = lambda retry_after_s: None,
    ) -> None:
        """on_limited: told the seconds to keep silent with each 429 or 403, beside the error. Never waits."""
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise ConfigError(f"expected the venue's REST address, was {base_url!r}: {error}")
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"expected the venue's REST address as http(s)://host, was {base_url!r}")
        self._base = base_url.rstrip("/") + _API
        self._secret = credentials.api_secret
        self._clock = clock
        self._settings = settings
        self._on_limited = on_limited
        self._is_closed = False
        self._bound_s = settings.connect_timeout_s + settings.request_timeout_s
        self.counters = RestCounters()
        self.meter: RequestMeter | None = None
        self._client = httpx.AsyncClient(
            headers={
                "X-MEXC-APIKEY": credentials.api_key,
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
            timeout=httpx.Timeout(
                settings.request_timeout_s, connect=settings.connect_timeout_s, pool=settings.connect_timeout_s
            ),
            limits=httpx.Limits(
                max_connections=settings.connections_max,
                max_keepalive_connections=settings.connections_max,
                keepalive_expiry=settings.keepalive_s,
            ),
            http1=True,
            http2=False,
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Release the sockets; idempotent. Later requests raise VenueUnavailable."""
        self._is_closed = True
        await self._client.aclose()

    async def send_once(self, method: str, path: str, params: Params, signed_ms: int, recv_window_ms: int) -> Any:
        """Send a request that must not happen twice, with the timestamp and window it was journaled with.

        Returns: the decoded answer.
        Raises: VenueUnavailable (certainly nothing happened: not sent, or maintenance; RateLimited says how long to
            wait), VenueRejected (the venue's no), OutcomeUnknown (anything else).
        Guarantee: at most once.
        """
        stamped = [*params, ("timestamp", str(signed_ms)), ("recvWindow", str(recv_window_ms))]
        return await self._send(method, f"{path}?{signed_query(self._secret, stamped)}")

    async def repeatable(self, method: str, path: str, params: Params = ()) -> Any:
        """Send a request that may happen twice, signed with the venue's time now; a failure is repeated once.

        Raises: VenueUnavailable (RateLimited), VenueRejected.
        """
        try:
            return await self._signed_now(method, path, params)
        except RateLimited:
            raise
        except VenueRejected as error:
            if classify(error.code) is not ErrorClass.RESYNC_CLOCK:
                raise
            self.counters.clock_refusals += 1
            await self.ask_clock(is_refused=True)
        except (VenueUnavailable, OutcomeUnknown):
            self.counters.repeats += 1
        self.owe()
        try:
            return await self._signed_now(method, path, params)
        except OutcomeUnknown as error:
            raise VenueUnavailable(str(error))

    def owe(self) -> None:
        """Let the next request take a token of the budget: whoever sends it has none for it."""
        if self.meter is not None:
            self.meter.owe()

    async def ask_clock(self, is_refused: bool = False) -> None:
        """Take a sample of the venue's clock. `is_refused`: it has just refused our time, so old samples are worthless.

        Raises: VenueUnavailable.
        """
        self.owe()
        await self._clock.ask(self._server_time_ms)
        if is_refused:
            self._clock.forget()

    # --- listen keys (the port of user_stream); each takes a token --------------------------------------------------

    async def create_listen_key(self) -> str:
        """Make a listen key, valid for 60 minutes. Raises: VenueUnavailable, VenueRejected."""
        self.owe()
        answer = await self.repeatable("POST", _STREAM)
        key = answer.get("listenKey") if isinstance(answer, dict) else None
        if not isinstance(key, str) or not key:
            raise VenueUnavailable("expected a listen key, was something else")
        return key

    async def renew_listen_key(self, key: str) -> None:
        """Extend a listen key by 60 minutes. Raises: VenueUnavailable, VenueRejected (it is none any more)."""
        self.owe()
        await self.repeatable("PUT", _STREAM, [("listenKey", key)])

    async def listen_keys(self) -> tuple[str, ...]:
        """List the account's valid listen keys. Raises: VenueUnavailable, VenueRejected."""
        self.owe()
        answer = await self.repeatable("GET", _STREAM)
        keys = answer.get("listenKey") if isinstance(answer, dict) else None
        if not isinstance(keys, list):
            raise VenueUnavailable("expected a list of listen keys, was something else")
        return tuple(str(key) for key in keys)

    async def delete_listen_key(self, key: str) -> None:
        """End a listen key. Raises: VenueUnavailable, VenueRejected."""
        self.owe()
        await self.repeatable("DELETE", _STREAM, [("listenKey", key)])

    # --- one request ------------------------------------------------------------------------------------------------

    async def _signed_now(self, method: str, path: str, params: Params) -> Any:
        return await self.send_once(method, path, params, self._clock.now_ms(), self._settings.recv_window_ms)

    async def _server_time_ms(self) -> int:
        try:
            answer = await self._send("GET", "time")
        except (OutcomeUnknown, VenueRejected) as error:
            raise VenueUnavailable(str(error))
        server_ms = answer.get("serverTime") if isinstance(answer, dict) else None
        if not is_whole(server_ms, MS_MAX):
            raise VenueUnavailable("expected the server's time, was something else")
        return server_ms

    async def _send(self, method: str, path_and_query: str) -> Any:
        """Send once and classify. The texts of errors hold neither address nor query: the signature is in it."""
        if self._is_closed:
            raise VenueUnavailable("not sent: the connection to the venue is closed")
        self.counters.requests += 1
        meter = self.meter
        ticket = meter.left() if meter is not None else 0
        try:
            async with asyncio.timeout(self._bound_s):
                response = await self._client.request(method, self._base + path_and_query)
            return read_answer(response.status_code, response.content, response.headers.get("retry-after"))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            self.counters.unsent += 1
            raise VenueUnavailable(f"not sent: {type(error).__name__}: {error}")
        except (httpx.RequestError, TimeoutError) as error:
            # A read timeout, a cut connection, half a write: the venue may have the request.
            self.counters.outcomes_unknown += 1
            raise OutcomeUnknown(f"no answer: {type(error).__name__}: {error}")
        except OutcomeUnknown:
            self.counters.outcomes_unknown += 1
            raise
        except RateLimited as error:
            self.counters.rate_limited += 1
            self._on_limited(error.retry_after_s)
            raise
        except VenueRejected:
            self.counters.rejected += 1
            raise
        finally:
            if meter is not None:
                meter.landed(ticket)
