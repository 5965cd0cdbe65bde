"""The way to the API: one HTTP client for all browsers, answers as `api.schemas`. May import httpx and `api.schemas`.

Reads give up before the next tick would start; commands wait longer, and are never sent twice.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from api.schemas import HaltOutcome, OperationBody, Problem, RiskBody

T = TypeVar("T", bound=BaseModel)

READ_TIMEOUT_S = 0.95
COMMAND_TIMEOUT_S = 5.0
# The API answers a halt after 28 s at the latest.
HALT_TIMEOUT_S = 35.0
URL_VARIABLE, TOKEN_VARIABLE = "MEXCBOT_API", "MEXCBOT_TOKEN_FILE"


class ApiAway(Exception):
    """The API could not be reached, or its answer could not be read. args: (sentence,)."""


class ApiRefused(Exception):
    """The API said no. args: (sentence, status, code)."""

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(self.args[2])


class ApiClient:
    """Thread-safe: Streamlit runs each browser's script in a thread of its own."""

    def __init__(self, base_url: str, token_file: Path) -> None:
        self.base_url = base_url.rstrip("/")
        self._token_file = token_file
        self._http = httpx.Client(
            base_url=self.base_url,
            trust_env=False,
            timeout=READ_TIMEOUT_S,
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
        )

    @classmethod
    def from_environment(cls) -> ApiClient:
        """Build it from MEXCBOT_API and MEXCBOT_TOKEN_FILE. Raises: ApiAway when one is missing."""
        url, token_file = os.environ.get(URL_VARIABLE), os.environ.get(TOKEN_VARIABLE)
        if not url or not token_file:
            raise ApiAway(f"set {URL_VARIABLE} to the API's address and {TOKEN_VARIABLE} to a file with its token")
        return cls(url, Path(token_file))

    def read(self, path: str, model: type[T], params: Mapping[str, Any] | None = None) -> T:
        """GET a body. Raises: ApiAway, ApiRefused."""
        return self._parsed(self._send("GET", path, READ_TIMEOUT_S, params=params), model)

    def command(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, epoch: int | None = None
    ) -> OperationBody:
        """Send a command once; `epoch` lets the API refuse it when the symbol has changed hands. Raises: as `read`."""
        headers = {"If-Match": f'"{epoch}"'} if epoch is not None else {}
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        answer = self._send(method, path, COMMAND_TIMEOUT_S, json=body, headers=headers)
        return self._parsed(answer, OperationBody)

    def halt(self, body: Mapping[str, Any]) -> HaltOutcome:
        """Halt, and wait for the venue's word. Raises: as `read`."""
        return self._parsed(self._send("POST", "/v1/halt", HALT_TIMEOUT_S, json=body), HaltOutcome)

    def resume(self, body: Mapping[str, Any]) -> HaltOutcome:
        """Trade again. Raises: as `read`."""
        return self._parsed(self._send("POST", "/v1/resume", COMMAND_TIMEOUT_S, json=body), HaltOutcome)

    def change_limits(self, limits: Mapping[str, str]) -> RiskBody:
        """Change account limits, whole or not at all. Raises: as `read`."""
        return self._parsed(self._send("PUT", "/v1/risk", COMMAND_TIMEOUT_S, json={"limits": dict(limits)}), RiskBody)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, timeout_s: float, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token()}", **more.pop("headers", {})}
        try:
            answer = self._http.request(method, path, timeout=timeout_s, headers=headers, **more)
        except httpx.TimeoutException:
            raise ApiAway(f"the API at {self.base_url} did not answer within {timeout_s:g} s") from None
        except httpx.HTTPError:
            raise ApiAway(f"the API at {self.base_url} cannot be reached") from None
        if answer.is_success:
            return answer
        try:
            problem = Problem.model_validate_json(answer.content)
        except ValidationError:
            raise ApiAway(f"the API answered {answer.status_code}") from None
        raise ApiRefused(problem.detail, problem.status, problem.code)

    def _token(self) -> str:
        """Read the token anew each time: it is a small file, and a new start of the system may have changed it."""
        try:
            return self._token_file.read_text(encoding="utf-8").strip()
        except OSError:
            raise ApiAway("the token file cannot be read: is the system running?") from None

    @staticmethod
    def _parsed(answer: httpx.Response, model: type[T]) -> T:
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise ApiAway(f"the API's answer is not understood: {error.errors()[0]['msg']}") from None
