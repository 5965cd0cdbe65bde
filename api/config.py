"""The API process's configuration: one JSON file of mode 0600, because the database's URL is in it.

May import pydantic and `trading`. The launcher writes the file; `python -m api --config FILE` reads it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from trading.adapters.credentials import require_private
from trading.model.errors import ConfigError
from trading.model.session import Mode, VenueName


class ApiConfig(BaseModel):
    """What the API is told at its start.

    Attributes:
        ray_address, namespace, account: where the actors live and whose they are.
        control_token_file, read_token_file: one token each; control includes read.
        rest_url: the venue's base address.
        dashboard_url: None when there is none to wait for. symbols: what must have been accepted to be ready.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65_535)
    database_url: SecretStr
    ray_address: str
    namespace: str
    account: str = "main"
    session: str
    mode: Mode
    venue: VenueName
    quote_asset: str = "USDT"
    rest_url: str
    control_token_file: Path
    read_token_file: Path
    dashboard_url: str | None = None
    symbols: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: Path | None = None


def read_config(path: Path) -> ApiConfig:
    """Read and check the file. Raises: ConfigError with one sentence."""
    if not path.is_file():
        raise ConfigError(f"there is no API configuration at {path}: name one with --config FILE")
    require_private(path, "API configuration")
    try:
        return ApiConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"the API configuration {path} is wrong at {name}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"the API configuration {path} cannot be read: {error}") from None


def read_token(path: Path) -> str:
    """Read a token file. Raises: ConfigError when it is missing, not private, or empty."""
    try:
        require_private(path, "token file")
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"the token file {path} cannot be read: {error.strerror}") from None
    if len(token) < 16:
        raise ConfigError(f"the token file {path} holds no token of at least 16 characters")
    return token
