"""The CLI's way to a running instance: found through DATA_DIR/run.json, spoken to over HTTP.

May import httpx, `actors.runfile` and `trading.model`. Every failure is an error of our own tree, with one sentence.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from dotenv import dotenv_values

from actors.runfile import find_instance
from trading.model.errors import ConfigError, NotRunning, OutcomeUnknown, Refused, TradingError

DEFAULT_DATA_DIR = ".mexcbot"
# A halt is answered when it is verified or its time is over (30 s); reads are served from memory.
READ_TIMEOUT_S = 10.0
POLL_S = 0.2
HALT_POLL_S = 0.5
_BY_STATUS: dict[int, type[TradingError]] = {
    400: ConfigError,
    401: ConfigError,
    403: Refused,
    404: ConfigError,
    405: ConfigError,
    409: Refused,
    412: Refused,
    413: ConfigError,
    415: ConfigError,
    422: ConfigError,
    503: NotRunning,
    504: OutcomeUnknown,
}


def data_dir_of(given: Path | None) -> Path:
    """Return the data directory: the flag, else MEXCBOT_DATA_DIR (environment, then .env), else ./.mexcbot.

    Raises: ConfigError when .env cannot be read.
    """
    if given is not None:
        return given
    try:
        named = os.environ.get("MEXCBOT_DATA_DIR") or dotenv_values(".env", encoding="utf-8").get("MEXCBOT_DATA_DIR")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f".env cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}")
    return Path(named or DEFAULT_DATA_DIR)


@dataclass(frozen=True, slots=True)
class Address:
    """Where an instance's API is, and the token's text."""

    url: str
    token: str


def find_api(data_dir: Path | None, api: str | None, token_file: Path | None) -> Address:
    """Return the API of an instance: given by --api and --token-file, or found through the data directory.

    Raises: ConfigError when only one of both is given or the token cannot be read; NotRunning when nothing runs.
    """
    if (api is None) != (token_file is None):
        raise ConfigError("--api and --token-file belong together: give both, or neither and --data-dir")
    if api is None or token_file is None:
        run = find_instance(data_dir_of(data_dir))
        api, token_file = run.api, Path(run.token_file)
    elif not api.startswith(("http://", "https://")):
        raise ConfigError(f"--api: expected an address that begins with http:// or https://, was {api!r}")
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the token file {token_file} cannot be read: {getattr(error, 'strerror', None) or 'no text'}"
        )
    if not token or not token.isascii() or any(char.isspace() for char in token):
        raise ConfigError(f"the token file {token_file} holds no token")
    return Address(api.rstrip("/"), token)


class ApiClient:
    """Calls to one instance's API. Owned by one verb; a context manager."""

    def __init__(
        self,
        address: Address,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """transport: another way to the API than the network. sleep: waits between two polls, in seconds."""
        self._address = address
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=address.url,
            headers={"Authorization": f"Bearer {address.token}"},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=3.0),
            trust_env=False,
            transport=transport,
        )

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None, timeout_s: float = READ_TIMEOUT_S) -> Any:
        """Read a JSON body. Raises: NotRunning, ConfigError, Refused, TradingError."""
        return self._send("GET", path, query, None, timeout_s, {})

    def command(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Any:
        """Send a command once, under an idempotency key. Raises also OutcomeUnknown: it may have been taken."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        return self._send(method, path, query, body, timeout_s, headers)

    def await_operation(self, operation: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Poll an operation until it is over or the time is; return its last body."""
        deadline = time.monotonic() + timeout_s
        body = dict(operation)
        while body.get("status") in ("pending", "running") and time.monotonic() < deadline:
            self._sleep(POLL_S)
            body = self.get(f"/v1/operations/{quote(str(body['operation_id']), safe='')}")
        return body

    def await_halt(self, halted: Mapping[str, Any], symbol: str | None, timeout_s: float) -> dict[str, Any]:
        """Ask where a halt stands until it is confirmed or the time is over; return the last body as it is.

        It tells nothing of the operation that began the halt: that one may have failed, and the halt gone on.
        """
        deadline = time.monotonic() + timeout_s
        body = dict(halted)
        while not body["confirmed"] and time.monotonic() < deadline:
            self._sleep(HALT_POLL_S)
            with suppress(NotRunning):  # the API may be on its way back; what was known stands
                body = self.get("/v1/halt", {"symbol": symbol}, timeout_s)
        return body

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        timeout_s: float,
        headers: Mapping[str, str],
    ) -> Any:
        try:
            response = self._client.request(
                method,
                path,
                params={name: value for name, value in (query or {}).items() if value is not None},
                json=body,
                headers=dict(headers),
                timeout=httpx.Timeout(timeout_s, connect=3.0),
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NotRunning(
                f"the API {self._address.url} does not answer: is it running? (mexcbot status, mexcbot up)"
            ) from error
        except httpx.HTTPError as error:
            kind = NotRunning if method == "GET" else OutcomeUnknown
            raise kind(
                f"the API {self._address.url} gave no answer to {method} {path}: {type(error).__name__}"
            ) from error
        if response.is_success:
            return _body_of(response)
        raise _BY_STATUS.get(response.status_code, TradingError)(_detail(response))


def symbol_path(symbol: str, rest: str = "") -> str:
    """Return the path of a symbol; names may hold any character."""
    return f"/v1/symbols/{quote(symbol, safe='')}{rest}"


def _body_of(response: httpx.Response) -> Any:
    try:
        return response.json() if response.content else {}
    except ValueError as error:
        raise TradingError(f"{response.url} answered something that is not JSON: is this mexcbot's API?") from error


def _detail(response: httpx.Response) -> str:
    if response.status_code == 401:
        return "the API does not know this token: use the token file of its own data directory"
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{response.request.method} {response.url.path} was answered with HTTP {response.status_code}"
    return str(detail)
